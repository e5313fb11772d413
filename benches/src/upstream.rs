//! What the proxies stand before: the same programs for all, once as processes of their own and once as Kaos's replicas.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::configure::nginx::nginx_config;
use crate::inside::{self, Inside};
use crate::process::Process;
use crate::ready::{free_address, wait_until_open, wait_until_ready};
use crate::{Arguments, core};

/// What answers HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This program, on the event loop of the load.
    Inside,
    /// nginx with files that it keeps open.
    Nginx,
    /// The program `answer`.
    Answer,
}

/// The upstreams of one run.
pub(crate) struct Upstream {
    kind: Kind,
    /// Sizes of answers that it has.
    pub(crate) sizes: Vec<usize>,
    /// Where the process of its own listens.
    pub(crate) address: SocketAddr,
    /// The same for gRPC.
    pub(crate) grpc_address: SocketAddr,
    /// What a replica of Kaos runs.
    pub(crate) replica: Vec<String>,
    /// The same for gRPC.
    pub(crate) grpc_replica: Vec<String>,
    _processes: Vec<Process>,
}

impl Upstream {
    /// Chooses, prepares and starts them, on the core of the load.
    pub(crate) fn choose(
        arguments: &Arguments,
        folder: &Path,
        sizes: Vec<usize>,
    ) -> Result<Upstream, String> {
        let kind = arguments.upstream;
        let pinned = |words: &[&str]| core::pinned(arguments.load_core, words);
        if kind == Kind::Inside {
            let Inside { http, grpc, control } = Inside::start(&sizes)?;
            let (program, control) = (program(&beside("stand-in")?)?, control.to_string());
            let [replica, grpc_replica] = [inside::Kind::Http, inside::Kind::Grpc]
                .map(|spoken| pinned(&[&program, &control, spoken.name()]));
            let (address, grpc_address, _processes) = (http, grpc, Vec::new());
            return Ok(Upstream { kind, sizes, address, grpc_address, replica, grpc_replica, _processes });
        }
        let (replica, ready) = if kind == Kind::Nginx {
            (nginx(folder, &sizes)?, format!("/{}", sizes[0]))
        } else {
            let answer = arguments.answer.clone().map_or_else(|| beside("answer"), Ok)?;
            (vec![program(&answer)?], "/healthz".to_owned())
        };
        let words: Vec<&str> = replica.iter().map(String::as_str).collect();
        let (replica, grpc_replica) = (pinned(&words), pinned(&[&program(&beside("grpc-answer")?)?]));
        let (address, mut http) = start("upstream", &replica, folder)?;
        wait_until_ready(&mut http, address, &ready, folder)?;
        let (grpc_address, mut grpc) = start("grpc-upstream", &grpc_replica, folder)?;
        wait_until_open(&mut grpc, grpc_address, folder)?;
        let _processes = vec![http, grpc];
        Ok(Upstream { kind, sizes, address, grpc_address, replica, grpc_replica, _processes })
    }

    /// The path whose answer has `size` bytes.
    pub(crate) fn path(&self, size: usize) -> String {
        match self.kind {
            Kind::Inside | Kind::Nginx => format!("/{size}"),
            Kind::Answer => format!("/bytes/{size}"),
        }
    }

    /// The method whose answer is a message of `size` bytes.
    pub(crate) fn grpc_path(&self, size: usize) -> String {
        format!("/bench.Bench/{size}")
    }

    /// What it is, for the report.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Inside => "side-by-side itself, on the event loop of the load",
            Kind::Nginx => "nginx, one worker: `return 200` up to 1 KB, else open files; gRPC: grpc-answer",
            Kind::Answer => "the program answer; gRPC: grpc-answer",
        }
    }
}

fn start(name: &str, words: &[String], folder: &Path) -> Result<(SocketAddr, Process), String> {
    let address = free_address()?;
    let port = format!("PORT={}", address.port());
    let words: Vec<String> = ["env".to_owned(), port].into_iter().chain(words.iter().cloned()).collect();
    Ok((address, Process::start(name, &words, folder)?))
}

fn beside(name: &str) -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(own.with_file_name(name))
}

fn program(path: &Path) -> Result<String, String> {
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    if path.is_file() {
        return Ok(path.to_string_lossy().into_owned());
    }
    Err(format!("no program {}: cargo build --release -p kaos-benches -p kaos-loadtest", path.display()))
}

/// A script that runs nginx on `$PORT` with an answer of each size at `/SIZE`.
fn nginx(folder: &Path, sizes: &[usize]) -> Result<Vec<String>, String> {
    let root = folder.join("files");
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(&root).map_err(wrong)?;
    let mut locations = String::new();
    for size in sizes {
        let body = "x".repeat(*size);
        // nginx refuses words of its configuration beyond 4 KB.
        if *size <= 1024 {
            locations.push_str(&format!("    location = /{size} {{ return 200 \"{body}\"; }}\n"));
        } else {
            std::fs::write(root.join(size.to_string()), body).map_err(wrong)?;
        }
    }
    let config = nginx_config(
        folder,
        "upstream.PORT",
        &format!(
            "  sendfile on; tcp_nopush on; open_file_cache max=100; open_file_cache_valid 1h;\n  \
             server {{\n    listen 127.0.0.1:PORT backlog=4096;\n    root {};\n{locations}  }}\n",
            root.display()
        ),
    );
    let template = folder.join("upstream.conf");
    std::fs::write(&template, config).map_err(wrong)?;
    let template = template.display();
    let script =
        format!("sed \"s/PORT/$PORT/\" {template} > {template}.$PORT && exec nginx -c {template}.$PORT");
    Ok(vec!["sh".into(), "-c".into(), script])
}
