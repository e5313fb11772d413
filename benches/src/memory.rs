//! Memory: what an idle keep-alive connection costs each proxy, and what a held cold request costs Kaos.
//!
//! The difference of the process's memory (PSS) before and after, by the number of connections: kernel memory of sockets, which
//! is the same for all, isn't in it. Each proxy is started anew for this, for memory that load has left behind is used again.

use std::path::Path;
use std::time::{Duration, Instant};

use kaos_loadtest::admin::Admin;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::case::{Case, Work};
use crate::configure::held;
use crate::load::{open_all, runtime};
use crate::peer::{Candidate, Peer, Proxy, Stage};
use crate::process::{Process, memory};
use crate::ready::{free_address, wait_until_open};

/// How long memory may take to settle: buffers of idle connections are given back after a while, if at all.
const LEAST: Duration = Duration::from_secs(3);
const MOST: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(500);

/// Longest time to open all, and to hold all.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one thing of many takes.
#[derive(Debug, Serialize)]
pub(crate) struct Taken {
    /// What: idle connections of a kind, or held requests.
    pub(crate) what: String,
    pub(crate) peer: String,
    pub(crate) count: usize,
    /// The process before and after, in MB.
    pub(crate) before_mb: f64,
    pub(crate) after_mb: f64,
    /// Of each, in KB.
    pub(crate) each_kb: f64,
}

impl Taken {
    fn new(what: &str, peer: &str, count: usize, before: u64, after: u64) -> Taken {
        let [before, after] = [before, after].map(|bytes| bytes as f64);
        Taken {
            what: what.to_owned(),
            peer: peer.to_owned(),
            count,
            before_mb: before / 1e6,
            after_mb: after / 1e6,
            each_kb: (after - before) / 1e3 / count as f64,
        }
    }
}

/// `count` idle connections of each kind that `works` has, through each proxy. Who can't is said in `notes`.
pub(crate) fn idle(
    candidates: &[Candidate],
    works: &[Work],
    stage: Stage<'_>,
    count: usize,
    notes: &mut Vec<String>,
) -> Vec<Taken> {
    let mut all = Vec::new();
    for work in [Work::H1, Work::Tls].into_iter().filter(|work| works.contains(work)) {
        for candidate in candidates.iter().filter(|candidate| candidate.peer != Peer::Direct) {
            let case = Case { work, size: stage.upstream.sizes[0], connections: count };
            let measured = Proxy::start(candidate, &[work], stage).and_then(|(proxy, lost)| {
                lost.first().map_or_else(|| open_and_wait(&proxy, case, stage), |why| Err(why.clone()))
            });
            match measured {
                Ok((before, after)) => {
                    let what = format!("idle {} connection", work.name());
                    all.push(Taken::new(&what, &candidate.name, count, before, after));
                }
                Err(why) => notes.push(format!("{}: idle {}: {why}", candidate.name, work.name())),
            }
        }
    }
    all
}

fn open_and_wait(proxy: &Proxy, case: Case, stage: Stage<'_>) -> Result<(u64, u64), String> {
    runtime()?.block_on(async {
        let target = proxy.target(case, stage);
        let before = settled(|| proxy.memory()).await;
        let lines = tokio::time::timeout(PATIENCE, async {
            let mut lines = open_all(&target).await?;
            // One after the other: connections to the upstream aren't what is measured.
            for line in &mut lines {
                line.ask().await?;
            }
            Ok::<_, String>(lines)
        });
        let lines = lines.await.map_err(|_late| format!("not within {} s", PATIENCE.as_secs()))??;
        let after = settled(|| proxy.memory()).await;
        drop(lines);
        Ok((before, after))
    })
}

/// `count` requests that Kaos holds for a function that never listens.
pub(crate) fn hold(candidate: &Candidate, folder: &Path, core: usize, count: usize) -> Result<Taken, String> {
    let program = candidate.program.as_ref().ok_or("no program")?.path.to_string_lossy().into_owned();
    let (listen, admin) = (free_address()?, free_address()?);
    let config = folder.join("held.toml");
    let wrong = |error: std::io::Error| format!("{}: {error}", config.display());
    std::fs::write(&config, held(listen, admin, count)).map_err(wrong)?;
    let config = config.to_string_lossy();
    let folders = ["XDG_STATE_HOME", "XDG_RUNTIME_DIR"].map(|name| format!("{name}={}", folder.display()));
    let words = ["env", &folders[0], &folders[1], &program, "up", "--config", &config];
    let mut process = Process::start("held", &crate::core::pinned(core, &words), folder)?;
    wait_until_open(&mut process, listen, folder)?;
    runtime()?.block_on(async {
        let admin = Admin::new(&format!("http://{admin}"))?;
        let before = settled(|| memory(process.id(), false)).await;
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            let mut stream = TcpStream::connect(listen).await.map_err(|error| error.to_string())?;
            let request =
                b"GET / HTTP/1.1\r\nHost: held.localhost\r\nUser-Agent: side-by-side\r\nAccept: */*\r\n\r\n";
            stream.write_all(request).await.map_err(|error| error.to_string())?;
            clients.push(stream);
        }
        admin.wait_for_waiting("held", count as u64, PATIENCE).await?;
        let after = settled(|| memory(process.id(), false)).await;
        drop(clients);
        Ok(Taken::new("held cold request", &candidate.name, count, before, after))
    })
}

/// The memory once it has stayed the same for a poll, or at the end of the wait.
async fn settled(mut look: impl FnMut() -> u64) -> u64 {
    let begun = Instant::now();
    let mut last = look();
    loop {
        tokio::time::sleep(POLL).await;
        let now = look();
        if (now == last && begun.elapsed() >= LEAST) || begun.elapsed() >= MOST {
            return now;
        }
        last = now;
    }
}
