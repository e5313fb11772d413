//! The proxies: how each is configured and started. Each gets what its own documentation recommends for this work.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::nginx::nginx_config;
use crate::process::{Cpu, Process};
use crate::ready::{free_address, wait_until_ready};
use crate::upstream::Upstream;
use crate::{Arguments, Peer, core, installed};

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) version: String,
    pub(crate) settings: &'static str,
    process: Option<Process>,
    workers: bool,
}

impl Proxy {
    /// The CPU that it has used: with nginx's workers, without Kaos's replicas.
    pub(crate) fn cpu(&self) -> Cpu {
        self.process.as_ref().map_or(Cpu::default(), |process| Cpu::used(process.id(), self.workers))
    }
}

/// Starts the proxies that are asked for and there. Returns also what is missing and how to get it.
pub(crate) fn start_all(
    arguments: &Arguments,
    upstream: &Upstream,
    folder: &Path,
) -> Result<(Vec<Proxy>, Vec<String>), String> {
    let (mut proxies, mut missing) = (Vec::new(), Vec::new());
    for peer in &arguments.peers {
        let found = match peer {
            Peer::Kaos => {
                kaos_path(arguments).ok_or("kaos (cargo build --profile dist -p kaos, or --kaos PATH)")
            }
            Peer::Nginx => installed::find("nginx").ok_or("nginx (apt-get install nginx-light)"),
            Peer::Haproxy => installed::find("haproxy").ok_or("HAProxy (apt-get install haproxy)"),
            Peer::Direct => Ok(PathBuf::new()),
        };
        match found {
            Ok(path) => proxies.push(start(*peer, &path, arguments, upstream, folder)?),
            Err(what) => missing.push(what.to_owned()),
        }
    }
    Ok((proxies, missing))
}

fn kaos_path(arguments: &Arguments) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?;
    let target = beside.parent()?.parent()?;
    let built = [target.join("dist/kaos"), target.join("release/kaos")];
    let path = arguments.kaos.clone().into_iter().chain(built).find(|path| path.is_file())?;
    std::path::absolute(path).ok()
}

fn start(
    peer: Peer,
    program: &Path,
    arguments: &Arguments,
    upstream: &Upstream,
    folder: &Path,
) -> Result<Proxy, String> {
    let address = free_address()?;
    let program = program.to_string_lossy();
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<String, String>(path.to_string_lossy().into_owned())
    };
    let (name, settings, workers, words) = match peer {
        Peer::Direct => {
            let address = upstream.address;
            let settings = "no proxy";
            return Ok(Proxy {
                name: "direct",
                address,
                version: String::new(),
                settings,
                process: None,
                workers: false,
            });
        }
        Peer::Kaos => {
            let config = file("kaos.toml", kaos_config(address, free_address()?, &upstream.replica))?;
            // Folders of its own: a Kaos that runs for its user is not disturbed.
            let folders =
                ["XDG_STATE_HOME", "XDG_RUNTIME_DIR"].map(|name| format!("{name}={}", folder.display()));
            let [state, runtime] = &folders;
            let words =
                ["env", state, runtime, &program, "up", "--config", &config].map(str::to_owned).to_vec();
            ("kaos", "kaos up, default knobs but min-scale = 1", false, words)
        }
        Peer::Nginx => {
            let config =
                file("nginx.conf", nginx_config(folder, "nginx", &nginx_server(address, upstream.address)))?;
            let settings =
                "1 worker, keep-alive to the upstream, no access log, X-Request-Id and X-Forwarded-For set";
            ("nginx", settings, true, vec![program.to_string(), "-c".into(), config])
        }
        Peer::Haproxy => {
            let config = file("haproxy.cfg", haproxy_config(address, upstream.address))?;
            let settings = "1 thread, http-reuse always, no log, X-Request-Id and X-Forwarded-For set";
            ("haproxy", settings, true, vec![program.to_string(), "-db".into(), "-f".into(), config])
        }
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let version = installed::version(peer, &program);
    let mut process = Process::start(name, &core::pinned(arguments.proxy_core, &words), folder)?;
    wait_until_ready(&mut process, address, &upstream.path(arguments.cases[0].size), folder)?;
    Ok(Proxy { name, address, version, settings, process: Some(process), workers })
}

fn kaos_config(listen: SocketAddr, admin: SocketAddr, replica: &[String]) -> String {
    // JSON's strings and lists of strings are TOML's.
    let command = serde_json::Value::from(replica);
    format!(
        "listen = \"{listen}\"\nadmin = \"{admin}\"\n\n[[function]]\nname = \"bench\"\ncommand = {command}\nmin-scale = 1\n"
    )
}

fn nginx_server(listen: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "  upstream u {{ server {upstream}; keepalive 256; keepalive_requests 100000000; }}\n  \
         server {{\n    listen {listen} backlog=4096;\n    location / {{\n      proxy_pass http://u;\n      \
         proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      proxy_set_header Host $host;\n      \
         proxy_set_header X-Request-Id $request_id;\n      \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n      \
         proxy_set_header X-Forwarded-Proto $scheme;\n      add_header X-Request-Id $request_id always;\n      \
         proxy_max_temp_file_size 0;\n    }}\n  }}\n"
    )
}

fn haproxy_config(listen: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 4096\n  tune.maxaccept 64\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  http-reuse always\n  option forwardfor\n\
         frontend f\n  bind {listen} backlog 4096\n  unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid\n  unique-id-header X-Request-Id\n  \
         http-response set-header X-Request-Id %[unique-id]\n  http-request set-header X-Forwarded-Proto http\n  default_backend b\n\
         backend b\n  server u {upstream}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_kaos_quotes_its_words() {
        let address = "127.0.0.1:1".parse().unwrap();
        let text = kaos_config(address, address, &["sh".into(), "-c".into(), "a \"b\" $PORT".into()]);
        assert!(text.contains(r#"command = ["sh","-c","a \"b\" $PORT"]"#), "{text}");
    }
}
