//! Lines of access logs as nginx and Apache write them in their format `combined`.
//!
//! `[vhost] address ident user [time] "request" status bytes "referer" "agent"`, and then nothing, or more quoted texts, or
//! the seconds that the request took (nginx's `$request_time`) and whatever else, or what ingress-nginx has there. What a
//! request line says doesn't matter: what isn't HTTP has come all the same.

use super::arrivals::{Arrival, Arrivals};
use super::lines::Lines;
use super::time::{self, Stamp};
use super::{TAKES, TraceError, excerpt, take};

/// Most seconds without a point: `$request_time` has one, and Apache's `%D`, which is microseconds, has none.
const WHOLE: u64 = 86_400 * 1_000_000;

/// Whether a line is one of these.
pub(super) fn is_one(line: &str) -> bool {
    head(line).is_some()
}

/// Reads all requests.
pub(super) fn read(lines: &mut Lines<'_>, arrivals: &mut Arrivals) -> Result<(), TraceError> {
    while lines.advance()? {
        let text = lines.text();
        let arrival = arrival(text.trim()).map_err(|what| lines.wrong(what));
        let done = arrival.and_then(|arrival| take(lines, arrivals, arrival));
        match done {
            Err(_) if lines.is_torn() => break,
            done => done?,
        }
    }
    Ok(())
}

/// Who, when, and what comes after the first quote. A user may write brackets, but no quotes.
fn head(line: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = line.split_once('"')?;
    let (who, time) = head.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    Some((who, time, rest))
}

fn arrival(line: &str) -> Result<Arrival<'_>, String> {
    let (who, time, rest) = head(line).ok_or_else(|| {
        let expected = r#"expected: address - user [time] "request" status bytes "referer" "agent""#;
        format!("got {}; {expected}", excerpt(line))
    })?;
    let stamp = Stamp::common_log(time).ok_or_else(|| {
        format!("the time is {}; expected one such as 09/Nov/2026:13:55:36 +0000", excerpt(time))
    })?;
    let workload = virtual_host(who)?;
    let (_, rest) = quoted(rest).ok_or("the request's quote doesn't end")?;
    let mut words = rest.split_ascii_whitespace();
    let result = [words.next(), words.next()].map(Option::unwrap_or_default);
    if !result.iter().all(|word| *word == "-" || is_digits(word)) {
        return Err(format!(
            "after the request comes {}; expected a status and a number of bytes",
            excerpt(&result.join(" "))
        ));
    }
    // After the second word: no blank is within one.
    let rest = result.iter().fold(rest, |rest, word| rest.trim_start().strip_prefix(word).unwrap_or(rest));
    let tail = tail(rest)?;
    let (before, takes) = tail.took.map_or((0, TAKES), |took| (took, took));
    Ok(Arrival { workload: tail.upstream.unwrap_or(workload), stamp, before, takes })
}

/// The virtual host before the address, if there is one. The word after the address is `-` nearly everywhere, and a user may
/// be several words.
fn virtual_host(who: &str) -> Result<&str, String> {
    let words: Vec<&str> = who.split_ascii_whitespace().take(4).collect();
    match words[..] {
        [host, address, _, _] if address != "-" => Ok(host),
        [_, _, _, ..] => Ok(""),
        _ => Err(format!("before the time comes {}; expected address - user", excerpt(who.trim()))),
    }
}

/// What comes after the status and the bytes.
#[derive(Default)]
struct Tail<'a> {
    /// Microseconds.
    took: Option<u64>,
    /// The name of ingress-nginx for the service.
    upstream: Option<&'a str>,
}

fn tail(mut rest: &str) -> Result<Tail<'_>, String> {
    loop {
        rest = rest.trim_start();
        let Some(text) = rest.strip_prefix('"') else { break };
        rest = quoted(text).ok_or("a quote after the status doesn't end")?.1;
    }
    let words: Vec<&str> = rest.split_ascii_whitespace().take(3).collect();
    let took = |word: &str| time::seconds(word).ok_or_else(|| wrong_tail(rest));
    match words[..] {
        [] | ["-", ..] => Ok(Tail::default()),
        // The length of the request, its time, the service, and more.
        [length, word, upstream] if is_digits(length) && upstream.starts_with('[') => {
            Ok(Tail { took: Some(took(word)?), upstream: Some(upstream.trim_matches(['[', ']'])) })
        }
        [word, ..] if word.contains('.') => Ok(Tail { took: Some(took(word)?), upstream: None }),
        [word] if took(word)? <= WHOLE => Ok(Tail { took: Some(took(word)?), upstream: None }),
        _ => Err(wrong_tail(rest)),
    }
}

fn wrong_tail(rest: &str) -> String {
    let expected =
        "expected nothing, or first the seconds that the request took (Apache's %D is microseconds)";
    format!("in the end comes {}; {expected}", excerpt(rest))
}

/// What is before the quote that ends a text, and what is after it. A backslash takes the next character's meaning.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.find(|letter| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}
