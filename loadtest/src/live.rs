//! `loadtest live`: recorded traffic on a Kaos that runs, and the same under `kaos simulate`, side by side.
//!
//! What is sent is written down and handed to the simulation as it was, with the same knobs, and with the start-up time that was
//! measured: so nothing has to be scaled, and what differs is a fault of one of the two.

pub mod figures;
pub mod simulated;
pub mod up;

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::trace::read::Function;
use crate::trace::replay::{Sent, name};

/// A whole minute: what is simulated ends with one.
const MINUTE: Duration = Duration::from_secs(60);

/// A knob and its value.
pub type Setting = (String, String);

/// The functions that are replayed: the first `count` of those with at least one request in the minutes of `from` on, and at most
/// `busiest` a minute on average. Everything about them is `speed` times as fast.
pub fn choose(
    all: &[Function],
    from: usize,
    minutes: usize,
    count: usize,
    busiest: f64,
    speed: f64,
) -> Vec<Function> {
    let medium = |function: &&Function| {
        let counts = function.minutes.iter().skip(from).take(minutes);
        let requests: u64 = counts.map(|count| u64::from(*count)).sum();
        requests > 0 && requests as f64 <= busiest * minutes as f64
    };
    let faster = |function: &Function| Function { takes: function.takes.div_f64(speed), ..function.clone() };
    all.iter().filter(medium).take(count).map(faster).collect()
}

/// A `kaos.toml` with `count` functions that take `start` to be ready, under `knobs`.
pub fn config(count: usize, answer: &Path, start: Duration, knobs: &[Setting]) -> String {
    // JSON's strings are TOML's basic strings.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let answer = quoted(&answer.to_string_lossy());
    // Whatever has to start may: a limit on starts at once isn't simulated.
    let mut text = String::from("max-starting = 1000\n\n[defaults]\n");
    for (knob, value) in knobs {
        let value = if value.parse::<f64>().is_ok() { value.clone() } else { quoted(value) };
        let _ = writeln!(text, "{knob} = {value}");
    }
    let delay = quoted(&format!("{}ms", start.as_millis()));
    for function in 0..count {
        let function = name(function);
        let _ = write!(
            text,
            "\n[[function]]\nname = \"{function}\"\ncommand = [{answer}, \"--start-delay\", {delay}]\n"
        );
    }
    text
}

/// When what is simulated of `sent` begins, and how long it is: from the first request to the last one's end, in whole minutes.
pub fn span(sent: &[Sent]) -> (Duration, Duration) {
    let begins = sent.iter().map(|one| one.at).min().unwrap_or_default();
    let ends = sent.iter().map(|one| one.at + one.takes).max().unwrap_or_default();
    let minutes = (ends - begins).as_secs_f64() / MINUTE.as_secs_f64();
    (begins, MINUTE * minutes.ceil() as u32)
}

/// What a start took on average, from asked for to ready, by those who waited for the whole of one.
pub fn start(sent: &[Sent]) -> Duration {
    let starts = || sent.iter().filter_map(|one| one.start);
    starts().sum::<Duration>().checked_div(starts().count() as u32).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_up_to_medium_rates_are_chosen() {
        let takes = Duration::from_secs(1);
        let function = |minutes: &[u32]| Function { minutes: minutes.to_vec(), takes };
        let all = [
            function(&[0, 9, 0]),
            function(&[5, 0, 0]),
            function(&[1, 0, 1]),
            function(&[1, 3, 3]),
            function(&[0, 0, 1]),
        ];
        let chosen = choose(&all, 1, 2, 2, 3.0, 10.0);
        let minutes: Vec<_> = chosen.iter().map(|one| one.minutes.clone()).collect();
        assert_eq!(minutes, [[1, 0, 1], [1, 3, 3]]);
        assert_eq!(chosen[0].takes, Duration::from_millis(100));
    }

    #[test]
    fn the_configuration_is_toml() {
        let knobs = [("idle-timeout", "6s"), ("target", "2.5")]
            .map(|(knob, value)| (knob.to_owned(), value.to_owned()));
        let text = config(2, Path::new("/a b/answer"), Duration::from_millis(100), &knobs);
        let read: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(read["defaults"]["idle-timeout"].as_str(), Some("6s"));
        assert_eq!(read["defaults"]["target"].as_float(), Some(2.5));
        assert_eq!(read["function"][1]["command"][2].as_str(), Some("100ms"));
    }

    #[test]
    fn a_simulation_is_whole_minutes_from_the_first_request_on() {
        let sent = |at, takes| Sent {
            at: Duration::from_secs(at),
            function: 0,
            takes: Duration::from_secs(takes),
            status: Ok(200),
            latency: Duration::ZERO,
            cold: false,
            start: Some(Duration::from_millis(at)),
            lag: Duration::ZERO,
        };
        let sent = [sent(5, 100), sent(20, 2), sent(65, 9)];
        assert_eq!(span(&sent), (Duration::from_secs(5), Duration::from_secs(120)));
        assert_eq!((start(&sent), start(&[])), (Duration::from_millis(30), Duration::ZERO));
    }
}
