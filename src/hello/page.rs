//! What the built-in function says, as text and as HTML.

use std::time::Duration;

/// For curl and its like.
pub(crate) fn text(name: &str, count: u64, age: Duration) -> String {
    let story = if count == 1 {
        format!(
            "This is the first request of this replica. It began {} ago, because you asked: a cold start.\n\
             `curl -i` shows its phases in the header Server-Timing. Ask again: it is warm now.",
            span(age)
        )
    } else {
        format!(
            "This replica was warm: it began {} ago, and this is its request number {count}.\n\
             When nobody has asked for a while it is stopped (--idle-timeout: a minute, until Kaos knows how often you ask); then \
             nothing runs until somebody does.",
            span(age)
        )
    };
    format!(
        "Hello from Kaos.\n\n{story}\n\nTry next:\n  kaos ls\n  kaos explain {name}\n  kaos up -- python3 -m http.server {{port}}\n"
    )
}

fn span(span: Duration) -> String {
    match span.as_secs() {
        0 => format!("{} ms", span.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

/// For browsers: one page that needs nothing else. What the browser was told of the phases is drawn by the page itself.
pub(crate) fn html(name: &str, count: u64, age: Duration) -> String {
    PAGE.replace("{{name}}", name).replace("{{count}}", &count.to_string()).replace("{{age}}", &span(age))
}

const PAGE: &str = include_str!("page.html");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_request_is_told_from_the_others() {
        let first = text("hello", 1, Duration::from_millis(35));
        assert!(first.contains("first request") && first.contains("35 ms"), "{first}");
        let second = text("hello", 2, Duration::from_secs(130));
        assert!(second.contains("request number 2") && second.contains("2 min"), "{second}");
        assert!(second.contains("http.server {port}"));
    }

    #[test]
    fn the_page_is_whole_and_fetches_nothing() {
        let page = html("shop", 3, Duration::from_secs(5));
        assert!(page.contains("kaos explain shop") && !page.contains("{{"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("src="));
    }
}
