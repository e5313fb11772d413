//! The rounds: each case, each round, each proxy in turn, so that what drifts drifts for all.

use std::time::Duration;

use kaos_loadtest::tally::Latencies;
use serde::Serialize;

use crate::core::Ticks;
use crate::peer::Proxy;
use crate::upstream::Upstream;
use crate::{Arguments, client};

/// Load before the first round of a case, so that connections, caches and pools are there.
const WARM_UP: Duration = Duration::from_millis(500);

/// One kind of load.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Case {
    /// Bytes of each answer's body.
    pub(crate) size: usize,
    /// Connections.
    pub(crate) connections: usize,
}

impl Case {
    /// Reads `SIZE@CONNECTIONS`.
    pub(crate) fn parse(text: &str) -> Result<Case, String> {
        let read = |text: &str, most: usize| text.parse().ok().filter(|number| (1..=most).contains(number));
        let parts =
            text.split_once('@').and_then(|(size, count)| Some((read(size, 1 << 26)?, read(count, 4096)?)));
        let (size, connections) =
            parts.ok_or("expected BYTES@CONNECTIONS, such as 64@256: up to 67108864 and 4096")?;
        Ok(Case { size, connections })
    }
}

/// One proxy under one load, over all rounds. Medians of the rounds, unless said otherwise.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) case: Case,
    pub(crate) peer: &'static str,
    /// CPU of the proxy per request, user and system: microseconds, by round.
    pub(crate) rounds: Vec<f64>,
    pub(crate) cpu_us: f64,
    pub(crate) user_us: f64,
    pub(crate) system_us: f64,
    pub(crate) requests_per_second: f64,
    /// Of all rounds together: milliseconds.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Shares of the cores' time.
    pub(crate) proxy_core_busy: f64,
    pub(crate) load_core_busy: f64,
    /// The share of the proxy's core that went to others than the proxy: the figures are worth less the more it is.
    pub(crate) disturbed: f64,
}

/// What one round of one proxy gave.
struct Sample {
    user: f64,
    system: f64,
    rate: f64,
    proxy_core: f64,
    load_core: f64,
    disturbed: f64,
}

/// Measures all cases. Fails with the first wrong answer: a proxy that answers wrongly has no speed.
pub(crate) fn run(
    arguments: &Arguments,
    proxies: &[Proxy],
    upstream: &Upstream,
) -> Result<Vec<Measured>, String> {
    let mut all = Vec::new();
    for case in &arguments.cases {
        let path = upstream.path(case.size);
        let load = |proxy: &Proxy, span| {
            client::ask(proxy.address, &path, case.size, case.connections, span)
                .map_err(|why| format!("{}: {why}", proxy.name))
        };
        for proxy in proxies {
            load(proxy, WARM_UP)?;
        }
        let mut samples: Vec<(Vec<Sample>, Latencies)> = proxies.iter().map(|_| Default::default()).collect();
        for round in 0..arguments.rounds as usize {
            for turn in 0..proxies.len() {
                // Each round begins with another proxy: none always follows the same one.
                let at = (round + turn) % proxies.len();
                let proxy = &proxies[at];
                let cores = [arguments.proxy_core, arguments.load_core];
                let (cpu, ticks) = (proxy.cpu(), cores.map(Ticks::now));
                let done = load(proxy, arguments.span)?;
                let (user, system) = proxy.cpu().seconds_since(cpu);
                let busy = Ticks::now(cores[0]).busy_since(ticks[0]);
                let each = 1e6 / (done.requests.max(1)) as f64;
                samples[at].0.push(Sample {
                    user: user * each,
                    system: system * each,
                    rate: done.requests as f64 / done.seconds,
                    proxy_core: busy,
                    load_core: Ticks::now(cores[1]).busy_since(ticks[1]),
                    disturbed: (busy - (user + system) / done.seconds).max(0.0),
                });
                samples[at].1.add(&done.latencies);
            }
        }
        let measured = proxies.iter().zip(&samples);
        all.extend(measured.map(|(proxy, (rounds, latencies))| sum_up(*case, proxy.name, rounds, latencies)));
    }
    Ok(all)
}

fn sum_up(case: Case, peer: &'static str, rounds: &[Sample], latencies: &Latencies) -> Measured {
    let median_of = |field: fn(&Sample) -> f64| median(rounds.iter().map(field).collect());
    Measured {
        case,
        peer,
        rounds: rounds.iter().map(|sample| sample.user + sample.system).collect(),
        cpu_us: median_of(|sample| sample.user + sample.system),
        user_us: median_of(|sample| sample.user),
        system_us: median_of(|sample| sample.system),
        requests_per_second: median_of(|sample| sample.rate),
        p50_ms: latencies.quantile(0.5).as_secs_f64() * 1000.0,
        p99_ms: latencies.quantile(0.99).as_secs_f64() * 1000.0,
        proxy_core_busy: median_of(|sample| sample.proxy_core),
        load_core_busy: median_of(|sample| sample.load_core),
        disturbed: median_of(|sample| sample.disturbed),
    }
}

/// The middle value, or the mean of the two in the middle; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, wanted) in
            [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0], 2.5)]
        {
            assert!((median(values) - wanted).abs() < 1e-12);
        }
    }

    #[test]
    fn cases_are_read_or_refused() {
        let case = Case::parse("10240@64").unwrap();
        assert_eq!((case.size, case.connections), (10_240, 64));
        for text in ["", "64", "64@", "@64", "0@64", "64@0", "64@99999", "x@y"] {
            assert!(Case::parse(text).is_err(), "{text}");
        }
    }
}
