//! Reads the admin port of a running Kaos: what state a workload is in.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::exchange::exchange;
use crate::run::resolve;

/// From one look at a workload's state to the next.
const POLL: Duration = Duration::from_millis(20);

/// Longest wait for one answer of the admin port.
const PATIENCE: Duration = Duration::from_secs(5);

/// The admin port of a Kaos.
pub struct Admin {
    address: SocketAddr,
}

/// What is looked at of `/v1/workloads/{namespace}/{name}`.
#[derive(Debug, Deserialize)]
pub struct Workload {
    /// `zero`, `waking`, `serving`, `holding` or `failed`.
    pub state: String,
    /// How many replicas there are.
    pub replicas: Replicas,
    /// Requests that wait for a replica.
    #[serde(default)]
    pub waiting: u64,
}

/// Replicas of a workload.
#[derive(Debug, Deserialize)]
pub struct Replicas {
    /// Those that are ready.
    pub ready: u32,
    /// Those that start.
    pub starting: u32,
}

impl Workload {
    /// True if nothing of it runs.
    pub fn at_zero(&self) -> bool {
        self.state == "zero" && self.replicas.ready == 0 && self.replicas.starting == 0
    }
}

impl Admin {
    /// The admin port at `http://HOST:PORT`.
    pub fn new(url: &str) -> Result<Admin, String> {
        Ok(Admin { address: resolve(url)? })
    }

    /// The admin port at `address`.
    pub fn at(address: SocketAddr) -> Admin {
        Admin { address }
    }

    /// The answer to GET `path`. The error says what the admin port answered instead.
    async fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let address = self.address;
        let wrong = |why: String| format!("admin port {address}, {path}: {why}");
        let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let answer = tokio::time::timeout(PATIENCE, async { exchange(address, &head).await }).await;
        let answer = answer.map_err(|_late| wrong(format!("no answer within {} s", PATIENCE.as_secs())))?;
        let answer = answer.map_err(|failure| wrong(failure.to_string()))?;
        if answer.status == 200 { Ok(answer.body) } else { Err(wrong(format!("status {}", answer.status))) }
    }

    /// The page of metrics.
    pub async fn metrics(&self) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.get("/metrics").await?).into_owned())
    }

    /// The local function `name`. The error says what the admin port answered instead.
    pub async fn workload(&self, name: &str) -> Result<Workload, String> {
        let body = self.get(&format!("/v1/workloads/local/{name}")).await?;
        serde_json::from_slice(&body).map_err(|error| format!("function {name:?}: {error}"))
    }

    /// Returns when `count` requests wait for the function `name`. The error says how many did at the deadline.
    pub async fn wait_for_waiting(&self, name: &str, count: u64, within: Duration) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let workload = self.workload(name).await?;
            if workload.waiting == count {
                return Ok(());
            }
            if begun.elapsed() > within {
                return Err(format!("{} requests wait for {name:?} instead of {count}", workload.waiting));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Returns when nothing of the function `name` runs. The error says in what state it still was at the deadline.
    pub async fn wait_for_zero(&self, name: &str, within: Duration) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let workload = self.workload(name).await?;
            if workload.at_zero() {
                return Ok(());
            }
            if begun.elapsed() > within {
                let seconds = within.as_secs();
                return Err(format!("function {name:?} isn't at zero after {seconds} s: {workload:?}"));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_a_state_without_replicas() {
        let read = |state: &str, ready: u32| -> Workload {
            let text = format!(
                "{{\"state\":\"{state}\",\"replicas\":{{\"desired\":0,\"ready\":{ready},\"starting\":0}},\"hosts\":[]}}"
            );
            serde_json::from_str(&text).unwrap()
        };
        assert!(read("zero", 0).at_zero());
        assert!(!read("zero", 1).at_zero());
        assert!(!read("holding", 0).at_zero());
    }
}
