//! What each proxy is told: what its own documentation recommends for this work, and the same work for all.
//!
//! One core, keep-alive to the upstream, no access log, X-Request-Id and X-Forwarded-For set on the way to the upstream and the
//! request id on the answer; the same certificate, TLS session tickets as each has them (the load never resumes).

mod caddy;
mod envoy;
mod haproxy;
mod kaos;
pub(crate) mod nginx;

use std::net::SocketAddr;
use std::path::Path;

use crate::certificate::Certificate;
use crate::ready::free_address;
use crate::upstream::Upstream;

pub(crate) use kaos::{Ability, function, gate, held};

/// Where a proxy listens for each kind of work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    pub(crate) h1: SocketAddr,
    pub(crate) h2c: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) grpc: SocketAddr,
}

impl Places {
    /// Four addresses that were free just now.
    pub(crate) fn free() -> Result<Places, String> {
        Ok(Places { h1: free_address()?, h2c: free_address()?, tls: free_address()?, grpc: free_address()? })
    }
}

/// What a configuration is made from.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) places: Places,
    pub(crate) upstream: &'a Upstream,
    pub(crate) certificate: &'a Certificate,
    pub(crate) folder: &'a Path,
    /// Where Kaos is asked before a request goes on, if it is.
    pub(crate) asks: Option<SocketAddr>,
}

/// A configuration as it is started.
pub(crate) struct Configured {
    /// The command line, after the program.
    pub(crate) words: Vec<String>,
    /// The file that it reads.
    pub(crate) text: String,
    /// Folders of its own, as its environment names them: one that runs for its user is not disturbed.
    pub(crate) folders: &'static [&'static str],
    /// Its workers are children of the process that is started.
    pub(crate) workers: bool,
}

/// Who is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Kaos(Ability),
    Nginx,
    Haproxy,
    Caddy,
    Envoy,
}

/// Writes the configuration into the folder, under `name`.
pub(crate) fn configure(kind: Kind, name: &str, site: Site<'_>) -> Result<Configured, String> {
    let (ending, text) = match kind {
        Kind::Kaos(ability) => ("toml", kaos::text(site, ability)?),
        Kind::Nginx => ("conf", nginx::proxy(name, site)),
        Kind::Haproxy => ("cfg", haproxy::text(site)),
        Kind::Caddy => ("Caddyfile", caddy::text(site)),
        Kind::Envoy => ("json", envoy::text(site)),
    };
    let path = site.folder.join(format!("{name}.{ending}"));
    std::fs::write(&path, &text).map_err(|error| format!("{}: {error}", path.display()))?;
    let path = path.to_string_lossy();
    let words = match kind {
        Kind::Kaos(ability) => kaos::words(site, ability, &path),
        Kind::Nginx => words(&["-c", &path]),
        Kind::Haproxy => words(&["-db", "-f", &path]),
        Kind::Caddy => words(&["run", "--adapter", "caddyfile", "--config", &path]),
        Kind::Envoy => words(&[
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "warn",
            "--config-path",
            &path,
        ]),
    };
    let folders: &[&str] = match kind {
        Kind::Kaos(_) => &["XDG_STATE_HOME", "XDG_RUNTIME_DIR"],
        Kind::Caddy => &["XDG_CONFIG_HOME", "XDG_DATA_HOME"],
        _ => &[],
    };
    Ok(Configured { words, text, folders, workers: !matches!(kind, Kind::Kaos(_)) })
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
