//! When requests are due. Fixed before the first one is sent, so that slow answers can't slow the questions (open loop).
//!
//! Pure: the same arrival and seed always give the same schedule.

use std::time::Duration;

use serde::Deserialize;

use crate::span;

/// Most requests of one load: what is kept of each stays within a few hundred megabytes.
pub const MOST: usize = 5_000_000;

/// How requests arrive.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Arrival {
    /// Evenly, `rate` a second.
    Constant {
        /// Requests a second.
        rate: f64,
        /// For how long.
        #[serde(deserialize_with = "span::read")]
        duration: Duration,
    },
    /// Independently, `rate` a second on average.
    Poisson {
        /// Requests a second.
        rate: f64,
        /// For how long.
        #[serde(deserialize_with = "span::read")]
        duration: Duration,
        /// Of the random gaps.
        seed: u64,
    },
    /// Evenly, at one rate after the other.
    Steps {
        /// The rates in order.
        steps: Vec<Step>,
    },
    /// All at one moment.
    AtOnce {
        /// How many.
        count: usize,
    },
    /// Evenly, a fixed number.
    Spaced {
        /// How many.
        count: usize,
        /// From one to the next.
        #[serde(deserialize_with = "span::read")]
        every: Duration,
    },
    /// A fixed number, each gap drawn evenly between two spans.
    Gaps {
        /// How many.
        count: usize,
        /// Shortest gap.
        #[serde(deserialize_with = "span::read")]
        from: Duration,
        /// Longest gap.
        #[serde(deserialize_with = "span::read")]
        to: Duration,
        /// Of the random gaps.
        seed: u64,
    },
}

/// One step of [`Arrival::Steps`].
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Requests a second; 0: a pause.
    pub rate: f64,
    /// For how long.
    #[serde(deserialize_with = "span::read")]
    pub duration: Duration,
}

/// One request that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Due {
    /// Since the start of the load.
    pub at: Duration,
    /// Which of the load's hosts is asked.
    pub host: usize,
}

impl Arrival {
    /// The moments of all requests, in order. `stream` tells apart several schedules of one arrival. The error says what is
    /// out of bounds.
    pub fn moments(&self, stream: u64) -> Result<Vec<Duration>, String> {
        match self {
            Arrival::Constant { rate, duration } => even(*rate, *duration, Duration::ZERO),
            Arrival::Poisson { rate, duration, seed } => poisson(*rate, *duration, seeded(*seed, stream)),
            Arrival::Steps { steps } => {
                let (mut all, mut begun) = (Vec::new(), Duration::ZERO);
                for step in steps {
                    if step.rate != 0.0 {
                        all.extend(even(step.rate, step.duration, begun)?);
                    }
                    begun += step.duration;
                }
                bounded(all.len()).map(|_| all)
            }
            Arrival::AtOnce { count } => Ok(vec![Duration::ZERO; bounded(*count)?]),
            Arrival::Spaced { count, every } => {
                bounded(*count)?;
                Ok((0..*count).map(|at| every.mul_f64(at as f64)).collect())
            }
            Arrival::Gaps { count, from, to, seed } => gaps(*count, *from, *to, seeded(*seed, stream)),
        }
    }

    /// The schedule over `hosts` hosts: one arrival that goes round them, or with `each` one arrival for every host.
    pub fn plan(&self, hosts: usize, each: bool) -> Result<Vec<Due>, String> {
        if !each {
            let moments = self.moments(0)?;
            return Ok(moments
                .into_iter()
                .enumerate()
                .map(|(at, moment)| Due { at: moment, host: at % hosts })
                .collect());
        }
        let mut plan = Vec::new();
        for host in 0..hosts {
            plan.extend(self.moments(host as u64)?.into_iter().map(|at| Due { at, host }));
            bounded(plan.len())?;
        }
        plan.sort_by_key(|due| due.at);
        Ok(plan)
    }
}

fn bounded(count: usize) -> Result<usize, String> {
    if count == 0 || count > MOST {
        return Err(format!("{count} requests: expected 1 to {MOST} in one load"));
    }
    Ok(count)
}

fn checked(rate: f64, duration: Duration) -> Result<usize, String> {
    if !(rate > 0.0 && rate <= 1e6) {
        return Err(format!("rate {rate}: expected requests a second, above 0, up to 1000000"));
    }
    // Half a request that is missing for want of precision isn't left out.
    bounded((rate * duration.as_secs_f64() + 1e-6) as usize)
}

fn even(rate: f64, duration: Duration, begin: Duration) -> Result<Vec<Duration>, String> {
    let count = checked(rate, duration)?;
    Ok((0..count).map(|at| begin + Duration::from_secs_f64(at as f64 / rate)).collect())
}

fn poisson(rate: f64, duration: Duration, mut random: fastrand::Rng) -> Result<Vec<Duration>, String> {
    checked(rate, duration)?;
    let (mut at, mut all) = (0.0, Vec::new());
    loop {
        // 1 − [0, 1) is never 0, whose logarithm isn't finite.
        at -= (1.0 - random.f64()).ln() / rate;
        if at >= duration.as_secs_f64() || all.len() == MOST {
            return Ok(all);
        }
        all.push(Duration::from_secs_f64(at));
    }
}

fn gaps(
    count: usize,
    from: Duration,
    to: Duration,
    mut random: fastrand::Rng,
) -> Result<Vec<Duration>, String> {
    bounded(count)?;
    if from > to {
        return Err(format!("gaps from {from:?} to {to:?}: expected the shorter one first"));
    }
    let mut at = Duration::ZERO;
    let mut moment = || {
        let this = at;
        at += from + (to - from).mul_f64(random.f64());
        this
    };
    Ok((0..count).map(|_| moment()).collect())
}

/// A random sequence of its own for each pair.
pub(crate) fn seeded(seed: u64, stream: u64) -> fastrand::Rng {
    // The golden ratio's bits: neighbouring streams begin far apart (Steele et al., "Fast splittable PRNGs", 2014).
    fastrand::Rng::with_seed(seed ^ stream.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn poisson(seed: u64) -> Arrival {
        Arrival::Poisson { rate: 1000.0, duration: 10 * SECOND, seed }
    }

    #[test]
    fn counts_are_exact() {
        let steps = vec![
            Step { rate: 10.0, duration: SECOND },
            Step { rate: 0.0, duration: SECOND },
            Step { rate: 2.5, duration: 2 * SECOND },
        ];
        for (arrival, count, last) in [
            (Arrival::Constant { rate: 3.0, duration: SECOND }, 3, 2.0 / 3.0),
            (Arrival::Constant { rate: 0.1, duration: 30 * SECOND }, 3, 20.0),
            (Arrival::Steps { steps }, 15, 3.6),
            (Arrival::AtOnce { count: 8000 }, 8000, 0.0),
            (Arrival::Spaced { count: 100, every: Duration::from_millis(5) }, 100, 0.495),
        ] {
            let moments = arrival.moments(0).unwrap();
            assert_eq!(moments.len(), count, "{arrival:?}");
            assert!((moments.last().unwrap().as_secs_f64() - last).abs() < 1e-6, "{arrival:?}");
        }
    }

    #[test]
    fn the_seed_decides() {
        let once = poisson(1).moments(0).unwrap();
        assert_eq!(once, poisson(1).moments(0).unwrap());
        assert_ne!(once, poisson(2).moments(0).unwrap());
        assert_ne!(once, poisson(1).moments(1).unwrap());
    }

    #[test]
    fn poisson_arrivals_are_sorted_and_as_many_as_the_rate_says() {
        let moments = poisson(7).moments(0).unwrap();
        assert!(moments.is_sorted());
        assert!(moments.iter().all(|at| *at < 10 * SECOND));
        // 10,000 are expected; five standard deviations are 500.
        assert!((9_500..10_500).contains(&moments.len()), "{}", moments.len());
        // Gaps of a Poisson process: as spread as they are long.
        let gaps: Vec<f64> =
            moments.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1000.0).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((0.9..1.1).contains(&variance.sqrt()), "{variance}");
    }

    #[test]
    fn gaps_stay_within_their_bounds() {
        let (from, to) = (Duration::from_millis(900), Duration::from_millis(1300));
        let moments = Arrival::Gaps { count: 50, from, to, seed: 3 }.moments(0).unwrap();
        assert_eq!((moments.len(), moments[0]), (50, Duration::ZERO));
        assert!(moments.windows(2).all(|pair| (from..=to).contains(&(pair[1] - pair[0]))));
    }

    #[test]
    fn a_plan_goes_round_the_hosts_or_repeats_for_each() {
        let arrival = Arrival::Gaps { count: 4, from: SECOND, to: 2 * SECOND, seed: 1 };
        let round = arrival.plan(3, false).unwrap();
        assert_eq!(round.iter().map(|due| due.host).collect::<Vec<_>>(), [0, 1, 2, 0]);
        let each = arrival.plan(3, true).unwrap();
        assert_eq!(each.len(), 12);
        assert!(each.is_sorted_by_key(|due| due.at));
        for host in 0..3 {
            assert_eq!(each.iter().filter(|due| due.host == host).count(), 4);
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        for arrival in [
            Arrival::Constant { rate: 0.0, duration: SECOND },
            Arrival::Constant { rate: f64::NAN, duration: SECOND },
            Arrival::Constant { rate: 1e6, duration: 60 * SECOND },
            Arrival::Constant { rate: 1.0, duration: Duration::ZERO },
            Arrival::AtOnce { count: 0 },
            Arrival::AtOnce { count: MOST + 1 },
            Arrival::Gaps { count: 1, from: 2 * SECOND, to: SECOND, seed: 1 },
            Arrival::Steps { steps: vec![] },
        ] {
            assert!(arrival.moments(0).is_err(), "{arrival:?}");
        }
    }
}
