//! One schedule's parameters, all drawn from its seed: how many of each, their knobs, how often what goes wrong.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::Policy;
use kaos_core::policy::{IdleTimeout, Metric, Prewarm};

use crate::random::Random;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The parameters of one schedule.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Proxies at the beginning.
    pub proxies: usize,
    /// Autoscalers.
    pub autoscalers: usize,
    /// One policy per workload.
    pub policies: Vec<Arc<Policy>>,
    /// How long requests come and things go wrong.
    pub span: Duration,
    /// Shortest and longest time from a start to readiness.
    pub start: (Duration, Duration),
    /// `--max-starting`.
    pub max_starting: u32,
    /// Whether a replica's change of phase counts as a change of the workload's object.
    pub phases_count: bool,
    /// What goes wrong.
    pub faults: Faults,
}

/// How often what goes wrong, in events per thousand, or as a number of times.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Reports that never arrive.
    pub lost: u64,
    /// Reports that arrive up to 4 s late, out of order.
    pub late: u64,
    /// Reports that arrive twice.
    pub repeated: u64,
    /// Starts that fail.
    pub failed_starts: u64,
    /// Writes that the platform refuses.
    pub refused: u64,
    /// Writes that take up to 4 s.
    pub slow: u64,
    /// Pictures that take up to 3 s to arrive.
    pub stale: u64,
    /// Times that a proxy's process is replaced.
    pub proxy_restarts: u64,
    /// Times that an autoscaler dies and comes back.
    pub autoscaler_restarts: u64,
    /// Times that leadership moves with nobody dying, for a moment to both.
    pub handovers: u64,
    /// Times that somebody else writes a count.
    pub foreign: u64,
    /// Times that a ready replica dies.
    pub crashes: u64,
    /// Times that the platform answers nobody for a while.
    pub outages: u64,
    /// Holds into which a restart falls.
    pub hits: u64,
}

impl Setup {
    /// The setup of `random`'s schedule.
    pub fn draw(random: &mut Random) -> Self {
        let workloads = 1 + random.below(3) as usize;
        let autoscalers = random.of(&[1, 1, 2]);
        Setup {
            proxies: 1 + random.below(3) as usize,
            autoscalers,
            policies: policies(random, workloads),
            span: random.between(secs(40), secs(90)),
            start: random.of(&[(millis(1), millis(50)), (millis(200), millis(1500)), (millis(500), secs(8))]),
            max_starting: random.of(&[1, 2, 20, 20]),
            phases_count: random.chance(500),
            faults: Faults::draw(random, autoscalers),
        }
    }
}

impl Faults {
    fn draw(random: &mut Random, autoscalers: usize) -> Self {
        let mut sometimes = |share: u64, amount: u64| {
            let amount = 1 + random.below(amount);
            if random.chance(share) { amount } else { 0 }
        };
        Faults {
            lost: sometimes(300, 300),
            late: sometimes(200, 200),
            repeated: sometimes(200, 200),
            failed_starts: sometimes(250, 500),
            refused: sometimes(200, 200),
            slow: sometimes(250, 300),
            stale: sometimes(250, 300),
            proxy_restarts: sometimes(250, 3),
            autoscaler_restarts: sometimes(250, 3),
            handovers: if autoscalers > 1 { sometimes(500, 3) } else { 0 },
            foreign: sometimes(250, 4),
            crashes: sometimes(200, 4),
            outages: sometimes(150, 2),
            hits: sometimes(250, 300),
        }
    }
}

/// One for each workload; some wake with others, in whatever circles.
fn policies(random: &mut Random, workloads: usize) -> Vec<Arc<Policy>> {
    let mut all: Vec<Policy> = (0..workloads).map(|_| policy(random)).collect();
    if random.chance(300) {
        for policy in &mut all {
            let named = (0..workloads).filter(|_| random.chance(500)).map(|other| format!("w{other}").into());
            policy.wake_with = named.collect();
        }
    }
    all.into_iter().map(Arc::new).collect()
}

fn policy(random: &mut Random) -> Policy {
    let max_scale = random.of(&[1, 2, 3, 4, 6]);
    let min_scale = if random.chance(150) { 1 + random.below(u64::from(max_scale)) as u32 } else { 0 };
    let container_concurrency = random.of(&[0, 0, 1, 1, 3]);
    Policy {
        metric: if random.chance(150) { Metric::Rps } else { Metric::Concurrency },
        target: random.of(&[None, Some(1.0), Some(2.0), Some(5.0)]),
        container_concurrency,
        window: secs(random.of(&[6, 6, 10, 20])),
        max_scale,
        min_scale,
        activation_scale: if random.chance(100) { 1 + random.below(u64::from(max_scale)) as u32 } else { 1 },
        initial_scale: if random.chance(100) { 1 + random.below(u64::from(max_scale)) as u32 } else { 1 },
        scale_down_delay: secs(random.of(&[0, 0, 0, 4])),
        idle_timeout: match random.below(5) {
            0..3 => IdleTimeout::Learned,
            _ => IdleTimeout::After(random.spread(secs(1), secs(12))),
        },
        prewarm: if random.chance(200) { Prewarm::Off } else { Prewarm::Earned },
        cold_start_cost: random.spread(secs(10), secs(100)),
        queue_timeout: random.of(&[secs(20), secs(60)]),
        ..Policy::default()
    }
}
