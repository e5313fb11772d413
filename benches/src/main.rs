//! `side-by-side`: CPU per request of Kaos beside nginx and HAProxy, in one run on one machine.
//!
//! All proxies stand before the same upstream and are asked in interleaved rounds, each pinned to one core, with the load and
//! the upstream on another. What counts is the ratio within a run: absolute figures drift from hour to hour. Every answer is
//! checked: status and length.

mod client;
mod core;
mod installed;
mod machine;
mod nginx;
mod peer;
mod process;
mod ready;
mod round;
mod table;
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use round::Case;

/// Measures Kaos beside the proxies that are installed: CPU per request, in interleaved rounds.
#[derive(Debug, Parser)]
#[command(name = "side-by-side", version)]
struct Arguments {
    /// The `kaos` program [default: target/dist/kaos, else target/release/kaos]
    #[arg(long, value_name = "PATH")]
    kaos: Option<PathBuf>,
    /// The `answer` program, for --upstream answer [default: beside this program]
    #[arg(long, value_name = "PATH")]
    answer: Option<PathBuf>,
    /// What the proxies stand before [default: nginx if it is installed]
    #[arg(long, value_enum)]
    upstream: Option<Upstream>,
    /// Who is measured
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Peer::Kaos, Peer::Nginx, Peer::Haproxy])]
    peers: Vec<Peer>,
    /// Bytes of body @ connections
    #[arg(long, value_delimiter = ',', default_value = "64@64,64@256,10240@64,1048576@64", value_parser = Case::parse)]
    cases: Vec<Case>,
    /// Rounds of each case; the medians are compared
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long each proxy is asked in each round
    #[arg(long, value_name = "SPAN", default_value = "3s", value_parser = kaos_loadtest::span::parse)]
    span: Duration,
    /// The core of the proxy
    #[arg(long, default_value_t = 0)]
    proxy_core: usize,
    /// The core of the load and the upstream
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Also write the result as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Who can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Peer {
    /// Kaos, `kaos up` with default knobs.
    Kaos,
    /// nginx, one worker.
    Nginx,
    /// HAProxy, one thread.
    Haproxy,
    /// No proxy: what the load and the upstream can do.
    Direct,
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Upstream {
    /// nginx with files that it keeps open.
    Nginx,
    /// The program `answer`.
    Answer,
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
    match measure(&arguments) {
        Ok(missing) if missing.is_empty() => ExitCode::SUCCESS,
        Ok(missing) => {
            eprintln!("side-by-side: not measured: {}", missing.join("; "));
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("side-by-side: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The whole run. Returns what is missing and how to get it.
fn measure(arguments: &Arguments) -> Result<Vec<String>, String> {
    core::pin(arguments.load_core)?;
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let mut sizes: Vec<usize> = arguments.cases.iter().map(|case| case.size).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let upstream = upstream::Upstream::choose(arguments, folder.path(), &sizes)?;
    let (peers, missing) = peer::start_all(arguments, &upstream, folder.path())?;
    if peers.is_empty() {
        return Ok(missing);
    }
    let machine = machine::Machine::look(&peers, &upstream, arguments)?;
    print!("{}", machine.text());
    let measured = round::run(arguments, &peers, &upstream)?;
    print!("{}", table::text(&measured));
    if let Some(file) = &arguments.json {
        let result = table::Result { machine, measured };
        let text = serde_json::to_string_pretty(&result).map_err(|error| error.to_string())?;
        std::fs::write(file, text + "\n").map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(missing)
}
