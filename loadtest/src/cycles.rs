//! `loadtest cycles`: from zero to an answer and back, again and again; nothing may be left at the end.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::admin::Admin;
use crate::exchange::exchange;
use crate::phases;
use crate::summary::Quantiles;
use crate::tally::Latencies;

/// Longest wait for zero, for an answer, and for the processes to be gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// From one look at the processes to the next.
const POLL: Duration = Duration::from_millis(20);

/// The result of all cycles of one function.
#[derive(Debug, Serialize)]
pub struct Cycled {
    /// The function.
    pub name: String,
    /// Cycles made.
    pub cycles: u64,
    /// Answers that were no cold start, although nothing ran before.
    pub not_cold: u64,
    /// Different processes that answered and said so, as `answer` does.
    pub processes: usize,
    /// From the request to the first byte.
    pub first_byte_ms: Quantiles,
}

/// Cycles the function `name`. The error names the cycle and what went wrong in it.
pub async fn cycle(target: SocketAddr, admin: &Admin, name: &str, count: u64) -> Result<Cycled, String> {
    let head = format!("GET / HTTP/1.1\r\nhost: {name}.localhost\r\nconnection: close\r\n\r\n");
    let (mut spans, mut pids, mut not_cold) = (Latencies::default(), BTreeSet::new(), 0);
    for number in 1..=count {
        let wrong = |why: String| format!("function {name:?}, cycle {number}: {why}");
        admin.wait_for_zero(name, PATIENCE).await.map_err(wrong)?;
        let exchanged = tokio::time::timeout(PATIENCE, exchange(target, &head)).await;
        let exchanged = exchanged.map_err(|_late| wrong("no answer in time".into()))?;
        let answer = exchanged.map_err(|failure| wrong(failure.to_string()))?;
        if answer.status != 200 {
            let body: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
            return Err(wrong(format!("status {}, body {body:?}", answer.status)));
        }
        not_cold += u64::from(!phases::is_cold(&answer.headers));
        spans.record(answer.first_byte - answer.sent);
        // Other programs than `answer` don't say which process they are.
        pids.extend(
            answer.headers.get("x-answer-pid").and_then(|pid| pid.to_str().ok()?.parse::<u32>().ok()),
        );
    }
    admin.wait_for_zero(name, PATIENCE).await?;
    wait_until_gone(name, &pids).await?;
    let processes = pids.len();
    Ok(Cycled {
        name: name.to_owned(),
        cycles: count,
        not_cold,
        processes,
        first_byte_ms: Quantiles::new(&spans),
    })
}

/// Returns when no process that answered is left. At zero a function may still be ending its last one.
async fn wait_until_gone(name: &str, pids: &BTreeSet<u32>) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let left: Vec<u32> = pids.iter().copied().filter(|pid| is_answer(*pid)).collect();
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("function {name:?}: processes {left:?} are left at zero"));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// True if that process is the program `answer`, also as a zombie: an id may belong to another by now.
fn is_answer(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "answer")
}
