//! Attacks beside honest load: what a hundred clients that keep no rule of HTTP cost all others.
//!
//! The attackers yield to everybody else on the core of the load (they are as nice as can be), so that what the honest wait for
//! is the proxy. Each comes again a moment after it was thrown out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kaos_loadtest::flood::{self, Flood};
use kaos_loadtest::frames::{END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, block, bytes, get};
use serde::Serialize;
use tokio::io::{AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Arguments;
use crate::case::{Case, Work};
use crate::certificate::HOST;
use crate::load::{self, Loop, runtime};
use crate::peer::{Candidate, Peer, Proxy, Stage};
use crate::round::median;

/// From an attack's end to the same attacker's next one.
const PAUSE: Duration = Duration::from_millis(100);

/// Longest attack: an attacker who is never thrown out begins again by itself.
const LONGEST: Duration = Duration::from_secs(30);

/// Rounds of a flood that are sent at once.
const BATCH: usize = 200;

/// Bytes that are written at once: the kernel doesn't interrupt a write, however nice its thread is.
const PIECE: usize = 8 * 1024;

/// How nice attackers are: as nice as can be.
const NICE: i32 = 19;

/// One attack on one proxy.
#[derive(Debug, Serialize)]
pub(crate) struct Attacked {
    pub(crate) attack: String,
    pub(crate) peer: String,
    /// 99 % of the honest waited no longer: medians of the rounds without and with attackers.
    pub(crate) quiet_ms: f64,
    pub(crate) attacked_ms: f64,
    /// Attacks begun in a second.
    pub(crate) begun: f64,
    /// The most memory that the proxy has had up to the end of this attack, in MB.
    pub(crate) most_mb: f64,
}

/// What an attacker does on a connection.
#[derive(Clone, Debug)]
struct Attack {
    name: &'static str,
    begin: Vec<u8>,
    /// Without one it says nothing more.
    flood: Option<Flood>,
}

/// Every flood, and those who hold on to what they have got.
fn attacks(path: &str) -> Vec<Attack> {
    let http2 = |settings: &[u8]| [PREFACE, &bytes(SETTINGS, 0, 0, settings)].concat();
    let floods = flood::all().into_iter().map(|flood| Attack {
        name: flood.name,
        begin: [http2(&[]), flood.begin(HOST)].concat(),
        flood: Some(flood),
    });
    let hold = |name, begin| Attack { name, begin, flood: None };
    let ask = block(&get(HOST, path));
    let streams = (0..100).flat_map(|at| bytes(HEADERS, END_HEADERS | END_STREAM, at * 2 + 1, &ask));
    // SETTINGS_INITIAL_WINDOW_SIZE of 0 (RFC 9113 §6.5.2): no answer may have content.
    let shut = [http2(&[0, 4, 0, 0, 0, 0]), streams.collect()].concat();
    let held = [
        hold("a window that stays shut", shut),
        hold("fields that never end", [http2(&[]), bytes(HEADERS, END_STREAM, 1, &ask)].concat()),
        hold("a head that never ends", format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nX: ").into()),
        hold("silence", Vec::new()),
    ];
    floods.chain(held).collect()
}

/// The name of an attack.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let names: Vec<&str> = attacks("/").iter().map(|attack| attack.name).collect();
    match names.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("allowed is {}", names.join(", "))),
    }
}

/// Every attack on every proxy, in rounds of quiet and attack. Who can't take part is said in `notes`; an honest request that
/// was answered wrongly in `wrong`.
pub(crate) fn run(
    arguments: &Arguments,
    candidates: &[Candidate],
    stage: Stage<'_>,
    notes: &mut Vec<String>,
    wrong: &mut Vec<String>,
) -> Vec<Attacked> {
    let mut all = Vec::new();
    for candidate in candidates.iter().filter(|candidate| candidate.peer != Peer::Direct) {
        let case = Case { work: Work::H1, size: stage.upstream.sizes[0], connections: 64 };
        let proxy = match Proxy::start(candidate, &[Work::H1, Work::H2c], stage) {
            Ok((proxy, _)) => proxy,
            Err(why) => {
                notes.push(format!("{}: attacks: {why}", candidate.name));
                continue;
            }
        };
        let wanted = |attack: &Attack| {
            arguments.attack.is_empty() || arguments.attack.iter().any(|name| name == attack.name)
        };
        for attack in attacks(&stage.upstream.path(case.size)).into_iter().filter(wanted) {
            eprintln!("side-by-side: {}: {}", candidate.name, attack.name);
            match beside(arguments, &proxy, case, stage, &attack) {
                Ok(attacked) => all.push(attacked),
                Err(why) => wrong.push(format!("{} beside {:?}: {why}", candidate.name, attack.name)),
            }
        }
    }
    all
}

fn beside(
    arguments: &Arguments,
    proxy: &Proxy,
    case: Case,
    stage: Stage<'_>,
    attack: &Attack,
) -> Result<Attacked, String> {
    let target = proxy.target(case, stage);
    let against = proxy.target(Case { work: Work::H2c, ..case }, stage).address;
    let honest = |round: u32| {
        let when = Loop::Open { rate: arguments.honest, seed: u64::from(round) };
        let _urgent = proxy.hurry();
        load::ask(&target, when, arguments.span)
            .map(|done| done.latencies.quantile(0.99).as_secs_f64() * 1000.0)
    };
    let (mut quiet, mut attacked, mut begun) = (Vec::new(), Vec::new(), 0);
    for round in 0..arguments.rounds {
        calm(proxy);
        quiet.push(honest(round)?);
        let attackers = Attackers::start(against, attack, arguments.attackers as usize);
        let waited = honest(round);
        begun += attackers.end()?;
        attacked.push(waited?);
    }
    Ok(Attacked {
        attack: attack.name.to_owned(),
        peer: proxy.name.clone(),
        quiet_ms: median(quiet),
        attacked_ms: median(attacked),
        begun: begun as f64 / (arguments.span.as_secs_f64() * f64::from(arguments.rounds)),
        most_mb: proxy.most_memory() as f64 / 1e6,
    })
}

/// Waits until the proxy is done with what the last attackers have left.
fn calm(proxy: &Proxy) {
    let begun = Instant::now();
    let mut before = None;
    while begun.elapsed() < LONGEST {
        let now = proxy.cpu();
        if before.replace(now).is_some_and(|before| now.seconds_since(before) == (0.0, 0.0)) {
            return;
        }
        std::thread::park_timeout(PAUSE);
    }
}

/// Attackers at work.
struct Attackers {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64, String>>,
}

impl Attackers {
    fn start(address: SocketAddr, attack: &Attack, count: usize) -> Attackers {
        let (over, attack) = (Arc::new(AtomicBool::new(false)), Arc::new(attack.clone()));
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            // Linux has a priority for each thread; this is the thread's own.
            rustix::process::setpriority_process(None, NICE).map_err(|error| error.to_string())?;
            let begun = Arc::new(AtomicU64::new(0));
            runtime()?.block_on(async {
                let mut tasks = JoinSet::new();
                for _ in 0..count {
                    tasks.spawn(again(address, Arc::clone(&attack), Arc::clone(&begun)));
                }
                while !ends.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(10)).await;
                }
            });
            Ok(begun.load(Ordering::Relaxed))
        });
        Attackers { over, thread }
    }

    /// Ends them. How many attacks were begun.
    fn end(self) -> Result<u64, String> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the attackers failed".to_owned())?
    }
}

/// One attacker, for ever.
async fn again(address: SocketAddr, attack: Arc<Attack>, begun: Arc<AtomicU64>) {
    loop {
        begun.fetch_add(1, Ordering::Relaxed);
        // However it ends, it was an attack.
        let _ = timeout(LONGEST, once(address, &attack)).await;
        sleep(PAUSE).await;
    }
}

/// Until the proxy has had enough.
async fn once(address: SocketAddr, attack: &Attack) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let (mut read, mut write) = stream.split();
    let send = async {
        write.write_all(&attack.begin).await?;
        let Some(flood) = &attack.flood else { return std::future::pending().await };
        for at in 0.. {
            for piece in flood.rounds(HOST, at * BATCH..(at + 1) * BATCH).chunks(PIECE) {
                write.write_all(piece).await?;
            }
        }
        Ok(())
    };
    let mut nowhere = sink();
    tokio::select! {
        sent = send => sent,
        read = copy(&mut read, &mut nowhere) => read.map(drop),
    }
}
