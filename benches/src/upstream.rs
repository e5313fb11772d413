//! What the proxies stand before: the same program for all, once as a process of its own and once as Kaos's replica.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::nginx::nginx_config;
use crate::process::Process;
use crate::ready::{free_address, wait_until_ready};
use crate::{Arguments, Upstream as Kind, core, installed};

/// The upstream of one run.
pub(crate) struct Upstream {
    kind: Kind,
    /// Where the process of its own listens.
    pub(crate) address: SocketAddr,
    /// What a replica of Kaos runs.
    pub(crate) replica: Vec<String>,
    _process: Process,
}

impl Upstream {
    /// Chooses, prepares and starts it, on the core of the load.
    pub(crate) fn choose(arguments: &Arguments, folder: &Path, sizes: &[usize]) -> Result<Upstream, String> {
        let kind = match arguments.upstream {
            Some(kind) => kind,
            None if installed::find("nginx").is_some() => Kind::Nginx,
            None => Kind::Answer,
        };
        let (replica, ready) = match kind {
            Kind::Nginx => (nginx(folder, sizes)?, format!("/{}", sizes[0])),
            Kind::Answer => (vec![answer(arguments)?.to_string_lossy().into_owned()], "/healthz".to_owned()),
        };
        let words: Vec<&str> = replica.iter().map(String::as_str).collect();
        let replica = core::pinned(arguments.load_core, &words);
        let address = free_address()?;
        let port = format!("PORT={}", address.port());
        let own: Vec<String> = ["env".to_owned(), port].into_iter().chain(replica.iter().cloned()).collect();
        let mut process = Process::start("upstream", &own, folder)?;
        wait_until_ready(&mut process, address, &ready, folder)?;
        Ok(Upstream { kind, address, replica, _process: process })
    }

    /// The path whose answer has `size` bytes.
    pub(crate) fn path(&self, size: usize) -> String {
        match self.kind {
            Kind::Nginx => format!("/{size}"),
            Kind::Answer => format!("/bytes/{size}"),
        }
    }

    /// What it is, for the report.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Nginx => "nginx, one worker: `return 200` up to 1 KB, else open files",
            Kind::Answer => "the program answer",
        }
    }
}

fn answer(arguments: &Arguments) -> Result<PathBuf, String> {
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("answer"));
    let path = arguments.answer.clone().or_else(beside).ok_or("--answer PATH is needed")?;
    let path = std::path::absolute(&path).map_err(|error| error.to_string())?;
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("no program {}: cargo build --release -p kaos-loadtest --bin answer", path.display()))
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
