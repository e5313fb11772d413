//! The rounds: each case, each round, each proxy in turn, so that what drifts drifts for all.

use std::time::Duration;

use kaos_loadtest::tally::Latencies;
use serde::Serialize;

use crate::Arguments;
use crate::awake::Awake;
use crate::case::Case;
use crate::core::Ticks;
use crate::load::{self, Done, Loop};
use crate::peer::{Proxy, Stage, refusals};

/// Load before the first round of a case, so that connections, caches and pools are there.
const WARM_UP: Duration = Duration::from_millis(500);

/// The share of the capacity at which latency is measured.
const HALF: f64 = 0.5;

/// The share of the load's core that an open loop may need, as far as the closed one tells: beyond it what is measured is the load.
/// Requests that come one by one cost it more than those that come together.
const LOAD: f64 = 0.4;

/// The share of the proxy's core that others may have before a round is left out.
pub(crate) const DISTURBED: f64 = 0.05;

/// One proxy under one load. Medians of the rounds that were quiet.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) case: Case,
    pub(crate) peer: String,
    /// False: no proxy at all.
    pub(crate) proxy: bool,
    /// CPU of the proxy per request, user and system: microseconds, by round.
    pub(crate) rounds: Vec<f64>,
    pub(crate) cpu_us: f64,
    pub(crate) user_us: f64,
    pub(crate) system_us: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Shares of the cores' time.
    pub(crate) proxy_core_busy: f64,
    pub(crate) load_core_busy: f64,
    /// The share of the proxy's core that went to others than the proxy: the figures are worth less the more it is.
    pub(crate) disturbed: f64,
    /// In an open loop at half load, if that was measured and can be carried.
    pub(crate) half: Option<Half>,
}

/// Latency at half load, from when a request was due. Medians of the rounds; milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Half {
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p99_rounds: Vec<f64>,
}

/// All that was measured, and what wasn't.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) measured: Vec<Measured>,
    /// Who doesn't do which case, and why.
    pub(crate) refused: Vec<String>,
    /// Answers that were wrong: a proxy that answers wrongly has no speed.
    pub(crate) wrong: Vec<String>,
}

/// What one round of one proxy gave.
struct Sample {
    user: f64,
    system: f64,
    rate: f64,
    p50: f64,
    p99: f64,
    proxy_core: f64,
    load_core: f64,
    disturbed: f64,
}

/// A proxy in the rounds of one case.
struct Runner<'a> {
    proxy: &'a Proxy,
    samples: Vec<Sample>,
    half: Vec<Sample>,
    wrong: Option<String>,
}

/// Measures all cases.
pub(crate) fn run(arguments: &Arguments, proxies: &[Proxy], stage: Stage<'_>, latency: bool) -> Outcome {
    let mut outcome = Outcome::default();
    for case in &arguments.cases {
        let mut runners = Vec::new();
        for (proxy, refusal) in proxies.iter().zip(refusals(proxies, *case, stage)) {
            match refusal {
                None => runners.push(Runner { proxy, samples: Vec::new(), half: Vec::new(), wrong: None }),
                // No proxy is no one's refusal.
                Some(_) if !proxy.is_proxy() => {}
                Some(why) => outcome.refused.push(format!("{} doesn't do {case}: {why}", proxy.name)),
            }
        }
        eprintln!("side-by-side: {case}");
        let rate = run_case(arguments, *case, stage, latency, &mut runners);
        for runner in runners {
            match &runner.wrong {
                Some(why) => outcome.wrong.push(format!("{} in {case}: {why}", runner.proxy.name)),
                None => outcome.measured.push(sum_up(*case, &runner, rate)),
            }
        }
    }
    outcome
}

/// All rounds of one case. Returns the rate of the open loop.
fn run_case(
    arguments: &Arguments,
    case: Case,
    stage: Stage<'_>,
    latency: bool,
    runners: &mut [Runner<'_>],
) -> f64 {
    let ask = |runner: &mut Runner<'_>, when: Loop, span: Duration| {
        if runner.wrong.is_some() {
            return None;
        }
        load::ask(&runner.proxy.target(case, stage), when, span).map_err(|why| runner.wrong = Some(why)).ok()
    };
    for runner in runners.iter_mut() {
        ask(runner, Loop::Closed, WARM_UP.min(arguments.span));
    }
    let count = runners.len().max(1);
    // Each round begins with another proxy: none always follows the same one.
    let turns = (0..arguments.rounds as usize)
        .flat_map(|round| (0..runners.len()).map(move |turn| (round, (round + turn) % count)))
        .collect::<Vec<_>>();
    let take = |runner: &mut Runner<'_>, when: Loop| {
        let is_open = matches!(when, Loop::Open { .. });
        let _urgent = is_open.then(|| runner.proxy.hurry());
        let _awake = (is_open && arguments.awake).then(Awake::keep);
        let cores = [arguments.proxy_core, arguments.load_core];
        let (cpu, ticks) = (runner.proxy.cpu(), cores.map(Ticks::now));
        let done = ask(runner, when, arguments.span)?;
        let used = runner.proxy.cpu().seconds_since(cpu);
        let busy = [0, 1].map(|core| Ticks::now(cores[core]).busy_since(ticks[core]));
        Some(sample(&done, used, busy))
    };
    for (_, at) in &turns {
        let sample = take(&mut runners[*at], Loop::Closed);
        runners[*at].samples.extend(sample);
    }
    let rate = half_of_capacity(runners).min(what_the_load_can_do(runners));
    if !latency || rate <= 0.0 {
        return 0.0;
    }
    // Who can't carry the rate would show how long its backlog grew, which is no latency.
    let able: Vec<bool> = runners.iter().map(|runner| capacity(runner) > rate).collect();
    for (round, at) in turns.into_iter().filter(|(_, at)| able[*at]) {
        let when = Loop::Open { rate, seed: round as u64 };
        let sample = take(&mut runners[at], when);
        runners[at].half.extend(sample);
    }
    rate
}

fn sample(done: &Done, (user, system): (f64, f64), busy: [f64; 2]) -> Sample {
    let each = 1e6 / done.requests.max(1) as f64;
    Sample {
        user: user * each,
        system: system * each,
        rate: done.requests as f64 / done.seconds,
        p50: millis(&done.latencies, 0.5),
        p99: millis(&done.latencies, 0.99),
        proxy_core: busy[0],
        load_core: busy[1],
        disturbed: (busy[0] - (user + system) / done.seconds).max(0.0),
    }
}

fn millis(latencies: &Latencies, share: f64) -> f64 {
    latencies.quantile(share).as_secs_f64() * 1000.0
}

/// Half of what the second best proxy can do, so that at least two aren't beyond half of their capacity; of one, half of its.
fn half_of_capacity(runners: &[Runner<'_>]) -> f64 {
    HALF * second_best(proxies(runners).map(capacity).collect())
}

/// What keeps the load's core as idle as it has to be, with each of the proxies.
fn what_the_load_can_do(runners: &[Runner<'_>]) -> f64 {
    let busy =
        |runner: &Runner<'_>| median(quiet(&runner.samples).iter().map(|sample| sample.load_core).collect());
    proxies(runners).map(|runner| capacity(runner) * LOAD / busy(runner)).fold(f64::INFINITY, f64::min)
}

/// Those that are compared.
fn proxies<'a, 'b>(runners: &'a [Runner<'b>]) -> impl Iterator<Item = &'a Runner<'b>> {
    runners.iter().filter(|runner| runner.proxy.is_proxy() && runner.wrong.is_none())
}

/// Answers a second in the closed loop.
fn capacity(runner: &Runner<'_>) -> f64 {
    median(quiet(&runner.samples).iter().map(|sample| sample.rate).collect())
}

fn second_best(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(|one, other| other.total_cmp(one));
    rates.get(1).or(rates.first()).copied().unwrap_or(0.0)
}

fn sum_up(case: Case, runner: &Runner<'_>, rate: f64) -> Measured {
    let (samples, half) = (quiet(&runner.samples), quiet(&runner.half));
    let all_of = |samples: &[&Sample], field: fn(&Sample) -> f64| -> Vec<f64> {
        samples.iter().map(|sample| field(sample)).collect()
    };
    let median_of = |field: fn(&Sample) -> f64| median(all_of(&samples, field));
    Measured {
        case,
        peer: runner.proxy.name.clone(),
        proxy: runner.proxy.is_proxy(),
        rounds: all_of(&samples, |sample| sample.user + sample.system),
        cpu_us: median_of(|sample| sample.user + sample.system),
        user_us: median_of(|sample| sample.user),
        system_us: median_of(|sample| sample.system),
        requests_per_second: median_of(|sample| sample.rate),
        p50_ms: median_of(|sample| sample.p50),
        p99_ms: median_of(|sample| sample.p99),
        proxy_core_busy: median_of(|sample| sample.proxy_core),
        load_core_busy: median_of(|sample| sample.load_core),
        disturbed: median_of(|sample| sample.disturbed),
        half: (!half.is_empty()).then(|| Half {
            rate,
            p50_ms: median(all_of(&half, |sample| sample.p50)),
            p99_ms: median(all_of(&half, |sample| sample.p99)),
            p99_rounds: all_of(&half, |sample| sample.p99),
        }),
    }
}

/// The rounds in which nobody else used the proxy's core; if those are few, the half in which others used it least. What is left
/// out is chosen by what others did, never by what came out.
fn quiet(samples: &[Sample]) -> Vec<&Sample> {
    let mut sorted: Vec<&Sample> = samples.iter().collect();
    sorted.sort_by(|one, other| one.disturbed.total_cmp(&other.disturbed));
    let undisturbed = sorted.iter().filter(|sample| sample.disturbed <= DISTURBED).count();
    sorted.truncate(undisturbed.max(samples.len().div_ceil(2)));
    sorted
}

/// The middle value, or the mean of the two in the middle; 0 of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
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
    fn rounds_are_left_out_by_what_others_did() {
        let sample = |disturbed: f64| Sample {
            user: 1.0,
            system: 1.0,
            rate: 1.0,
            p50: 1.0,
            p99: 1.0,
            proxy_core: 1.0,
            load_core: 1.0,
            disturbed,
        };
        for (disturbed, kept) in [
            (vec![], vec![]),
            (vec![0.0, 0.3, 0.04, 0.01], vec![0.0, 0.01, 0.04]),
            (vec![0.4, 0.3, 0.5, 0.2, 0.0], vec![0.0, 0.2, 0.3]),
        ] {
            let samples: Vec<Sample> = disturbed.into_iter().map(sample).collect();
            let quiet: Vec<f64> = quiet(&samples).iter().map(|sample| sample.disturbed).collect();
            assert_eq!(quiet, kept);
        }
    }

    #[test]
    fn half_load_is_what_the_second_best_can_do() {
        for (rates, wanted) in [(vec![], 0.0), (vec![5.0], 5.0), (vec![3.0, 9.0, 7.0], 7.0)] {
            assert!((second_best(rates) - wanted).abs() < 1e-12);
        }
    }
}
