//! One request as one line: an object of JSON, or Apache's format `combined`. Whatever a client wrote can't end a line, a
//! string or a terminal's patience: quotes and control characters are escaped.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use kaos_proxy::Entry;

use crate::clock;

/// Writes an object. What isn't known is left out.
pub(super) fn json(entry: &Entry, at: Timestamp, out: &mut Vec<u8>) {
    // Writing to a Vec can't fail.
    let _ = write!(out, "{{\"ts\":\"{}\",\"client\":\"{}\"", clock::rfc3339(at), entry.client);
    text(out, "method", entry.method());
    text(out, "host", entry.host());
    text(out, "path", entry.path());
    text(out, "protocol", entry.protocol.unwrap_or_default().as_bytes());
    let (took, waited) = (millis(entry.duration), millis(entry.queue_wait));
    let _ = write!(
        out,
        ",\"status\":{},\"bytes_in\":{},\"bytes_out\":{},\"duration_ms\":{took},\"queue_ms\":{waited},\"cold\":{},\"cut\":{}",
        entry.status, entry.received, entry.sent, entry.cold, entry.cut
    );
    text(out, "refusal", entry.refusal.unwrap_or_default().as_bytes());
    if let Some(id) = &entry.workload {
        text(out, "workload", id.to_string().as_bytes());
    }
    if let Some(replica) = &entry.replica {
        text(out, "replica", replica.uid.as_str().as_bytes());
        text(out, "replica_address", replica.address.to_string().as_bytes());
    }
    text(out, "request_id", entry.request_id.as_bytes());
    text(out, "trace_id", entry.trace_id.as_ref().map_or("", |id| id.as_str()).as_bytes());
    text(out, "user_agent", entry.user_agent());
    text(out, "referer", entry.referer());
    text(out, "forwarded_for", entry.forwarded_for());
    out.extend_from_slice(b"}\n");
}

/// Milliseconds, to the microsecond.
fn millis(span: Duration) -> String {
    format!("{}.{:03}", span.as_millis(), span.subsec_micros() % 1000)
}

/// Writes a member whose value is a text, unless it is empty.
fn text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    let _ = write!(out, ",\"{name}\":\"");
    // Nearly all are so.
    if value.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(value);
        out.push(b'"');
        return;
    }
    for letter in String::from_utf8_lossy(value).chars() {
        let _ = match letter {
            '"' | '\\' => write!(out, "\\{letter}"),
            // All controls are within the first 256 characters.
            letter if letter.is_control() => write!(out, "\\u{:04x}", u32::from(letter)),
            letter => write!(out, "{letter}"),
        };
    }
    out.push(b'"');
}

/// Writes a line as Apache's `combined`: `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`, but that the request
/// line is without the query.
pub(super) fn combined(entry: &Entry, at: Timestamp, out: &mut Vec<u8>) {
    let _ = write!(out, "{} - - [{}] \"", entry.client, clock::common_log(at));
    match entry.protocol {
        Some(protocol) => {
            escaped(out, entry.method());
            out.push(b' ');
            escaped(out, entry.path());
            let _ = write!(out, " {protocol}");
        }
        None => out.push(b'-'),
    }
    let _ = write!(out, "\" {} ", entry.status);
    let _ = if entry.sent == 0 { write!(out, "-") } else { write!(out, "{}", entry.sent) };
    for value in [entry.referer(), entry.user_agent()] {
        out.extend_from_slice(b" \"");
        escaped(out, if value.is_empty() { b"-" } else { value });
        out.push(b'"');
    }
    out.push(b'\n');
}

/// Writes a text as Apache does: only what is printable in ASCII stands for itself.
fn escaped(out: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\t' => out.extend_from_slice(b"\\t"),
            b' '..=b'~' => out.push(*byte),
            byte => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
#[path = "line_test.rs"]
pub(super) mod tests;
