use proptest::prelude::*;

use super::*;
use crate::warm::{Plan, Terms};

const TERMS: Terms =
    Terms { cold_start_cost: Duration::from_secs(150), start_time: Duration::from_secs(2), prewarm: true };

fn kept(gaps: impl IntoIterator<Item = u64>) -> Kept {
    let mut known = Gaps::default();
    gaps.into_iter().for_each(|gap| known.add(Duration::from_millis(gap)));
    let prewarms = Prewarms { used: 31, unused: 2 };
    Kept { learned: Learned::new(known, -12.5, prewarms, 3), start_time: Duration::from_millis(1234) }
}

/// With the sum that belongs to it.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - 4);
    let sum = fnv(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn plan(kept: &Kept) -> Plan {
    Plan::new(&kept.learned.gaps().outlook(), &TERMS)
}

#[test]
fn the_fullest_is_short_enough() {
    let mut full = kept([]);
    let histogram = Histogram { bins: vec![0.75; BINS], beyond: 0.9 };
    let kinds = std::array::from_fn(|_| histogram.clone());
    let gaps = Gaps { common: histogram, kinds, last: Some(2), count: u64::MAX, mean: 1e9, variance: 1e17 };
    let prewarms = Prewarms { used: u64::MAX, unused: u64::MAX };
    full.learned = Learned::new(gaps, -1e6, prewarms, u32::MAX);
    full.start_time = Duration::MAX;
    let bytes = full.write();
    assert!(bytes.len() <= LONGEST, "{} bytes", bytes.len());
    let read = Kept::read(&bytes).unwrap();
    assert_eq!((read.learned.gaps().count, read.start_time), (u64::MAX, Duration::from_secs(86_400)));
    assert_eq!(read.write(), bytes);
}

#[test]
fn what_is_usual_takes_little_room() {
    for (gaps, most) in [(kept([]), 110), (kept([300_000; 50]), 130), (kept([1000; 50]), 110)] {
        assert!(gaps.write().len() <= most, "{} bytes", gaps.write().len());
    }
}

#[test]
fn a_timer_is_awaited_as_before() {
    let timer = kept([300_000; 40]);
    let read = Kept::read(&timer.write()).unwrap();
    assert_eq!(plan(&read), plan(&timer));
    assert_eq!(read.start_time, timer.start_time);
    assert_eq!((read.learned.prewarms(), read.learned.record()), (timer.learned.prewarms(), -12.5));
}

#[test]
fn each_refusal_says_why() {
    let good = kept([300_000, 20_000, 300_000]).write().into_vec();
    assert_eq!(Kept::read(&[]), Err(Unreadable::Length(0)));
    assert_eq!(Kept::read(&[1; LONGEST + 1]), Err(Unreadable::Length(LONGEST + 1)));
    assert_eq!(Kept::read(&[2, 0, 0, 0, 0, 0]), Err(Unreadable::Version(2)));
    assert_eq!(Kept::read(&good[..good.len() - 1]), Err(Unreadable::Damaged));
    // The places of version 1: forgotten 1, count 2, kind 3, mean 4 to 7, variance 8 to 11, record 12 to 19.
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        Kept::read(&sealed(changed))
    };
    assert!(with(3, &[1]).is_ok());
    for (at, bytes, what) in [
        (3, &[4_u8][..], "the kind of the last gap"),
        (3, &[0], "the kind of the last gap"),
        (4, &f32::NAN.to_le_bytes(), "the length of gaps"),
        (4, &(-1.0_f32).to_le_bytes(), "the length of gaps"),
        (8, &f32::INFINITY.to_le_bytes(), "the length of gaps"),
        (12, &f64::NAN.to_le_bytes(), "the record of pre-warms"),
        (12, &1e9_f64.to_le_bytes(), "the record of pre-warms"),
        (2, &[0x80, 0, 0], "an early end"),
    ] {
        let refused = with(at, bytes).err();
        let expected = refused == Some(Unreadable::Nonsense(what));
        assert!(expected || what == "an early end" && refused.is_some(), "{at} {bytes:?}: {refused:?}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(Kept::read(&sealed(longer)), Err(Unreadable::Nonsense("more than there is to say")));
    let all = Unreadable::Version(7).to_string();
    assert_eq!(all, "it is of version 7; allowed is 1: another Kaos wrote it");
}

#[test]
fn more_weight_than_gaps_have_is_refused() {
    let mut heavy = kept([300_000]);
    let histogram = Histogram { bins: vec![0.9; BINS], beyond: 0.0 };
    let gaps = Gaps { common: histogram, ..heavy.learned.gaps().clone() };
    heavy.learned = Learned::new(gaps, 0.0, Prewarms::default(), 0);
    assert_eq!(Kept::read(&heavy.write()), Err(Unreadable::Nonsense("more weight than gaps have")));
}

proptest! {
    /// Whatever was learned is read again, stays as it is, and makes a plan that is as good.
    #[test]
    fn it_is_read_as_it_was_written(gaps in prop::collection::vec(1000u64..20_000_000, 0..200)) {
        let kept = kept(gaps);
        let bytes = kept.write();
        prop_assert!(bytes.len() <= LONGEST);
        let read = Kept::read(&bytes).unwrap();
        prop_assert_eq!(read.write(), bytes);
        let (one, other) = (kept.learned.gaps().outlook(), read.learned.gaps().outlook());
        for (one, other) in one.ends.iter().zip(&other.ends) {
            prop_assert!((one - other).abs() < 2e-3, "{one} and {other}");
        }
        let (written, again) = (plan(&kept), plan(&read));
        let costs = |plan: &Plan| plan.costs(&one, &TERMS);
        prop_assert!(costs(&again) <= costs(&written) * 1.01 + 0.1, "{again:?} instead of {written:?}");
    }

    #[test]
    fn nothing_that_is_read_does_harm(mut bytes in prop::collection::vec(any::<u8>(), 5..1100), sound in any::<bool>()) {
        bytes[0] = VERSION;
        let bytes = if sound { sealed(bytes) } else { bytes };
        if let Ok(kept) = Kept::read(&bytes) {
            plan(&kept);
        }
    }

    /// One byte of a sound form is another.
    #[test]
    fn what_was_changed_is_refused_or_sane(at in 1usize..60, byte in any::<u8>()) {
        let mut bytes = kept([300_000, 20_000, 900_000]).write().into_vec();
        bytes[at] = byte;
        if let Ok(kept) = Kept::read(&sealed(bytes)) {
            let outlook = kept.learned.gaps().outlook();
            prop_assert!(outlook.ends.iter().all(|share| (0.0..=1.0).contains(share)));
            plan(&kept);
        }
    }
}
