//! What a figure is worth nothing without: the machine, the versions, the settings.

use serde::Serialize;

use crate::Arguments;
use crate::core::Urgent;
use crate::peer::Proxy;
use crate::upstream::Upstream;

/// The machine and the settings of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) proxy_core: usize,
    pub(crate) load_core: usize,
    /// Whether load and proxy went before everybody else in the open loop.
    pub(crate) urgent: bool,
    /// Whether the cores were kept from falling asleep then.
    pub(crate) awake: bool,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) upstream: &'static str,
    pub(crate) command: String,
    pub(crate) peers: Vec<Description>,
}

/// A proxy and how it was told to be.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) command: String,
    pub(crate) configuration: String,
}

impl Machine {
    /// Looks. An error if the two cores aren't two cores of this machine.
    pub(crate) fn look(upstream: &Upstream, arguments: &Arguments) -> Result<Machine, String> {
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
        let words = std::env::args().skip(1).map(|word| format!(" {word}"));
        Ok(Machine {
            processor: field("model name").or_else(|| field("Processor")).unwrap_or_else(|| "unknown".into()),
            cores,
            kernel: kernel.trim().to_owned(),
            proxy_core,
            load_core,
            urgent: Urgent::is_allowed(),
            awake: arguments.awake,
            rounds: arguments.rounds,
            seconds: arguments.span.as_secs_f64(),
            upstream: upstream.name(),
            command: format!("side-by-side{}", words.collect::<String>()),
            peers: Vec::new(),
        })
    }

    /// Adds a proxy.
    pub(crate) fn add(&mut self, proxy: &Proxy) {
        let [command, configuration] = proxy.configuration.clone();
        let (name, version) = (proxy.name.clone(), proxy.version.clone());
        self.peers.push(Description { name, version, command, configuration });
    }

    /// Lines for people: what, and what it is.
    pub(crate) fn lines(&self) -> Vec<(String, String)> {
        let Machine { processor, cores, kernel, proxy_core, load_core, rounds, seconds, upstream, .. } = self;
        let urgent =
            if self.urgent { "real-time" } else { "no more than everybody's (real-time wasn't allowed)" };
        let awake = if self.awake { ", and cores are kept awake" } else { "" };
        let mut lines = vec![
            ("machine".into(), format!("{processor}, {cores} cores, Linux {kernel}")),
            (
                "cores".into(),
                format!("each proxy on core {proxy_core}, load and upstream on core {load_core}"),
            ),
            (
                "load".into(),
                format!("{rounds} rounds of {seconds} s each, interleaved; every answer checked"),
            ),
            ("priority".into(), format!("in the open loop the load's and the proxy's is {urgent}{awake}")),
            ("upstream".into(), (*upstream).to_owned()),
        ];
        lines.extend(self.peers.iter().map(|peer| (peer.name.clone(), peer.version.clone())));
        lines
    }
}
