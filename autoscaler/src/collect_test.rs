//! Reports as they come in a bad world: late, repeated, torn off, from processes that are gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::average::Flow;
use kaos_core::observation::Heard;
use kaos_core::report::{HoldAnswer, HoldState, REPORT_VERSION};
use kaos_core::snapshot::Replicas;
use kaos_core::{HoldId, Moment, Policy, ProxyId, Reading, Report, Snapshot, Sums, Workload, WorkloadId};
use proptest::prelude::*;

use crate::Journal;
use crate::collect::{Collect, GRACE, Hearing, SILENCE, Use};
use crate::line::{Line, Settings};

const SECOND: u64 = 1_000_000;

fn shop() -> WorkloadId {
    WorkloadId::new("local", "shop")
}

fn at(seconds: f64) -> Moment {
    Moment::from_micros((seconds * 1e6) as u64)
}

/// A report of proxy `who`, its `sequence`th of `epoch`, `age` seconds after that began.
fn report(who: &str, epoch: u64, sequence: u64, age: f64, running: Sums) -> Report {
    let reading = Reading { running, ..Reading::default() };
    Report {
        version: REPORT_VERSION,
        proxy: ProxyId::new(who),
        epoch,
        sequence,
        at: (age * 1e6) as u64,
        full: true,
        workloads: vec![(shop(), reading)],
    }
}

/// `open` requests since the second `since` of the proxy's life.
fn open(open: u64, since: u64) -> Sums {
    let mut sums = Sums::default();
    for _ in 0..open {
        sums.start(since * SECOND);
    }
    sums
}

#[test]
fn proxies_add_up_and_late_or_repeated_reports_dont_count() {
    let mut collect = Collect::default();
    assert_eq!(collect.heard(&report("a", 1, 1, 0.5, open(2, 0)), at(1.0)), Use::News(vec![shop()]));
    collect.heard(&report("b", 1, 1, 0.5, open(3, 0)), at(1.0));
    assert_eq!(collect.total(&shop()).running, 5);
    assert_eq!(collect.heard(&report("a", 1, 3, 2.5, open(7, 0)), at(3.0)), Use::News(vec![shop()]));
    for sequence in [2, 3] {
        assert_eq!(collect.heard(&report("a", 1, sequence, 2.0, open(1, 0)), at(3.1)), Use::Stale);
    }
    assert_eq!(collect.total(&shop()).running, 10);
    let unknown = Report { version: 99, ..report("a", 1, 4, 3.0, Sums::default()) };
    assert_eq!(collect.heard(&unknown, at(3.2)), Use::Unreadable);
}

#[test]
fn changes_may_overtake_each_other() {
    let mut collect = Collect::default();
    collect.heard(&report("a", 1, 1, 0.0, Sums::default()), at(0.0));
    let cart = WorkloadId::new("local", "cart");
    let shops = Report { full: false, ..report("a", 1, 2, 1.0, open(1, 1)) };
    let carts = Report {
        sequence: 3,
        workloads: vec![(cart.clone(), Reading { running: open(1, 1), ..Reading::default() })],
        ..shops.clone()
    };
    assert_eq!(collect.heard(&carts, at(1.1)), Use::News(vec![cart.clone()]));
    assert_eq!(
        collect.heard(&shops, at(1.2)),
        Use::News(vec![shop()]),
        "newest of its workload all the same"
    );
    assert_eq!((collect.total(&shop()).running, collect.total(&cart).running), (1, 1));
    let newest = Report { sequence: 5, ..shops.clone() };
    collect.heard(&newest, at(1.3));
    let older = Report { sequence: 4, ..report("a", 1, 4, 1.0, open(9, 1)) };
    assert_eq!(collect.heard(&Report { full: false, ..older }, at(1.4)), Use::Stale);
    assert_eq!(collect.total(&shop()).running, 1);
}

#[test]
fn the_integral_is_exact_whenever_it_is_asked_for() {
    let mut collect = Collect::default();
    collect.heard(&report("a", 1, 1, 0.0, Sums::default()), at(0.0));
    // From 0.2 s to 0.9 s, and one that is still open from 0.5 s on.
    let mut sums = Sums::default();
    sums.start(SECOND / 5);
    sums.start(SECOND / 2);
    sums.finish(SECOND * 9 / 10);
    collect.heard(&report("a", 1, 2, 1.0, sums), at(1.0));
    assert_eq!(collect.flow(&shop(), at(1.0)), Flow { micros: 1_200_000, arrivals: 2 });
    assert_eq!(collect.flow(&shop(), at(2.0)), Flow { micros: 1_000_000, arrivals: 0 });
    // It ended at 1.25 s: what was assumed beyond is taken back.
    sums.finish(SECOND * 5 / 4);
    collect.heard(&report("a", 1, 3, 2.5, sums), at(2.5));
    assert_eq!(collect.flow(&shop(), at(3.0)), Flow { micros: -750_000, arrivals: 0 });
}

#[test]
fn what_is_presumed_to_run_keeps_awake_and_is_no_load() {
    let mut collect = Collect::default();
    collect.heard(&report("a", 1, 1, 0.0, Sums::default()), at(0.0));
    // One that was let through at 0.2 s, and counts for half a second.
    let mut sums = Sums::default();
    sums.start(SECOND / 5);
    sums.finish(SECOND * 7 / 10);
    let mut through = report("a", 1, 2, 0.3, sums);
    through.workloads[0].1.presumed = true;
    assert_eq!(collect.heard(&through, at(0.3)), Use::News(vec![shop()]));
    assert_eq!(collect.total(&shop()).running, 1);
    assert_eq!(collect.flow(&shop(), at(1.0)), Flow { micros: 500_000, arrivals: 1 });
    assert_eq!(collect.flow(&shop(), at(30.0)), Flow::default());
    collect.heard(&report("a", 1, 3, 30.0, sums), at(30.0));
    assert_eq!(collect.total(&shop()).running, 0);
}

#[test]
fn sums_wrap_without_harm() {
    let mut collect = Collect::default();
    let near = Sums { started: u64::MAX, finished: u64::MAX, started_at: u64::MAX - 5, finished_at: 9 };
    collect.heard(&report("a", 1, 1, 50.0, near), at(50.0));
    let mut later = near;
    later.start(51 * SECOND);
    later.finish(52 * SECOND);
    collect.heard(&report("a", 1, 2, 52.0, later), at(52.0));
    assert_eq!(collect.flow(&shop(), at(52.0)), Flow { micros: 1_000_000, arrivals: 1 });
}

#[test]
fn a_silent_proxy_keeps_its_last_value_until_it_is_gone() {
    let mut collect = Collect::default();
    let both = BTreeSet::from([ProxyId::new("a"), ProxyId::new("b")]);
    collect.list(&both);
    collect.heard(&report("a", 1, 1, 0.0, open(2, 0)), at(0.0));
    assert_eq!(collect.hearing(at(0.0)), Hearing::Silent, "b is listed and was never heard");
    collect.heard(&report("b", 1, 1, 0.0, open(3, 0)), at(0.0));
    assert_eq!(collect.hearing(at(1.0)), Hearing::Always);
    let silent = at(0.0) + SILENCE + Duration::from_secs(1);
    collect.heard(&report("a", 1, 2, 16.0, open(2, 0)), silent);
    assert_eq!(collect.hearing(silent), Hearing::Silent);
    assert_eq!(collect.total(&shop()).running, 5);
    assert_eq!(collect.age(silent + Duration::from_secs(3600)), vec![], "listed proxies stay");
    collect.list(&BTreeSet::from([ProxyId::new("a")]));
    assert_eq!(collect.due(), Some(at(0.0) + GRACE));
    assert_eq!(collect.age(silent), vec![shop()]);
    assert_eq!(collect.total(&shop()).running, 2);
    assert_eq!(collect.hearing(silent), Hearing::Always);
}

#[test]
fn a_new_process_begins_anew_and_the_old_ones_late_reports_are_ignored() {
    let mut collect = Collect::default();
    collect.heard(&report("a", 5, 90, 100.0, open(4, 0)), at(100.0));
    collect.heard(&report("a", 6, 1, 0.1, Sums::default()), at(101.0));
    assert_eq!(collect.total(&shop()).running, 0);
    assert_eq!(collect.heard(&report("a", 5, 91, 100.5, open(4, 0)), at(101.5)), Use::Stale);
    // The clock that epochs come from was set back: the new process is heard once the old one is silent.
    let later = at(101.0) + SILENCE + Duration::from_secs(1);
    assert_eq!(collect.heard(&report("a", 2, 1, 20.0, open(1, 0)), later), Use::News(vec![shop()]));
    assert_eq!(collect.total(&shop()).running, 1);
}

#[test]
fn what_was_before_the_first_report_is_no_flow_and_no_ground_to_go_down() {
    let mut collect = Collect::default();
    collect.heard(&report("a", 1, 7, 500.0, open(4, 100)), at(3.0));
    assert_eq!(collect.flow(&shop(), at(3.0)).micros, 0);
    assert_eq!(collect.flow(&shop(), at(4.0)).micros, 4_000_000);
    let minute = Duration::from_secs(60);
    assert_eq!(collect.hearing(at(4.0)).for_window(minute), Heard::From(at(63.0)));
    let mut young = Collect::default();
    young.heard(&report("a", 1, 1, 1.0, open(4, 0)), at(3.0));
    assert_eq!(young.hearing(at(3.0)).for_window(minute), Heard::From(Moment::ZERO));
    assert_eq!(young.flow(&shop(), at(3.0)).micros, 4_000_000);
}

#[test]
fn a_full_report_drops_what_it_doesnt_name() {
    let mut collect = Collect::default();
    collect.heard(&report("a", 1, 1, 0.0, open(4, 0)), at(0.0));
    let empty = Report { workloads: Vec::new(), ..report("a", 1, 2, 1.0, Sums::default()) };
    assert_eq!(collect.heard(&Report { full: false, ..empty.clone() }, at(1.0)), Use::News(vec![]));
    assert_eq!(collect.total(&shop()).running, 4);
    assert_eq!(collect.heard(&Report { sequence: 3, ..empty }, at(1.0)), Use::News(vec![shop()]));
    assert_eq!(collect.total(&shop()).running, 0);
}

#[test]
fn the_truest_difference_of_two_clocks_is_the_least() {
    let mut collect = Collect::default();
    let active = |age: f64, sequence: u64| {
        let mut report = report("a", 1, sequence, age, Sums::default());
        report.workloads[0].1.last_activity = Some((age * 1e6) as u64);
        report
    };
    collect.heard(&active(0.0, 1), at(10.0));
    collect.heard(&active(1.0, 2), at(11.0));
    // 400 ms late: the activity wasn't.
    collect.heard(&active(2.0, 3), at(12.4));
    let last = collect.total(&shop()).last_activity.unwrap();
    assert!(last.since(at(12.0)) <= Duration::from_millis(2) && last >= at(12.0), "{last:?}");
    // The proxy's machine slept for an hour.
    collect.heard(&active(3.0, 4), at(3613.0));
    assert_eq!(collect.total(&shop()).last_activity, Some(at(3613.0)));
}

#[test]
fn what_says_the_same_is_no_news_and_no_activity() {
    let mut collect = Collect::default();
    let report = |age: f64, sequence: u64| {
        let mut report = report("a", 1, sequence, age, open(1, 0));
        report.workloads[0].1.last_activity = Some(SECOND / 2);
        report
    };
    assert_eq!(collect.heard(&report(1.0, 1), at(11.0)), Use::News(vec![shop()]));
    let last = collect.total(&shop()).last_activity;
    assert_eq!(last, Some(at(10.5)));
    // Each comes a little later than the one before, as on a busy machine: clocks are tuned, what was stays where it was.
    for late in 1..9 {
        let came = at(11.0 + late as f64 * 1.0004);
        assert_eq!(collect.heard(&report(1.0 + late as f64, 1 + late), came), Use::News(vec![]));
        assert_eq!(collect.total(&shop()).last_activity, last);
    }
    // It is still open.
    assert_eq!(collect.flow(&shop(), at(19.0)).micros, 9_000_000);
}

#[test]
fn every_known_proxy_has_to_answer_a_hold() {
    let mut collect = Collect::default();
    collect.list(&BTreeSet::from([ProxyId::new("a"), ProxyId::new("c")]));
    let mut answered = report("a", 1, 1, 0.0, Sums::default());
    let answer = HoldAnswer { id: HoldId::new("h"), state: HoldState::Confirmed, empty: vec![] };
    answered.workloads[0].1.hold = Some(answer.clone());
    collect.heard(&answered, at(0.0));
    collect.heard(&report("b", 1, 1, 0.0, Sums::default()), at(0.0));
    assert_eq!(collect.answers(&shop()), [Some(&answer), None, None], "a answers; b doesn't; c is listed");
}

fn any_sums() -> impl Strategy<Value = Sums> {
    any::<[u64; 4]>().prop_map(|[started, finished, started_at, finished_at]| Sums {
        started,
        finished,
        started_at,
        finished_at,
    })
}

proptest! {
    /// Nothing that a report says may bring the control line down.
    #[test]
    fn no_report_does_harm(
        reports in prop::collection::vec((any::<[u64; 4]>(), any::<bool>(), any_sums(), any_sums(), any::<u64>()), 1..20),
    ) {
        let settings = Settings { id: "a".into(), max_starting: 3, earn_sleep: true, gather: Duration::ZERO };
        let mut line = Line::new(settings, Arc::new(Journal::default()));
        let mut workload = Workload::new(shop(), Policy { max_scale: 0, ..Policy::default() });
        workload.replicas = Replicas { desired: 1, ready: 1, starting: 0 };
        let workloads = Arc::from([Arc::new(workload)]);
        line.saw(&Snapshot { version: 1, workloads, ..Snapshot::default() }, Moment::ZERO);
        line.lead(true);
        let mut now = Moment::ZERO;
        for ([epoch, sequence, at, wait], full, running, waiting, active) in reports {
            now = now + Duration::from_micros(wait % (3600 * SECOND));
            let reading = Reading { running, waiting, last_activity: Some(active), ..Reading::default() };
            let (version, proxy) = (REPORT_VERSION, ProxyId::new("p"));
            let workloads = vec![(shop(), reading)];
            line.heard(&Report { version, proxy, epoch, sequence, at, full, workloads }, now);
            line.turn(now);
        }
    }
}
