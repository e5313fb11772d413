//! `side-by-side`: Kaos beside other proxies, in one run on one machine.
//!
//! All proxies stand before the same upstream and are asked in interleaved rounds, each pinned to one core, with the load and
//! the upstream on another: CPU per request, latency at half load, memory. What counts is the ratio within a run: absolute
//! figures drift from hour to hour. Every answer is checked.

mod attack;
mod awake;
mod case;
mod certificate;
mod configure;
mod core;
mod grpc;
mod inside;
mod installed;
mod load;
mod machine;
mod markdown;
mod memory;
mod peer;
mod process;
mod ready;
mod round;
mod soak;
mod table;
mod upstream;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde::Serialize;

use case::{Case, Work};
use certificate::Certificate;
use peer::{Candidate, Peer, Proxy, Stage};

/// Measures Kaos beside the proxies that are there: CPU per request, latency at half load, memory, in interleaved rounds.
#[derive(Debug, Parser)]
#[command(name = "side-by-side", version, after_help = AFTER)]
struct Arguments {
    /// The `kaos` program, or several builds of it to be compared [default: target/dist/kaos, else target/release/kaos]
    #[arg(long, value_name = "PATH")]
    kaos: Vec<PathBuf>,
    /// The `answer` program, for --upstream answer [default: beside this program]
    #[arg(long, value_name = "PATH")]
    answer: Option<PathBuf>,
    /// Where to look for peers besides the PATH [default: target/peers/bin, which benches/peers.sh fills]
    #[arg(long, value_name = "FOLDER")]
    peers_folder: Option<PathBuf>,
    /// What the proxies stand before
    #[arg(long, value_enum, default_value = "inside")]
    upstream: upstream::Kind,
    /// Who is measured, in every version that is there
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Peer::Kaos, Peer::Nginx, Peer::Haproxy, Peer::Envoy, Peer::Caddy, Peer::Direct])]
    peers: Vec<Peer>,
    /// What is asked, as WORK:BYTES@CONNECTIONS, or BYTES@CONNECTIONS for h1; what WORK may be is below
    #[arg(long, value_delimiter = ',', value_parser = Case::parse, default_value = CASES)]
    cases: Vec<Case>,
    /// What is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Figure::Cpu, Figure::Latency, Figure::Memory])]
    measure: Vec<Figure>,
    /// Rounds of each case; the medians are compared
    #[arg(long, default_value_t = 27, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long each proxy is asked in each round, for each figure
    #[arg(long, value_name = "SPAN", default_value = "300ms", value_parser = kaos_loadtest::span::parse)]
    span: Duration,
    /// Idle connections, for memory
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    idle: u32,
    /// Held cold requests of Kaos, for memory; more than 1000 need another `queue-limit` than the default, which is then set
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    held: u32,
    /// Attackers at once
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    attackers: u32,
    /// What they do: each attack by its name, all if there is none
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = attack::name)]
    attack: Vec<String>,
    /// Honest requests a second beside them, of HTTP/1.1 over 64 connections
    #[arg(long, value_name = "RATE", default_value_t = 2000.0, value_parser = rate)]
    honest: f64,
    /// How long Kaos is loaded with everything at once
    #[arg(long, value_name = "SPAN", default_value = "30m", value_parser = kaos_loadtest::span::parse)]
    soak: Duration,
    /// The core of the proxy
    #[arg(long, default_value_t = 0)]
    proxy_core: usize,
    /// The core of the load and the upstream
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Keep the cores awake in the open loop: those of a virtual machine take longer to wake up than a request takes
    #[arg(long)]
    awake: bool,
    /// Also write the result as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write the result and every configuration as Markdown to this file
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

const CASES: &str = "h1:64@1,h1:64@64,h1:64@256,h1:64@1000,h1:10240@64,h1:10240@256,h1:1048576@64,\
                     tls:64@64,tls:10240@64,handshake:64@16,h2c:64@64,h2:64@64,h2:10240@64,grpc:64@64";

const AFTER: &str = "\
WORK is what the client speaks:
  h1         HTTP/1.1 with keep-alive (the default)
  tls        the same over TLS 1.3: ECDSA P-256, X25519, AES-128-GCM
  handshake  a new connection and a full TLS 1.3 handshake for each request
  h2c, h2    HTTP/2 by prior knowledge, or by ALPN over TLS 1.3; 8 requests at once on each connection
  grpc       unary gRPC calls, HTTP/2 without TLS on both sides; 8 at once on each connection
A run takes about CASES x PROXIES x ROUNDS x SPAN x 2; all of the defaults three quarters of an hour.
Exit codes: 0 measured, 1 an answer was wrong, 2 nothing could be measured, or wrong command line.";

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// CPU per request, throughput and latency of a closed loop.
    Cpu,
    /// Latency of an open loop at half load, after the closed loop that says what half load is.
    Latency,
    /// Memory of an idle connection (of HTTP/1.1, and over TLS if a case has it) and of a held cold request.
    Memory,
    /// Latency of honest requests beside attackers.
    Attacks,
    /// Whether every answer of Kaos is right, and its memory stays as it was, under everything at once for a long time. Needs
    /// --upstream answer.
    Soak,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (1.0..=1e6).contains(rate));
    rate.ok_or_else(|| "expected requests a second, 1 to 1000000".to_owned())
}

/// All of a run.
#[derive(Serialize)]
struct Report {
    machine: machine::Machine,
    measured: Vec<round::Measured>,
    memory: Vec<memory::Taken>,
    attacked: Vec<attack::Attacked>,
    soaked: Vec<soak::Soaked>,
    /// What is missing, and who doesn't do what.
    notes: Vec<String>,
    wrong: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    kaos_loadtest::descriptors::raise_limit();
    match measure(&arguments).and_then(|report| show(&arguments, &report)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("side-by-side: {why}");
            ExitCode::from(2)
        }
    }
}

/// The whole run.
fn measure(arguments: &Arguments) -> Result<Report, String> {
    if arguments.awake {
        awake::Awake::keep()?;
    }
    core::pin(arguments.load_core)?;
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let upstream = upstream::Upstream::choose(arguments, folder.path(), sizes(arguments))?;
    let mut machine = machine::Machine::look(&upstream, arguments)?;
    let certificate = Certificate::make(folder.path())?;
    let stage = Stage {
        upstream: &upstream,
        certificate: &certificate,
        folder: folder.path(),
        core: arguments.proxy_core,
    };
    let (mut candidates, mut notes) = peer::find(arguments, &peers_folder(arguments)?);
    let mut works: Vec<Work> = arguments.cases.iter().map(|case| case.work).collect();
    works.sort_unstable();
    works.dedup();
    let mut proxies = Vec::new();
    candidates.retain(|candidate| match Proxy::start(candidate, &works, stage) {
        Ok((proxy, lost)) => {
            machine.add(&proxy);
            proxies.push(proxy);
            notes.extend(lost);
            true
        }
        Err(why) => {
            notes.push(format!("{} can't be measured: {why}", candidate.name));
            false
        }
    });
    let wants = |figure| arguments.measure.contains(&figure);
    let outcome = if wants(Figure::Cpu) || wants(Figure::Latency) {
        round::run(arguments, &proxies, stage, wants(Figure::Latency))
    } else {
        round::Outcome::default()
    };
    drop(proxies);
    notes.extend(outcome.refused);
    let memory = if wants(Figure::Memory) {
        let inside = folder.path().join("memory");
        std::fs::create_dir(&inside).map_err(|error| format!("{}: {error}", inside.display()))?;
        measure_memory(arguments, &candidates, &works, Stage { folder: &inside, ..stage }, &mut notes)
    } else {
        Vec::new()
    };
    let mut wrong = outcome.wrong;
    let attacked = if wants(Figure::Attacks) {
        attack::run(arguments, &candidates, stage, &mut notes, &mut wrong)
    } else {
        Vec::new()
    };
    let mut soaked = Vec::new();
    let kaos = |candidate: &&Candidate| candidate.peer == Peer::Kaos && wants(Figure::Soak);
    for kaos in candidates.iter().filter(kaos) {
        soaked.push(soak::run(kaos, stage, arguments.soak, &mut wrong)?);
    }
    let none = outcome.measured.is_empty() && memory.is_empty() && attacked.is_empty() && soaked.is_empty();
    if none && wrong.is_empty() {
        return Err(format!("nothing was measured: {}", notes.join("; ")));
    }
    Ok(Report { machine, measured: outcome.measured, memory, attacked, soaked, notes, wrong })
}

fn measure_memory(
    arguments: &Arguments,
    candidates: &[Candidate],
    works: &[Work],
    stage: Stage<'_>,
    notes: &mut Vec<String>,
) -> Vec<memory::Taken> {
    let mut taken = memory::idle(candidates, works, stage, arguments.idle as usize, notes);
    for kaos in candidates.iter().filter(|candidate| candidate.peer == Peer::Kaos) {
        match memory::hold(kaos, stage.folder, stage.core, arguments.held as usize) {
            Ok(held) => taken.push(held),
            Err(why) => notes.push(format!("{}: held requests: {why}", kaos.name)),
        }
    }
    taken
}

fn sizes(arguments: &Arguments) -> Vec<usize> {
    let mut sizes: Vec<usize> = arguments.cases.iter().map(|case| case.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

fn peers_folder(arguments: &Arguments) -> Result<PathBuf, String> {
    if let Some(folder) = &arguments.peers_folder {
        return std::path::absolute(folder).map_err(|error| error.to_string());
    }
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(own.ancestors().nth(2).unwrap_or(Path::new("target")).join("peers/bin"))
}

/// Prints and writes what came out. True if every answer was right.
fn show(arguments: &Arguments, report: &Report) -> Result<bool, String> {
    for (what, value) in report.machine.lines() {
        println!("{what:<15} {value}");
    }
    if !report.measured.is_empty() {
        print!("{}", table::text(&report.measured));
    }
    print!("{}{}", table::memory(&report.memory), table::attacked(&report.attacked));
    print!("{}", table::soaked(&report.soaked));
    for note in &report.notes {
        println!("not measured: {note}");
    }
    for wrong in &report.wrong {
        println!("WRONG ANSWER: {wrong}");
    }
    let write = |file: &Option<PathBuf>, text: String| match file {
        Some(file) => std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display())),
        None => Ok(()),
    };
    write(&arguments.json, serde_json::to_string_pretty(report).map_err(|error| error.to_string())? + "\n")?;
    write(&arguments.markdown, markdown::text(report))?;
    Ok(report.wrong.is_empty())
}
