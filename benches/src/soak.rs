//! Mixed load for a long time: every protocol, clients that leave, replicas that are killed, certificates and configuration
//! that change. Whether every answer is right, and whether memory stays as it was.

mod client;
mod tally;
mod trouble;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;

use crate::core;
use crate::load::runtime;
use crate::peer::{Candidate, Stage};
use crate::process::{Process, memory};
use crate::ready::{free_address, wait_until_open};
use crate::round::median;
use client::{Kind, Places};
use tally::Tally;
use trouble::Trouble;

/// Between two looks at the process's memory.
const LOOK: Duration = Duration::from_secs(1);

/// Between two lines of progress.
const TELL: Duration = Duration::from_secs(60);

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Soaked {
    pub(crate) seconds: f64,
    /// By kind of client: what came of its requests.
    pub(crate) requests: Vec<tally::Line>,
    /// How connections broke, and how often.
    pub(crate) broken: BTreeMap<String, u64>,
    /// Replicas killed, certificates and configurations replaced.
    pub(crate) killed: u64,
    pub(crate) certificates: u64,
    pub(crate) configurations: u64,
    /// Memory in MB, medians of the halves.
    pub(crate) halves_mb: [f64; 2],
}

/// Loads Kaos for `span`. Wrong answers are said in `wrong`.
pub(crate) fn run(
    kaos: &Candidate,
    stage: Stage<'_>,
    span: Duration,
    wrong: &mut Vec<String>,
) -> Result<Soaked, String> {
    let places = Places { plain: free_address()?, tls: free_address()? };
    let mut trouble = Trouble::new(stage, places, free_address()?)?;
    let mut process = start(kaos, stage, places, &trouble)?;
    wait_until_open(&mut process, places.plain, stage.folder)?;
    runtime()?.block_on(async {
        let (begun, tally) = (Instant::now(), Arc::new(Tally::default()));
        let mut clients = JoinSet::new();
        for (kind, count) in Kind::ALL {
            for _ in 0..count {
                let connectors = [false, true].map(|http2| stage.certificate.connector(http2));
                clients.spawn(client::run(kind, places, connectors, Arc::clone(&tally)));
            }
        }
        let (mut sizes, mut told) = (Vec::new(), Instant::now());
        while begun.elapsed() < span {
            tokio::time::sleep(LOOK).await;
            if let Some(ended) = process.ended(stage.folder) {
                return Err(ended);
            }
            sizes.push(memory(process.id(), false) as f64 / 1e6);
            trouble.make(process.id())?;
            if told.elapsed() >= TELL {
                told = Instant::now();
                let seconds = begun.elapsed().as_secs();
                eprintln!("side-by-side: {seconds} s, {:.1} MB: {}", sizes[sizes.len() - 1], tally.line());
            }
        }
        clients.shutdown().await;
        wrong.extend(tally.wrong());
        let (first, second) = sizes.split_at(sizes.len() / 2);
        Ok(Soaked {
            seconds: begun.elapsed().as_secs_f64(),
            requests: tally.lines(),
            broken: tally.broken(),
            killed: trouble.killed,
            certificates: trouble.certificates,
            configurations: trouble.configurations,
            halves_mb: [median(first.to_vec()), median(second.to_vec())],
        })
    })
}

fn start(
    kaos: &Candidate,
    stage: Stage<'_>,
    places: Places,
    trouble: &Trouble<'_>,
) -> Result<Process, String> {
    let program = kaos.program.as_ref().ok_or("no program")?.path.to_string_lossy().into_owned();
    let folders = ["XDG_STATE_HOME", "XDG_RUNTIME_DIR"];
    let mut words = vec!["env".to_owned()];
    words.extend(folders.map(|name| format!("{name}={}", stage.folder.display())));
    words.extend([program, "up".to_owned(), "--config".to_owned(), trouble.config()]);
    words.extend(["--listen-tls".to_owned(), places.tls.to_string()]);
    words.extend(["--tls-cert".to_owned(), stage.certificate.chain.display().to_string()]);
    words.extend(["--tls-key".to_owned(), stage.certificate.key.display().to_string()]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Process::start("soak", &core::pinned(stage.core, &words), stage.folder)
}
