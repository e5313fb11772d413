//! What replicas write goes to stderr, each line with its function and replica in front.

use kaos_local::{Feed, Item, Line};

use crate::process::log::printable;
use crate::process::terminal::Terminal;

/// Writes every line of `feed` until there can be no more.
pub(crate) async fn output(mut feed: Feed, terminal: Terminal) {
    while let Some(item) = feed.next().await {
        let text = match item {
            Item::Line(line) => prefixed(&line, terminal.has_colour()),
            Item::Missed(count) => format!("({count} lines of replicas were passed over)\n"),
        };
        terminal.line(text.into_bytes());
    }
}

/// Colours that the replica chose stay where colours are welcome; all else that moves the cursor is escaped.
fn prefixed(line: &Line, colour: bool) -> String {
    let text: String = if colour {
        line.text.split('\x1b').map(printable).collect::<Vec<_>>().join("\x1b")
    } else {
        printable(&line.text)
    };
    let off = if colour && text.contains('\x1b') { "\x1b[0m" } else { "" };
    format!("{} {} | {text}{off}\n", line.workload.name(), line.replica)
}

#[cfg(test)]
mod tests {
    use kaos_core::{EndpointUid, Moment, WorkloadId};
    use kaos_local::Stream;

    use super::*;

    #[test]
    fn a_line_names_its_function_and_replica_and_cant_hide() {
        let line = Line {
            workload: WorkloadId::new("local", "shop"),
            replica: EndpointUid::new("r1"),
            stream: Stream::Stdout,
            at: Moment::ZERO,
            number: 0,
            text: "a\x1b[31mb\rc\td".into(),
        };
        assert_eq!(prefixed(&line, false), "shop r1 | a\\u{1b}[31mb\\rc\td\n");
        assert_eq!(prefixed(&line, true), "shop r1 | a\x1b[31mb\\rc\td\x1b[0m\n");
    }
}
