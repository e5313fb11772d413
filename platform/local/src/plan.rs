//! How many replicas to start and which to stop, given what is there. A pure rule.
//!
//! Replicas of an old form are replaced without a moment without a ready one: those that are ready stay until as many
//! of the new form are.

/// One replica that isn't going away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Its number: grows with each start.
    pub(crate) serial: u64,
    /// Whether it was started as the function is configured.
    pub(crate) current: bool,
    /// Whether it is ready.
    pub(crate) ready: bool,
    /// Whether the autoscaler chose it to go first.
    pub(crate) victim: bool,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// So many to start.
    pub(crate) start: usize,
    /// Numbers of those to stop.
    pub(crate) stop: Vec<u64>,
}

/// The steps from `seats` towards `desired` replicas. `cautious`: starts have failed, so one is tried at a time.
pub(crate) fn plan(desired: usize, seats: &[Seat], cautious: bool) -> Plan {
    let (current, old): (Vec<Seat>, Vec<Seat>) = seats.iter().copied().partition(|seat| seat.current);
    let ready = current.iter().filter(|seat| seat.ready).count();
    let (kept, unready): (Vec<Seat>, Vec<Seat>) = old.into_iter().partition(|seat| seat.ready);
    let mut stop: Vec<u64> = unready.iter().map(|seat| seat.serial).collect();
    stop.extend(surplus(kept, desired.saturating_sub(ready)));
    let missing = desired.saturating_sub(current.len());
    let starting = current.len() - ready;
    let start = if cautious { missing.min(1_usize.saturating_sub(starting)) } else { missing };
    stop.extend(surplus(current, desired));
    Plan { start, stop }
}

/// Those beyond `most`: victims first, then those that aren't ready, then the newest.
fn surplus(mut seats: Vec<Seat>, most: usize) -> Vec<u64> {
    let beyond = seats.len().saturating_sub(most);
    seats.sort_by_key(|seat| (!seat.victim, seat.ready, std::cmp::Reverse(seat.serial)));
    seats.iter().take(beyond).map(|seat| seat.serial).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `"r1 s2* o3"`: ready, starting, old and ready, `x` old and starting; `*` marks a victim.
    fn seats(text: &str) -> Vec<Seat> {
        text.split_whitespace()
            .map(|word| {
                let (kind, serial) = word.trim_end_matches('*').split_at(1);
                Seat {
                    serial: serial.parse().unwrap(),
                    current: matches!(kind, "r" | "s"),
                    ready: matches!(kind, "r" | "o"),
                    victim: word.ends_with('*'),
                }
            })
            .collect()
    }

    #[test]
    fn starts_what_is_missing_and_stops_what_is_too_much() {
        for (desired, there, start, stop) in [
            (0, "", 0, &[][..]),
            (3, "", 3, &[]),
            (3, "r1 s2", 1, &[]),
            (0, "r1 s2 o3 x4", 0, &[4, 3, 2, 1]),
            // Victims, then those not ready, then the newest.
            (2, "r1* r2 r3", 0, &[1]),
            (2, "r1 s2 r3", 0, &[2]),
            (1, "r1 r2 r3", 0, &[3, 2]),
            (1, "r1 r2* s3", 0, &[2, 3]),
            // A new form: the old are kept while they are needed.
            (1, "o1", 1, &[]),
            (1, "o1 s2", 0, &[]),
            (1, "o1 r2", 0, &[1]),
            (1, "x1", 1, &[1]),
            (3, "o1 o2 o3 r4 s5 s6", 0, &[3]),
            (1, "o1 o2* s3", 0, &[2]),
        ] {
            assert_eq!(
                plan(desired, &seats(there), false),
                Plan { start, stop: stop.to_vec() },
                "{desired} of {there:?}"
            );
        }
    }

    #[test]
    fn after_a_known_failure_one_is_tried_at_a_time() {
        for (desired, there, start) in
            [(3, "", 1), (3, "s1", 0), (3, "r1", 1), (3, "r1 s2", 0), (3, "o1 o2", 1)]
        {
            assert_eq!(plan(desired, &seats(there), true).start, start, "{desired} of {there:?}");
        }
    }
}
