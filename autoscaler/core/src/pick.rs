//! Which replica a request goes to.

/// Replicas that are looked at one by one; of more, two candidates are drawn and the less loaded taken.
const SCANNED: usize = 16;

/// The least loaded of `count` replicas, among those whose `load` says one (`None`: may not be used) and is below
/// `limit` (0: no limit). Ties go to the first from `turn` on, so that callers who count `turn` up spread them.
///
/// Above 16 replicas two are compared that `turn` chooses (Mitzenmacher, "The Power of Two Choices"), and all are
/// looked at only if neither will do: a free slot is always found if there is one.
pub fn pick(count: usize, limit: u32, turn: usize, load: impl Fn(usize) -> Option<u32>) -> Option<usize> {
    let usable = |at: usize| load(at).filter(|load| limit == 0 || *load < limit);
    if count > SCANNED {
        let one = turn % count;
        // Another one: a step of 1 to count − 1, spread by a multiplicative hash of the turn.
        let step = 1 + (turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % (count - 1);
        let other = (one + step) % count;
        match (usable(one), usable(other)) {
            (Some(a), Some(b)) => return Some(if b < a { other } else { one }),
            (Some(_), None) => return Some(one),
            (None, Some(_)) => return Some(other),
            (None, None) => {}
        }
    }
    let mut best: Option<(u32, usize)> = None;
    for at in (0..count).map(|step| (turn + step) % count) {
        if let Some(load) = usable(at).filter(|load| best.is_none_or(|(least, _)| *load < least)) {
            best = Some((load, at));
            if load == 0 {
                break;
            }
        }
    }
    best.map(|(_, at)| at)
}

/// Most requests that a backlog may put on one replica: its hard limit; without one, its `slots`, once more for every
/// whole second of `waited`, the time for which the backlog has been stuck with no replica on its way.
///
/// So a replica that wakes isn't flooded with ten thousand requests at once, and streams that never end don't keep a
/// backlog out for ever.
pub fn release_limit(container_concurrency: u32, slots: u32, waited: std::time::Duration) -> u32 {
    if container_concurrency > 0 {
        return container_concurrency;
    }
    slots.saturating_mul(u32::try_from(waited.as_secs()).unwrap_or(u32::MAX).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_the_least_loaded_and_spreads_ties() {
        let loads = [Some(3), Some(1), None, Some(1)];
        assert_eq!(pick(4, 0, 0, |at| loads[at]), Some(1));
        assert_eq!(pick(4, 0, 2, |at| loads[at]), Some(3));
        assert_eq!(pick(4, 1, 0, |at| loads[at]), None);
        assert_eq!(pick(0, 0, 5, |_| Some(0)), None);
    }

    #[test]
    fn a_backlog_is_released_by_slots_and_grows_while_it_is_stuck() {
        assert_eq!(release_limit(3, 100, Duration::from_secs(9)), 3);
        assert_eq!(release_limit(0, 100, Duration::ZERO), 100);
        assert_eq!(release_limit(0, 100, Duration::from_millis(2500)), 300);
    }

    proptest! {
        #[test]
        fn finds_a_free_slot_if_there_is_one(loads in prop::collection::vec(prop::option::of(0u32..4), 0..40), limit in 0u32..4, turn: usize) {
            let free = |at: usize| loads[at].is_some_and(|load| limit == 0 || load < limit);
            let picked = pick(loads.len(), limit, turn % 1000, |at| loads[at]);
            match picked {
                Some(at) => prop_assert!(free(at)),
                None => prop_assert!(!(0..loads.len()).any(free)),
            }
            if loads.len() <= 16 {
                let least = (0..loads.len()).filter(|at| free(*at)).filter_map(|at| loads[at]).min();
                prop_assert_eq!(picked.and_then(|at| loads[at]), least);
            }
        }
    }
}
