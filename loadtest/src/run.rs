//! Runs a scenario: opens the connections of all loads, then sends each request when it is due.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::ask::{Form, ask};
use crate::lines::Lines;
use crate::pace::Pace;
use crate::scenario::{Kill, Load, Scenario};
use crate::schedule::Due;
use crate::tally::{Departure, Tally};

/// From the last connection to the first request, so that all loads begin together.
const PAUSE: Duration = Duration::from_millis(50);

/// A load that is ready to start.
struct Ready {
    load: Arc<Load>,
    form: Arc<Form>,
    lines: Arc<Lines>,
    plan: Vec<Due>,
    tally: Arc<Mutex<Tally>>,
}

/// Runs all loads of `scenario` to their last answer. Returns the tally of each, in order. The error says what kept it from
/// starting.
pub async fn run(scenario: &Scenario) -> Result<Vec<Tally>, String> {
    let target = resolve(&scenario.target)?;
    let mut ready = Vec::new();
    for load in &scenario.load {
        let error = |error: String| format!("load {:?}: {error}", load.name);
        let lines = Lines::new(target, load.protocol, load.connections, load.streams);
        lines
            .open()
            .await
            .map_err(|failure| error(format!("{failure} ({target}): is Kaos running there?")))?;
        let form = Arc::new(Form::new(&load.request, load.protocol).map_err(error)?);
        let plan = load.arrival.plan(load.hosts.len(), load.each_host).map_err(error)?;
        let tally = Arc::new(Mutex::new(Tally::default()));
        ready.push(Ready { load: Arc::new(load.clone()), form, lines, plan, tally });
    }
    let begun = Instant::now() + PAUSE;
    let tallies: Vec<_> = ready.iter().map(|ready| Arc::clone(&ready.tally)).collect();
    let killing =
        scenario.kill.as_ref().map(|kill| tokio::spawn(kill_again_and_again(kill.clone(), tallies.clone())));
    let tasks: Vec<_> = ready.into_iter().map(|ready| tokio::spawn(send_all(ready, begun))).collect();
    for task in tasks {
        task.await.map_err(|error| format!("a load ended early: {error}"))??;
    }
    if let Some(killing) = killing {
        killing.abort();
    }
    let taken = |tally: &Arc<Mutex<Tally>>| {
        std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner))
    };
    Ok(tallies.iter().map(taken).collect())
}

/// The address of `http://HOST:PORT`.
pub(crate) fn resolve(target: &str) -> Result<SocketAddr, String> {
    let expected = || format!("target {target:?}: expected http://HOST:PORT");
    let authority = target.strip_prefix("http://").ok_or_else(expected)?.trim_end_matches('/');
    let mut addresses = authority.to_socket_addrs().map_err(|_| expected())?;
    addresses.next().ok_or_else(expected)
}

async fn send_all(ready: Ready, begun: Instant) -> Result<(), String> {
    let Ready { load, form, lines, plan, tally } = ready;
    let begun = begun + load.start;
    let pace = Pace::new(begun).map_err(|error| format!("no timer: {error}"))?;
    // Nothing is ever sent here: it closes when the last request has dropped its end.
    let (running, mut all_done) = mpsc::channel::<()>(1);
    let mut starved_until = Duration::ZERO;
    for due in plan {
        pace.until(due.at).await.map_err(|error| format!("no timer: {error}"))?;
        let wait = lines.busy();
        let turn = lines.turn().await.ok_or("no connection")?;
        if wait {
            starved_until = begun.elapsed();
        }
        let starved = starved_until > due.at;
        let (load, form, lines) = (Arc::clone(&load), Arc::clone(&form), Arc::clone(&lines));
        let (tally, running) = (Arc::clone(&tally), running.clone());
        tokio::spawn(async move {
            let departure = Departure { due: due.at, sent: begun.elapsed(), starved };
            let outcome = ask(&lines, turn, &form, &load.hosts[due.host], &load.client).await;
            tally.lock().unwrap_or_else(PoisonError::into_inner).count(
                departure,
                &outcome,
                begun,
                &load.expect,
            );
            drop(running);
        });
    }
    drop(running);
    let _ = all_done.recv().await;
    Ok(())
}

async fn kill_again_and_again(kill: Kill, tallies: Vec<Arc<Mutex<Tally>>>) {
    loop {
        tokio::time::sleep(kill.every).await;
        let last = |tally: &Arc<Mutex<Tally>>| tally.lock().unwrap_or_else(PoisonError::into_inner).pid;
        match tallies.iter().find_map(last).map(kill_answer) {
            Some(Ok(pid)) => eprintln!("killed replica {pid}"),
            Some(Err(why)) => eprintln!("killed nothing: {why}"),
            None => eprintln!("killed nothing: no answer with X-Answer-Pid yet"),
        }
    }
}

/// SIGKILL, if that process is still the `answer` program: its id may belong to another by now.
fn kill_answer(pid: u32) -> Result<u32, String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim() != "answer" {
        return Err(format!("process {pid} is {:?}", name.trim()));
    }
    let id = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).ok_or("no process id")?;
    rustix::process::kill_process(id, rustix::process::Signal::KILL).map_err(|error| error.to_string())?;
    Ok(pid)
}
