//! The proxies that run: found, started, and asked whether they do what is to be measured.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::case::{Case, Work};
use crate::certificate::{Certificate, HOST};
use crate::configure::{Ability, Kind, Places, Site, configure, gate};
use crate::core::Urgent;
use crate::installed::{self, Program};
use crate::load::{Target, beside, try_once};
use crate::process::{Cpu, Process, children, memory, most_memory};
use crate::ready::wait_until_ready;
use crate::upstream::Upstream;
use crate::{Arguments, core};

/// Who can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// Kaos, `kaos up` with default knobs.
    Kaos,
    /// nginx, one worker.
    Nginx,
    /// HAProxy, one thread.
    Haproxy,
    /// Envoy, one worker.
    Envoy,
    /// nginx that asks Kaos's gate before it forwards; the CPU of both.
    NginxGate,
    /// Envoy that asks Kaos's gate before it forwards; the CPU of both.
    EnvoyGate,
    /// Caddy, one thread.
    Caddy,
    /// No proxy: what the load and the upstream can do.
    Direct,
}

/// A proxy that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) peer: Peer,
    /// Who it is in tables.
    pub(crate) name: String,
    pub(crate) program: Option<Program>,
    /// The build of Kaos that it asks first, if it asks.
    pub(crate) gate: Option<PathBuf>,
}

/// Who is there of those that are asked for, and who isn't, with how to get it.
pub(crate) fn find(arguments: &Arguments, folder: &Path) -> (Vec<Candidate>, Vec<String>) {
    let (mut candidates, mut missing) = (Vec::new(), Vec::new());
    for peer in &arguments.peers {
        let (name, programs) = match peer {
            Peer::Direct => {
                let name = "direct".into();
                candidates.push(Candidate { peer: *peer, name, program: None, gate: None });
                continue;
            }
            Peer::Kaos => (
                "kaos",
                kaos_paths(arguments).into_iter().map(|path| installed::look(path, "version")).collect(),
            ),
            Peer::Nginx => ("nginx", installed::find_all("nginx", "-v", folder)),
            Peer::NginxGate => ("nginx and gate", installed::find_all("nginx", "-v", folder)),
            Peer::EnvoyGate => ("envoy and gate", installed::find_all("envoy", "--version", folder)),
            Peer::Haproxy => ("haproxy", installed::find_all("haproxy", "-v", folder)),
            Peer::Envoy => ("envoy", installed::find_all("envoy", "--version", folder)),
            Peer::Caddy => ("caddy", installed::find_all("caddy", "version", folder)),
        };
        if programs.is_empty() {
            let how = match peer {
                Peer::Kaos => "cargo build --profile dist -p kaos, or --kaos PATH".to_owned(),
                Peer::Envoy | Peer::EnvoyGate => "benches/peers.sh".to_owned(),
                Peer::NginxGate => "apt-get install nginx".to_owned(),
                _ => format!("apt-get install {name}, and for a newer one benches/peers.sh"),
            };
            missing.push(format!("{name} is missing: {how}"));
        }
        candidates.extend(programs.into_iter().map(|program| {
            let version =
                if *peer == Peer::Kaos { build(arguments, &program) } else { program.number.clone() };
            let gate = matches!(peer, Peer::NginxGate | Peer::EnvoyGate);
            let gate = gate.then(|| kaos_paths(arguments).into_iter().next().unwrap_or_default());
            let name = format!("{name} {version}").trim().into();
            Candidate { peer: *peer, name, program: Some(program), gate }
        }));
    }
    (candidates, missing)
}

/// The builds of Kaos that are measured: those that are asked for, or the best that lies beside this program.
fn kaos_paths(arguments: &Arguments) -> Vec<PathBuf> {
    let there = |path: &PathBuf| path.is_file().then(|| std::path::absolute(path).ok()).flatten();
    if !arguments.kaos.is_empty() {
        return arguments.kaos.iter().filter_map(there).collect();
    }
    let beside = std::env::current_exe().ok();
    let target = beside.as_deref().and_then(|own| own.parent()?.parent());
    let built = target.map(|target| [target.join("dist/kaos"), target.join("release/kaos")]);
    built.into_iter().flatten().find_map(|path| there(&path)).into_iter().collect()
}

/// What tells a build of Kaos from the others: nothing if there is one alone, else where it lies.
fn build(arguments: &Arguments, program: &Program) -> String {
    let alone = arguments.kaos.len() < 2;
    if alone { String::new() } else { program.path.display().to_string() }
}

/// What all proxies of a run have in common.
#[derive(Clone, Copy)]
pub(crate) struct Stage<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) certificate: &'a Certificate,
    pub(crate) folder: &'a Path,
    pub(crate) core: usize,
}

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) name: String,
    pub(crate) version: String,
    /// What it is configured with, and the command line around that.
    pub(crate) configuration: [String; 2],
    places: Places,
    grpc_host: &'static str,
    process: Option<Process>,
    workers: bool,
    /// The Kaos that it asks first.
    gate: Option<Process>,
}

impl Proxy {
    /// Starts `candidate`. Kaos is asked for all that `works` need, then for less: the second value says what it refused.
    pub(crate) fn start(
        candidate: &Candidate,
        works: &[Work],
        stage: Stage<'_>,
    ) -> Result<(Proxy, Vec<String>), String> {
        let kind = match candidate.peer {
            Peer::Direct => return Ok((Proxy::direct(stage.upstream), Vec::new())),
            Peer::Kaos => return start_kaos(candidate, works, stage),
            Peer::Nginx | Peer::NginxGate => Kind::Nginx,
            Peer::Haproxy => Kind::Haproxy,
            Peer::Envoy | Peer::EnvoyGate => Kind::Envoy,
            Peer::Caddy => Kind::Caddy,
        };
        Ok((start(candidate, kind, stage)?, Vec::new()))
    }

    fn direct(upstream: &Upstream) -> Proxy {
        let (http, grpc) = (upstream.address, upstream.grpc_address);
        Proxy {
            name: "direct".into(),
            version: "no proxy".into(),
            configuration: Default::default(),
            // Nothing listens on port 0: what the upstream doesn't speak isn't measured.
            places: Places { h1: http, h2c: nowhere(), tls: nowhere(), grpc },
            grpc_host: HOST,
            process: None,
            workers: false,
            gate: None,
        }
    }

    /// True unless it is the upstream itself.
    pub(crate) fn is_proxy(&self) -> bool {
        self.process.is_some()
    }

    /// What is asked of it in `case`.
    pub(crate) fn target<'a>(&self, case: Case, stage: Stage<'a>) -> Target<'a> {
        let grpc = case.work == Work::Grpc;
        let address = match case.work {
            Work::H1 => self.places.h1,
            Work::H2c => self.places.h2c,
            Work::Tls | Work::Handshake | Work::H2 => self.places.tls,
            Work::Grpc => self.places.grpc,
        };
        Target {
            case,
            address,
            host: if grpc { self.grpc_host } else { HOST },
            path: if grpc { stage.upstream.grpc_path(case.size) } else { stage.upstream.path(case.size) },
            certificate: Some(stage.certificate),
        }
    }

    /// The CPU that it has used: with nginx's workers and the Kaos that is asked, without Kaos's replicas.
    pub(crate) fn cpu(&self) -> Cpu {
        let own = self.process.as_ref().map(|process| Cpu::used(process.id(), self.workers));
        let gate = self.gate.as_ref().map(|process| Cpu::used(process.id(), false));
        own.into_iter().chain(gate).fold(Cpu::default(), Cpu::plus)
    }

    /// Lets it and this thread go first on their cores, for what is measured in milliseconds.
    pub(crate) fn hurry(&self) -> Urgent {
        let own = self.process.as_ref().map(Process::id);
        let workers = own.filter(|_| self.workers).map(children).unwrap_or_default();
        let gate = self.gate.as_ref().map(Process::id);
        Urgent::new(own.into_iter().chain(workers).chain(gate).collect())
    }

    /// The most bytes of memory that it has had at once.
    pub(crate) fn most_memory(&self) -> u64 {
        self.process.as_ref().map_or(0, |process| most_memory(process.id(), self.workers))
    }

    /// The bytes of memory that are its own.
    pub(crate) fn memory(&self) -> u64 {
        self.process.as_ref().map_or(0, |process| memory(process.id(), self.workers))
    }
}

fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn start_kaos(
    candidate: &Candidate,
    works: &[Work],
    stage: Stage<'_>,
) -> Result<(Proxy, Vec<String>), String> {
    let wanted = Ability { tls: works.iter().any(|work| work.is_tls()), grpc: works.contains(&Work::Grpc) };
    let mut tries = vec![
        wanted,
        Ability { grpc: false, ..wanted },
        Ability { tls: false, ..wanted },
        Ability { tls: false, grpc: false },
    ];
    tries.dedup();
    let mut refused: Vec<(Ability, String)> = Vec::new();
    for ability in tries {
        match start(candidate, Kind::Kaos(ability), stage) {
            Ok(proxy) => {
                let why = |alone: Ability| {
                    let reason = refused.iter().find(|(tried, _)| *tried == alone);
                    reason.map_or("", |(_, why)| why.as_str()).to_owned()
                };
                let mut lost = Vec::new();
                if wanted.tls && !ability.tls {
                    let why = why(Ability { tls: true, grpc: false });
                    lost.push(format!("kaos: TLS isn't spoken by this build: {why}"));
                }
                if wanted.grpc && !ability.grpc {
                    let why = why(Ability { tls: false, grpc: true });
                    lost.push(format!("kaos: gRPC isn't spoken by this build: {why}"));
                }
                return Ok((proxy, lost));
            }
            Err(why) => refused.push((ability, why)),
        }
    }
    Err(refused.pop().map_or_else(String::new, |(_, why)| why))
}

fn start(candidate: &Candidate, kind: Kind, stage: Stage<'_>) -> Result<Proxy, String> {
    let Stage { upstream, certificate, folder, core } = stage;
    let program = candidate.program.as_ref().ok_or("no program")?;
    let mut places = Places::free()?;
    let file = candidate.name.replace([' ', '/'], "-");
    let gate = candidate.gate.as_ref().map(|kaos| start_gate(kaos, &file, stage)).transpose()?;
    let (gate, asks) = gate.unzip();
    let made = configure(kind, &file, Site { places, upstream, certificate, folder, asks })?;
    let mut words = vec![program.path.to_string_lossy().into_owned()];
    words.extend(made.words);
    let command = words.join(" ");
    if let Kind::Kaos(_) = kind {
        // One listener for all that isn't TLS.
        (places.h2c, places.grpc) = (places.h1, places.h1);
    }
    let folders = made.folders.iter().map(|name| format!("{name}={}", folder.display()));
    let words: Vec<String> = std::iter::once("env".to_owned()).chain(folders).chain(words).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut process = Process::start(&file, &core::pinned(core, &words), folder)?;
    let path = upstream.path(upstream.sizes[0]);
    beside(|| wait_until_ready(&mut process, places.h1, &path, folder))??;
    Ok(Proxy {
        name: candidate.name.clone(),
        version: program.version.clone(),
        configuration: [command, made.text],
        places,
        grpc_host: if matches!(kind, Kind::Kaos(_)) { "grpc.localhost" } else { HOST },
        process: Some(process),
        workers: made.workers,
        gate,
    })
}

/// Starts the Kaos that `asker` asks first, and says where. Its replica is always there, and gets nothing from it.
fn start_gate(kaos: &Path, asker: &str, stage: Stage<'_>) -> Result<(Process, SocketAddr), String> {
    let (text, listen, asks) = gate(stage.upstream)?;
    let (name, folder) = (format!("{asker}-kaos"), stage.folder.display());
    let path = stage.folder.join(format!("{name}.toml"));
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    let (kaos, path) = (kaos.to_string_lossy(), path.to_string_lossy());
    let folders = ["XDG_STATE_HOME", "XDG_RUNTIME_DIR"].map(|name| format!("{name}={folder}"));
    let words = ["env", &folders[0], &folders[1], &kaos, "up", "--config", &path];
    let mut process = Process::start(&name, &core::pinned(stage.core, &words), stage.folder)?;
    let ready = stage.upstream.path(stage.upstream.sizes[0]);
    beside(|| wait_until_ready(&mut process, listen, &ready, stage.folder))??;
    Ok((process, asks))
}

/// Says of each proxy why it doesn't do `case`; nothing of those that do.
pub(crate) fn refusals(proxies: &[Proxy], case: Case, stage: Stage<'_>) -> Vec<Option<String>> {
    let tried = |proxy: &Proxy| try_once(&proxy.target(case, stage)).err();
    proxies.iter().map(tried).collect()
}
