//! How events of every crate become lines: text for people, JSON for programs. Knows no event.
//!
//! What came from outside is in fields and may hold anything: control characters are escaped.

use std::fmt::{Debug, Write};
use std::io;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use super::terminal::Terminal;
use crate::clock;

/// Sends events of at least `level` to the terminal, as JSON if `json`. Libraries are heard from warnings on: what they
/// say below isn't about Kaos. `h2` isn't heard: it warns of what clients do, once a frame, and they may send ten thousand a
/// second.
pub(crate) fn start(terminal: &Terminal, level: Level, json: bool) {
    let lines = Lines { json, colour: terminal.has_colour() && !json };
    let targets = Targets::new().with_default(level.min(Level::WARN)).with_target("kaos", level);
    let layer = tracing_subscriber::fmt::layer()
        .event_format(lines)
        .with_writer(ToTerminal(terminal.clone()))
        .with_filter(targets.with_target("h2", Level::ERROR));
    let subscriber = tracing_subscriber::registry().with(layer);
    // Only a second subscriber in one process is refused, and there is none.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Writes whole lines to a terminal.
#[derive(Clone)]
pub(crate) struct ToTerminal(pub(crate) Terminal);

impl<'a> MakeWriter<'a> for ToTerminal {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl io::Write for ToTerminal {
    /// An event is written whole, as are others' lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.line(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Lines {
    json: bool,
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        if self.json {
            writeln!(out, "{}", as_json(*metadata.level(), metadata.target(), &fields))
        } else {
            writeln!(out, "{}", as_text(*metadata.level(), self.colour, &fields))
        }
    }
}

/// The field whose text is JSON already. A line of text has it not: its message says the same in short.
const JSON: &str = "entry";

#[derive(Default)]
struct Fields {
    message: String,
    rest: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            (name, value) => self.rest.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let value = match field.name() {
            JSON => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
            _ => value.into(),
        };
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// One object; the usual names come first, as people read them.
fn as_json(level: Level, target: &str, fields: &Fields) -> String {
    let mut line = format!("{{\"ts\":\"{}\",\"level\":\"{}\"", clock::rfc3339_now(), word(level));
    let usual = [("target", Value::from(target)), ("msg", Value::from(fields.message.as_str()))];
    for (name, value) in usual.iter().map(|(name, value)| (*name, value)).chain(rest(fields)) {
        // Writing to a String can't fail.
        let _ = write!(line, ",{}:{value}", Value::from(name));
    }
    line.push('}');
    line
}

fn rest(fields: &Fields) -> impl Iterator<Item = (&'static str, &Value)> {
    fields.rest.iter().map(|(name, value)| (*name, value))
}

fn as_text(level: Level, colour: bool, fields: &Fields) -> String {
    let (on, off) = match level {
        Level::ERROR if colour => ("\x1b[31m", "\x1b[0m"),
        Level::WARN if colour => ("\x1b[33m", "\x1b[0m"),
        _ => ("", ""),
    };
    let mut line =
        format!("{} {on}{:5}{off} {}", clock::time_of_day_now(), word(level), printable(&fields.message));
    for (name, value) in rest(fields).filter(|(name, _)| *name != JSON) {
        // Writing to a String can't fail.
        let _ = match value {
            Value::String(text) if text.contains([' ', '"', '=']) => {
                write!(line, " {name}={:?}", printable(text))
            }
            Value::String(text) => write!(line, " {name}={}", printable(text)),
            other => write!(line, " {name}={other}"),
        };
    }
    line
}

/// `text` with its control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    let escape = |letter: char| {
        let control = letter.is_control() && letter != '\t';
        if control { letter.escape_default().to_string() } else { letter.to_string() }
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields { message: "it\x1b[2J".into(), rest: vec![("why", "a b".into()), ("count", 3.into())] }
    }

    #[test]
    fn a_line_of_text_escapes_what_would_move_the_cursor() {
        let line = as_text(Level::WARN, false, &fields());
        assert!(line.ends_with(r#" warn  it\u{1b}[2J why="a b" count=3"#), "{line}");
        let told = Fields { message: "scaled".into(), rest: vec![(JSON, serde_json::json!({"to": 1}))] };
        assert!(as_text(Level::INFO, false, &told).ends_with(" info  scaled"));
    }

    #[test]
    fn a_line_of_json_has_the_usual_names() {
        let text = as_json(Level::INFO, "kaos::up", &fields());
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["level"], &line["target"], &line["count"]),
            (&"info".into(), &"kaos::up".into(), &3.into())
        );
        assert!(line["ts"].is_string() && line["msg"].is_string());
        assert!(text.starts_with("{\"ts\":\"") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn an_entry_of_the_journal_is_an_object_within_the_line() {
        #[derive(Clone, Default)]
        struct Kept(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl io::Write for Kept {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Lines { json: true, colour: false })
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(entry = r#"{"to":1}"#, other = r#"{"to":1}"#, "scaled");
        });
        let line: Value = serde_json::from_slice(&kept.0.lock().unwrap()).unwrap();
        assert_eq!((&line["entry"]["to"], line["other"].is_string()), (&1.into(), true));
    }
}
