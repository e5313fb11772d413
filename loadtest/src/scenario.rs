//! A scenario file: loads that run at once against one target, and what is expected of each.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::schedule::Arrival;
use crate::span;

/// A scenario as its file says it, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// What it shows.
    pub about: String,
    /// Where Kaos listens: `http://ADDRESS:PORT`.
    #[serde(default = "default_target")]
    pub target: String,
    /// What is sent, all at once.
    pub load: Vec<Load>,
    /// Replicas are killed meanwhile.
    pub kill: Option<Kill>,
}

/// SIGKILL, again and again, to the `answer` process that was the last to stamp an answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Kill {
    /// From one to the next.
    #[serde(deserialize_with = "span::read")]
    pub every: Duration,
}

/// One kind of client.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Load {
    /// Its name in the result.
    pub name: String,
    /// Whom it asks; `a{00..19}.localhost` stands for twenty hosts.
    pub hosts: Vec<String>,
    /// Every host gets the whole arrival; else one arrival goes round the hosts.
    #[serde(default)]
    pub each_host: bool,
    /// What it speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// Connections, opened before the start.
    #[serde(default = "one")]
    pub connections: usize,
    /// Requests at once on a connection (HTTP/2).
    #[serde(default = "one")]
    pub streams: usize,
    /// After the start of the scenario.
    #[serde(default, deserialize_with = "span::read")]
    pub start: Duration,
    /// When requests are due.
    pub arrival: Arrival,
    /// What is sent.
    #[serde(default)]
    pub request: Shape,
    /// How patient the client is.
    #[serde(default)]
    pub client: Client,
    /// What is expected.
    #[serde(default)]
    pub expect: Expect,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on a connection.
    #[default]
    H1,
    /// HTTP/2 with prior knowledge.
    H2,
}

/// The shape of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Shape {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Bytes of body.
    pub body: usize,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { method: "GET".into(), path: "/".into(), body: 0, headers: BTreeMap::new() }
    }
}

/// How a client behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Client {
    /// A request that takes longer has failed.
    #[serde(deserialize_with = "span::read")]
    pub timeout: Duration,
    /// Leaves an attempt after this.
    #[serde(deserialize_with = "span::read_some")]
    pub give_up: Option<Duration>,
    /// From one attempt's beginning to the next one's.
    #[serde(deserialize_with = "span::read_some")]
    pub retry_every: Option<Duration>,
    /// Attempts for each request.
    pub attempts: u32,
    /// Statuses after which it tries again, like after a failure.
    pub retry_statuses: Vec<u16>,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            timeout: Duration::from_secs(120),
            give_up: None,
            retry_every: None,
            attempts: 1,
            retry_statuses: Vec::new(),
        }
    }
}

/// What must hold; what isn't said isn't checked, but no request may fail.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Expect {
    /// Statuses that are no failure.
    pub statuses: Vec<u16>,
    /// Bytes of each answer's body; another length is a failure.
    pub length: Option<u64>,
    /// Requests that may fail: no whole answer, or none with an expected status.
    pub failed_at_most: u64,
    /// 99 of 100 are answered within this after they were due.
    #[serde(deserialize_with = "span::read_some")]
    pub p99_at_most: Option<Duration>,
    /// No request is overtaken by more than this many of those sent `overtake-gap` or more after it.
    pub overtaken_at_most: Option<usize>,
    /// See `overtaken-at-most`.
    #[serde(deserialize_with = "span::read")]
    pub overtake_gap: Duration,
    /// Answers marked as cold starts.
    pub cold_at_least: Option<u64>,
    /// Answers marked as cold starts.
    pub cold_at_most: Option<u64>,
}

impl Default for Expect {
    fn default() -> Expect {
        Expect {
            statuses: vec![200],
            length: None,
            failed_at_most: 0,
            p99_at_most: None,
            overtaken_at_most: None,
            overtake_gap: Duration::from_millis(5),
            cold_at_least: None,
            cold_at_most: None,
        }
    }
}

fn default_target() -> String {
    "http://127.0.0.1:8080".into()
}

fn one() -> usize {
    1
}

impl Scenario {
    /// Reads and checks a scenario. The error says where and what is allowed.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let mut scenario: Scenario = toml::from_str(text).map_err(|error| error.to_string())?;
        if scenario.load.is_empty() {
            return Err("no [[load]]: expected at least one".into());
        }
        for load in &mut scenario.load {
            load.check().map_err(|error| format!("load {:?}: {error}", load.name))?;
        }
        Ok(scenario)
    }
}

impl Load {
    fn check(&mut self) -> Result<(), String> {
        let mut hosts = Vec::new();
        for host in &self.hosts {
            hosts.extend(expand(host)?);
        }
        self.hosts = hosts;
        let lines = self.connections.saturating_mul(self.streams);
        if self.hosts.is_empty() || lines == 0 || lines > 100_000 {
            return Err(
                "expected at least one host, one connection and one stream, and at most 100000 streams"
                    .into(),
            );
        }
        if self.protocol == Protocol::H1 && self.streams > 1 {
            return Err(
                "streams: HTTP/1.1 has one request at a time on a connection; expected protocol = \"h2\""
                    .into(),
            );
        }
        let client = &self.client;
        if client.attempts == 0 || client.attempts > 1 && client.retry_every.is_none() {
            return Err(
                "client: expected attempts of at least 1, and retry-every where there are more".into()
            );
        }
        self.arrival
            .plan(self.hosts.len(), self.each_host)
            .map(drop)
            .map_err(|error| format!("arrival: {error}"))
    }
}

/// `a{08..10}b` is `a08b`, `a09b`, `a10b`; what has no braces is itself.
pub fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = pattern.split_once('{') else { return Ok(vec![pattern.to_owned()]) };
    let expected = || {
        format!("host {pattern:?}: expected FROM..TO in the braces, such as {{00..19}}, at most 10000 hosts")
    };
    let (range, after) = rest.split_once('}').ok_or_else(expected)?;
    let (from, to) = range.split_once("..").ok_or_else(expected)?;
    let read = |text: &str| text.parse::<u32>().map_err(|_| expected());
    let (first, last) = (read(from)?, read(to)?);
    if first > last || last - first >= 10_000 || after.contains('{') {
        return Err(expected());
    }
    Ok((first..=last).map(|number| format!("{before}{number:0width$}{after}", width = from.len())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_scenarios_are_sound() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            if name.ends_with(".toml") && name != "kaos.toml" {
                Scenario::parse(&std::fs::read_to_string(&file).unwrap())
                    .unwrap_or_else(|why| panic!("{name}: {why}"));
                count += 1;
            }
        }
        assert_eq!(count, 6);
    }

    #[test]
    fn braces_expand_with_their_zeros() {
        assert_eq!(expand("a{08..10}b").unwrap(), ["a08b", "a09b", "a10b"]);
        assert_eq!(expand("plain").unwrap(), ["plain"]);
        for pattern in ["a{1..}", "a{2..1}", "a{1-2}", "a{1..2", "{1..2}{1..2}", "{0..99999}"] {
            assert!(expand(pattern).is_err(), "{pattern}");
        }
    }

    const LEAST: &str = "about = \"x\"\n[[load]]\nname = \"a\"\nhosts = [\"h\"]\narrival = { kind = \"at-once\", count = 1 }\n";

    #[test]
    fn the_least_scenario_has_sound_defaults() {
        let scenario = Scenario::parse(LEAST).unwrap();
        let load = &scenario.load[0];
        assert_eq!((load.protocol, load.connections, load.streams), (Protocol::H1, 1, 1));
        assert_eq!((load.request.path.as_str(), load.expect.statuses.as_slice()), ("/", &[200][..]));
    }

    #[test]
    fn errors_say_what_is_allowed() {
        for (wrong, word) in [
            ("streams = 2", "h2"),
            ("hots = 1", "hots"),
            ("connections = 0", "at least one"),
            ("client = { attempts = 3 }", "retry-every"),
            ("client = { give-up = \"2\" }", "duration"),
            ("expect = { statuses = \"200\" }", "statuses"),
        ] {
            let error = Scenario::parse(&format!("{LEAST}{wrong}\n")).unwrap_err();
            assert!(error.contains(word), "{wrong}: {error}");
        }
        let empty = LEAST.replace("count = 1", "count = 0");
        assert!(Scenario::parse(&empty).unwrap_err().contains("arrival"));
    }
}
