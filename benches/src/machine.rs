//! What a figure is worth nothing without: the machine, the versions, the settings.

use std::fmt::Write;

use serde::Serialize;

use crate::Arguments;
use crate::peer::Proxy;
use crate::upstream::Upstream;

/// The machine and the settings of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    proxy_core: usize,
    load_core: usize,
    rounds: u32,
    seconds: f64,
    load: &'static str,
    upstream: &'static str,
    /// Name, version, settings.
    peers: Vec<[String; 3]>,
}

impl Machine {
    /// Looks. An error if the two cores aren't two cores of this machine.
    pub(crate) fn look(
        peers: &[Proxy],
        upstream: &Upstream,
        arguments: &Arguments,
    ) -> Result<Machine, String> {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
        let (proxy_core, load_core) = (arguments.proxy_core, arguments.load_core);
        if proxy_core == load_core || proxy_core.max(load_core) >= cores {
            return Err(format!(
                "cores {proxy_core} and {load_core}: expected two of this machine's {cores} cores"
            ));
        }
        let field = |name: &str| {
            let value =
                cpus.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
            value.map(|(_, value)| value.trim().to_owned())
        };
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Ok(Machine {
            processor: field("model name").or_else(|| field("Processor")).unwrap_or_else(|| "unknown".into()),
            cores,
            kernel: kernel.trim().to_owned(),
            proxy_core,
            load_core,
            rounds: arguments.rounds,
            seconds: arguments.span.as_secs_f64(),
            load: "own closed-loop client, HTTP/1.1 keep-alive, status and length of every answer checked",
            upstream: upstream.name(),
            peers: peers
                .iter()
                .map(|peer| [peer.name.into(), peer.version.clone(), peer.settings.into()])
                .collect(),
        })
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let Machine {
            processor, cores, kernel, proxy_core, load_core, rounds, seconds, load, upstream, ..
        } = self;
        let mut text = format!(
            "machine   {processor}, {cores} cores, Linux {kernel}; proxy on core {proxy_core}, load and upstream on core {load_core}\n\
             load      {load}; {rounds} rounds of {seconds} s each, interleaved\nupstream  {upstream}\n"
        );
        for [name, version, settings] in &self.peers {
            let _ = writeln!(text, "{name:<9} {version}: {settings}");
        }
        text
    }
}
