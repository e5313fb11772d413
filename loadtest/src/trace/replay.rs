//! Sends a trace to a running Kaos: each minute's requests at independent, even moments within their minute.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::read::Function;
use crate::ask::{Form, ask};
use crate::lines::Lines;
use crate::pace::Pace;
use crate::phases;
use crate::scenario::{Client, Protocol, Shape};
use crate::schedule::seeded;

const MINUTE: f64 = 60.0;

/// Which part of a trace, and how.
pub struct Replay {
    /// The first minute, from 0.
    pub from_minute: usize,
    /// How many minutes.
    pub minutes: usize,
    /// So many times faster than recorded. What each request takes stays as recorded.
    pub speed: f64,
    /// Of the moments within the minutes.
    pub seed: u64,
    /// Connections at most.
    pub connections: usize,
    /// A request that takes longer has failed.
    pub timeout: Duration,
}

/// One request of a trace that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Due {
    /// Since the start of the replay.
    pub at: Duration,
    /// Index of the function.
    pub function: usize,
}

/// One request as it went.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When it was sent, since the start of the replay.
    pub at: Duration,
    /// Index of the function.
    pub function: usize,
    /// What the function was asked to take.
    pub takes: Duration,
    /// The status, or why there is none.
    pub status: Result<u16, String>,
    /// From due to the last byte or to the failure.
    pub latency: Duration,
    /// It waited for a start.
    pub cold: bool,
    /// What that took from asked for to ready, if it was asked for after the request had come.
    pub start: Option<Duration>,
    /// How late it was sent.
    pub lag: Duration,
}

/// The name of a function: its row, `f000` first.
pub fn name(function: usize) -> String {
    format!("f{function:03}")
}

/// The requests of the chosen minutes in order. The error says which minutes there are.
pub fn plan(functions: &[Function], replay: &Replay) -> Result<Vec<Due>, String> {
    let recorded = functions.iter().map(|function| function.minutes.len()).min().unwrap_or(0);
    let end = replay.from_minute.saturating_add(replay.minutes);
    if replay.minutes == 0 || end > recorded {
        let from = replay.from_minute;
        return Err(format!(
            "minutes {from} to {end}: expected at least one, within the {recorded} recorded"
        ));
    }
    if !(replay.speed > 0.0 && replay.speed <= 1000.0) {
        return Err(format!("speed {}: expected a number above 0, up to 1000", replay.speed));
    }
    let mut plan = Vec::new();
    for (function, traffic) in functions.iter().enumerate() {
        let mut random = seeded(replay.seed, function as u64);
        for (minute, count) in traffic.minutes[replay.from_minute..end].iter().enumerate() {
            for _ in 0..*count {
                let seconds = (minute as f64 + random.f64()) * MINUTE / replay.speed;
                plan.push(Due { at: Duration::from_secs_f64(seconds), function });
            }
        }
    }
    plan.sort_by_key(|due| due.at);
    if plan.len() > crate::schedule::MOST {
        return Err(format!(
            "{} requests: expected at most {}; choose fewer minutes",
            plan.len(),
            crate::schedule::MOST
        ));
    }
    Ok(plan)
}

/// Replays and waits for the last answer. Returns every request in the order it was sent.
pub async fn run(
    target: std::net::SocketAddr,
    functions: &[Function],
    plan: &[Due],
    replay: &Replay,
) -> Result<Vec<Sent>, String> {
    let forms = functions.iter().map(form).collect::<Result<Vec<_>, _>>()?;
    let forms = Arc::new(forms);
    let client = Arc::new(Client { timeout: replay.timeout, ..Client::default() });
    let lines = Lines::new(target, Protocol::H1, replay.connections, 1);
    let (running, mut all_done) = mpsc::channel::<()>(1);
    let sent = Arc::new(Mutex::new(Vec::with_capacity(plan.len())));
    let begun = Instant::now();
    let pace = Pace::new(begun).map_err(|error| format!("no timer: {error}"))?;
    for due in plan.iter().copied() {
        pace.until(due.at).await.map_err(|error| format!("no timer: {error}"))?;
        let turn = lines.turn().await.ok_or("no connection")?;
        let (lines, forms, client) = (Arc::clone(&lines), Arc::clone(&forms), Arc::clone(&client));
        let (sent, running, takes) = (Arc::clone(&sent), running.clone(), functions[due.function].takes);
        tokio::spawn(async move {
            let at = begun.elapsed();
            let host = format!("{}.localhost", name(due.function));
            let outcome = ask(&lines, turn, &forms[due.function], &host, &client).await;
            let headers = outcome.answer.as_ref().ok().map(|answer| &answer.headers);
            let (cold, start) = (headers.is_some_and(phases::is_cold), headers.and_then(phases::start));
            let status = outcome.answer.map(|answer| answer.status).map_err(|failure| failure.to_string());
            let (latency, lag) = (begun.elapsed().saturating_sub(due.at), at.saturating_sub(due.at));
            let one = Sent { at, function: due.function, takes, status, latency, cold, start, lag };
            sent.lock().unwrap_or_else(PoisonError::into_inner).push(one);
            drop(running);
        });
    }
    drop(running);
    let _ = all_done.recv().await;
    let mut sent = std::mem::take(&mut *sent.lock().unwrap_or_else(PoisonError::into_inner));
    sent.sort_by_key(|one| one.at);
    Ok(sent)
}

fn form(function: &Function) -> Result<Form, String> {
    let path = match function.takes.as_micros() {
        0 => "/".to_owned(),
        micros => format!("/delay/{micros}us"),
    };
    Form::new(&Shape { path, ..Shape::default() }, Protocol::H1)
}

/// What was sent as `kaos simulate --requests` reads it: seconds, the function's name, and the seconds that it was asked to take.
pub fn csv(sent: &[Sent]) -> String {
    let mut text = String::from("time,workload,duration\n");
    for one in sent {
        let [at, takes] = [one.at, one.takes].map(|span| span.as_secs_f64());
        let _ = writeln!(text, "{at:.6},{},{takes:.6}", name(one.function));
    }
    text
}

/// A `kaos.toml` with `count` functions, each the program at `answer`.
pub fn config(count: usize, answer: &str) -> String {
    let mut text = String::from("listen = \"127.0.0.1:8080\"\nadmin = \"127.0.0.1:9090\"\n");
    // JSON's strings are TOML's basic strings.
    let command = serde_json::Value::from(answer).to_string();
    for function in 0..count {
        let _ = write!(text, "\n[[function]]\nname = \"{}\"\ncommand = [{command}]\n", name(function));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions() -> Vec<Function> {
        let takes = Duration::from_millis(5);
        vec![Function { minutes: vec![9, 3, 0, 2], takes }, Function { minutes: vec![9, 0, 4, 0], takes }]
    }

    fn replay(from_minute: usize, minutes: usize, speed: f64) -> Replay {
        Replay { from_minute, minutes, speed, seed: 1, connections: 1, timeout: Duration::from_secs(1) }
    }

    #[test]
    fn each_request_stays_within_its_minute() {
        let plan = plan(&functions(), &replay(1, 3, 10.0)).unwrap();
        assert!(plan.is_sorted_by_key(|due| due.at));
        let counted = |function: usize, minute: usize| {
            let within = |due: &&Due| (due.at.as_secs_f64() / 6.0) as usize == minute;
            plan.iter().filter(|due| due.function == function).filter(within).count()
        };
        assert_eq!([counted(0, 0), counted(0, 1), counted(0, 2)], [3, 0, 2]);
        assert_eq!([counted(1, 0), counted(1, 1), counted(1, 2)], [0, 4, 0]);
        assert_eq!(plan, super::plan(&functions(), &replay(1, 3, 10.0)).unwrap());
    }

    #[test]
    fn minutes_that_were_not_recorded_are_refused() {
        for (from, minutes, speed) in
            [(0, 0, 1.0), (0, 5, 1.0), (4, 1, 1.0), (usize::MAX, 2, 1.0), (0, 1, 0.0)]
        {
            assert!(plan(&functions(), &replay(from, minutes, speed)).is_err());
        }
    }

    #[test]
    fn what_was_sent_is_written_as_csv() {
        let one = Sent {
            at: Duration::from_millis(1500),
            function: 7,
            takes: Duration::from_millis(20),
            status: Ok(200),
            latency: Duration::from_millis(25),
            cold: true,
            start: None,
            lag: Duration::ZERO,
        };
        assert_eq!(csv(&[one]), "time,workload,duration\n1.500000,f007,0.020000\n");
    }

    #[test]
    fn the_configuration_is_toml_with_every_function() {
        let text = config(100, "/a \"b\"/answer");
        let read: toml::Table = toml::from_str(&text).unwrap();
        let functions = read["function"].as_array().unwrap();
        assert_eq!(functions.len(), 100);
        assert_eq!(functions[99]["name"].as_str(), Some("f099"));
        assert_eq!(functions[0]["command"][0].as_str(), Some("/a \"b\"/answer"));
    }
}
