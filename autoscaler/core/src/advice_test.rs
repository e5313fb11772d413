use super::*;

const COST: Duration = Duration::from_secs(150);

fn at(second: u64) -> Moment {
    Moment::from_secs(second)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A workload that is called each `every` seconds for a second, up to `end`, and always has a replica.
fn called(every: u64, end: u64) -> Watch {
    let mut watch = Watch::new(1, at(0));
    for second in (every..end).step_by(every as usize) {
        watch.sees(true, Some(at(second)), at(second));
        watch.sees(false, Some(at(second + 1)), at(second + 2));
    }
    watch
}

fn offer(advice: &Advice, seconds: u64) -> &Offer {
    advice.offers.iter().find(|offer| offer.idle_timeout == secs(seconds)).unwrap()
}

#[test]
fn what_another_timeout_makes_of_the_same_pauses_is_exact() {
    let advice = called(300, 7300).advice(COST, at(7321));
    // 24 calls at 300 s and so on, the first after a pause of 300 s, the others of 299 s, and the last one 120 s ago.
    assert_eq!((advice.pauses, advice.busy), (24, secs(24)));
    let [short, long] = [60, 480].map(|timeout| offer(&advice, timeout));
    assert_eq!((short.cold_starts, short.kept), (24, secs(25 * 60)));
    assert_eq!(short.slept, secs(240 + 23 * 239 + 60));
    assert_eq!((long.cold_starts, long.slept), (0, Duration::ZERO));
    for offer in &advice.offers {
        assert_eq!(offer.kept + offer.slept + advice.busy, advice.watched);
    }
}

#[test]
fn the_timeout_that_costs_least_is_advised() {
    // A replica that is always there costs 299 s in each pause; one that goes at once 10 s and a cold start.
    let advice = called(300, 7300).advice(COST, at(7321));
    assert_eq!(advice.verdict, Verdict::Set { idle_timeout: secs(10) });
    // Where a cold start is worth ten minutes, it stays.
    assert_eq!(called(300, 7300).advice(secs(600), at(7321)).verdict, Verdict::Keep);
    // Calls in bursts: through the burst and no longer.
    let mut bursts = Watch::new(1, at(0));
    for burst in 1..8 {
        for call in 0..5 {
            let second = burst * 3600 + call * 50;
            bursts.sees(true, Some(at(second)), at(second));
            bursts.sees(false, Some(at(second + 1)), at(second + 1));
        }
    }
    assert_eq!(bursts.advice(COST, at(8 * 3600)).verdict, Verdict::Set { idle_timeout: secs(60) });
}

#[test]
fn too_little_is_no_ground_for_advice() {
    assert_eq!(called(60, 180).advice(COST, at(180)).verdict, Verdict::TooShort);
    assert_eq!(called(600, 3700).advice(COST, at(3700)).verdict, Verdict::TooFew);
    assert_eq!(Watch::new(0, at(5)).advice(COST, at(5)).share(secs(1)), 0.0);
}

#[test]
fn sleep_and_replica_time_go_on_to_the_present() {
    let mut watch = Watch::new(1, at(10));
    watch.runs(0, at(40));
    watch.runs(3, at(100));
    let advice = watch.advice(COST, at(110));
    assert_eq!((advice.watched, advice.slept, advice.used), (secs(100), secs(60), secs(60)));
    watch.runs(0, at(110));
    assert_eq!(watch.advice(COST, at(210)).slept, secs(160));
}

#[test]
fn requests_that_nobody_saw_running_end_a_pause_too() {
    let mut watch = Watch::new(1, at(0));
    watch.sees(false, Some(at(100)), at(101));
    watch.sees(false, Some(at(100)), at(150));
    watch.sees(true, Some(at(100)), at(200));
    let advice = watch.advice(COST, at(230));
    assert_eq!((advice.pauses, advice.busy), (2, secs(30)));
    assert_eq!(offer(&advice, 60).cold_starts, 2);
}

#[test]
fn waits_are_told_to_a_fifth() {
    let mut watch = Watch::new(0, at(0));
    assert_eq!(watch.advice(COST, at(1)).p95, Duration::ZERO);
    for millis in 1..=100 {
        watch.cold_start(Duration::from_millis(millis * 100));
    }
    let advice = watch.advice(COST, at(1));
    let near = |got: Duration, millis: u64| {
        got >= Duration::from_millis(millis) && got <= Duration::from_millis(millis * 6 / 5)
    };
    assert!(near(advice.p50, 5000) && near(advice.p95, 9500), "{advice:?}");
    assert!(advice.p95 <= Duration::from_secs(10));
    let mut one = Watch::new(0, at(0));
    one.cold_start(Duration::from_millis(2300));
    assert_eq!(one.advice(COST, at(1)).p95, Duration::from_millis(2300), "never more than there was");
    one.cold_start(secs(100_000));
    assert_eq!(one.advice(COST, at(1)).cold_starts, 2);
}
