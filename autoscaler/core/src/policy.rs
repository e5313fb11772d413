//! How one workload is scaled and admitted: its knobs, read and validated.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Every knob of a workload, within its bounds. What each means, its unit and default: [`KNOBS`](crate::knob::KNOBS).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// What `target` is a target of.
    pub metric: Metric,
    /// In-flight (or requests a second) per replica aimed at, before utilization. `None`: 100, or 200 for `rps`.
    pub target: Option<f64>,
    /// Share of the target to steer to, in percent.
    pub target_utilization_percentage: f64,
    /// What replicas speak.
    #[serde(default)]
    pub protocol: Protocol,
    /// Most requests that one replica may have in flight; 0 for no limit.
    pub container_concurrency: u32,
    /// The stable window.
    pub window: Duration,
    /// The panic window as a share of the stable one, in percent.
    pub panic_window_percentage: f64,
    /// Panic when the panic window needs this share of the ready replicas or more, in percent.
    pub panic_threshold_percentage: f64,
    /// Most growth per decision, as a factor of the ready replicas.
    pub max_scale_up_rate: f64,
    /// Most shrinking per decision, as a divisor of the ready replicas.
    pub max_scale_down_rate: f64,
    /// Never fewer replicas.
    pub min_scale: u32,
    /// Never more replicas; 0 for no bound.
    pub max_scale: u32,
    /// Size of the first start after adoption.
    pub initial_scale: u32,
    /// Least size when above zero.
    pub activation_scale: u32,
    /// The maximum of the desired counts over this span is used.
    pub scale_down_delay: Duration,
    /// Nothing in flight or waiting for this long: zero.
    pub idle_timeout: IdleTimeout,
    /// Where the idle timeout is learned: whether replicas are started before anybody asks.
    #[serde(default)]
    pub prewarm: Prewarm,
    /// Where the idle timeout is learned: what a cold start is worth, in time of an idle replica.
    #[serde(default = "usual_cold_start_cost")]
    pub cold_start_cost: Duration,
    /// Paths whose requests wake nothing and keep nothing awake. Each path once, at most 16.
    #[serde(default)]
    pub no_wake_paths: Box<[NoWakePath]>,
    /// Other workloads of the same namespace, by name, that are awake while this one is. Each once, at most 16.
    #[serde(default)]
    pub wake_with: Box<[Box<str>]>,
    /// Ready within this, or the start has failed.
    pub start_timeout: Duration,
    /// How a starting replica is found ready.
    pub readiness: Readiness,
    /// From SIGTERM to SIGKILL.
    pub stop_timeout: Duration,
    /// Most requests that wait, per proxy.
    pub queue_limit: u32,
    /// Longest wait of a request for a replica.
    pub queue_timeout: Duration,
    /// Longest whole request, from its dispatch to its last byte; zero for none.
    pub request_timeout: Duration,
    /// Longest wait for the first byte of a response after its dispatch.
    pub response_start_timeout: Duration,
    /// Longest silence on a body or an upgraded connection.
    pub stream_idle_timeout: Duration,
    /// Bytes per second that a client must at least send or take of a body while it is waited for; 0 for any.
    #[serde(default)]
    pub min_transfer_rate: u32,
    /// Largest body of a request, in bytes; 0 for any.
    #[serde(default)]
    pub max_request_body: u64,
}

/// A path whose requests wake nothing: they are a replica's where one is ready, else they are answered with `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NoWakePath {
    /// The whole path, as requests are routed by it: without the query, exact to the last slash.
    pub path: String,
    /// 200 to 299, or 400 to 599.
    pub status: u16,
}

/// What a target is a target of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Requests in flight.
    Concurrency,
    /// Requests a second.
    Rps,
}

/// How long a workload that nobody uses stays awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdleTimeout {
    /// As long as its own gaps say that it is worth it.
    Learned,
    /// So long.
    After(Duration),
}

impl IdleTimeout {
    /// The timeout, where it isn't learned.
    pub const fn fixed(self) -> Option<Duration> {
        match self {
            IdleTimeout::Learned => None,
            IdleTimeout::After(timeout) => Some(timeout),
        }
    }
}

/// Whether replicas are started before anybody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prewarm {
    /// Never.
    Off,
    /// While it would have been worth it.
    #[default]
    Earned,
}

/// What a cold start is worth where nothing else is said.
const fn usual_cold_start_cost() -> Duration {
    Duration::from_secs(150)
}

/// What replicas speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, with prior knowledge.
    H2c,
}

/// How a starting replica is found ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    /// A TCP connection is accepted.
    Tcp,
    /// A GET of this path is answered with 200–399.
    Path(String),
    /// Its own readiness probe passes, whoever runs it. Only where replicas have one: in a cluster.
    Probe,
    /// The platform says so. Only where a platform does: in a cluster.
    Ready,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            metric: Metric::Concurrency,
            target: None,
            target_utilization_percentage: 70.0,
            protocol: Protocol::Http1,
            container_concurrency: 0,
            window: Duration::from_secs(60),
            panic_window_percentage: 10.0,
            panic_threshold_percentage: 200.0,
            max_scale_up_rate: 1000.0,
            max_scale_down_rate: 2.0,
            min_scale: 0,
            max_scale: 10,
            initial_scale: 1,
            activation_scale: 1,
            scale_down_delay: Duration::ZERO,
            idle_timeout: IdleTimeout::Learned,
            prewarm: Prewarm::default(),
            cold_start_cost: usual_cold_start_cost(),
            no_wake_paths: Box::default(),
            wake_with: Box::default(),
            start_timeout: Duration::from_secs(600),
            readiness: Readiness::Tcp,
            stop_timeout: Duration::from_secs(10),
            queue_limit: 1000,
            queue_timeout: Duration::from_secs(60),
            request_timeout: Duration::ZERO,
            response_start_timeout: Duration::from_secs(300),
            stream_idle_timeout: Duration::from_secs(300),
            min_transfer_rate: 240,
            max_request_body: 0,
        }
    }
}

impl Policy {
    /// What child processes on one machine of `cores` CPU cores get where nothing else is said.
    pub fn local(cores: u32) -> Self {
        Policy { max_scale: cores.max(1), start_timeout: Duration::from_secs(60), ..Policy::default() }
    }

    /// What a workload of a cluster gets where nothing else is said, `found` being its count when it was adopted.
    pub fn cluster(found: u32) -> Self {
        let usual = Policy::default();
        Policy { max_scale: usual.max_scale.max(found), readiness: Readiness::Probe, ..usual }
    }

    /// Whether knobs that bound each other do; else which one doesn't, and what is allowed.
    pub(crate) fn agree(&self) -> Result<(), (&'static str, String)> {
        for (name, least) in [
            ("min-scale", self.min_scale),
            ("initial-scale", self.initial_scale),
            ("activation-scale", self.activation_scale),
        ] {
            if self.max_scale > 0 && least > self.max_scale {
                let allowed = format!("{name} ({least}) must not be above max-scale ({})", self.max_scale);
                return Err((name, allowed));
            }
        }
        Ok(())
    }

    /// The target in its unit, before utilization.
    pub fn full_target(&self) -> f64 {
        let target = self.target.unwrap_or(match self.metric {
            Metric::Concurrency => 100.0,
            Metric::Rps => 200.0,
        });
        match (self.metric, self.container_concurrency) {
            (Metric::Concurrency, limit) if limit > 0 => {
                if self.target.is_some() {
                    target.min(f64::from(limit))
                } else {
                    f64::from(limit)
                }
            }
            _ => target,
        }
    }

    /// What one replica is steered to: `max(0.01, target × utilization)` (Knative's `resources/target.go`).
    pub fn steered_target(&self) -> f64 {
        (self.full_target() * self.target_utilization_percentage / 100.0).max(0.01)
    }

    /// The status that answers a request for `path` where no replica is ready, if it is one that wakes nothing.
    #[inline]
    pub fn no_wake(&self, path: &str) -> Option<u16> {
        self.no_wake_paths.iter().find(|one| one.path == path).map(|one| one.status)
    }

    /// How many requests of a backlog one replica is given: the target or the hard limit, whichever is less; for `rps`
    /// the hard limit, else 100.
    pub fn slots(&self) -> u32 {
        let slots = match (self.metric, self.container_concurrency) {
            (Metric::Rps, 0) => 100.0,
            (Metric::Rps, limit) => f64::from(limit),
            (Metric::Concurrency, _) => self.full_target(),
        };
        (slots.floor() as u32).max(1)
    }

    /// The panic window: a share of the stable one in whole seconds, at least one.
    pub fn panic_window(&self) -> Duration {
        let seconds = self.window.as_secs_f64() * self.panic_window_percentage / 100.0;
        Duration::from_secs((seconds.round() as u64).max(1))
    }

    /// `count`, not above `max-scale`.
    pub fn capped(&self, count: u32) -> u32 {
        if self.max_scale == 0 { count } else { count.min(self.max_scale) }
    }

    /// The least count above zero.
    pub fn floor(&self) -> u32 {
        self.min_scale.max(self.activation_scale).max(1)
    }
}
