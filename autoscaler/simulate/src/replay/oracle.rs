//! A scaler that knows the future: what no other can do better.
//!
//! No request waits: replicas are ready when it comes, for their start is hidden before it. Between two busy periods one is
//! kept if and only if that costs less than what a cold start is worth. As many run as the requests in flight need.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use kaos_core::Policy;

use super::figures::Figures;
use crate::trace::Function;

/// What becomes of `function`. `start`: microseconds of a start; `worth`: of an idle replica that a cold start is worth.
pub(super) fn foresee(function: &Function, policy: &Policy, start: u64, worth: u64) -> Figures {
    let slots = u64::from(policy.slots());
    let mut figures = Figures { requests: function.requests.len() as u64, ..Figures::default() };
    let mut ends = BinaryHeap::new();
    let (mut now, mut replicas) = (0, 0);
    let mut requests = function.requests.iter().peekable();
    loop {
        let arrival = requests.peek().map(|request| request.at);
        let end = ends.peek().map(|Reverse(end)| *end);
        let Some(next) = [arrival, end].into_iter().flatten().min() else { break };
        let (span, busy) = (next - now, (ends.len() as u64).div_ceil(slots));
        // Idle before the first request is no gap: nothing was there.
        let kept = busy == 0 && replicas > 0 && span <= worth;
        let add = |sum: &mut u64, count: u64| *sum = sum.saturating_add(span.saturating_mul(count));
        add(&mut figures.busy, busy);
        add(&mut figures.replicas, busy.max(u64::from(kept)));
        if busy == 0 && !kept {
            replicas = 0;
        }
        now = next;
        while ends.peek().is_some_and(|Reverse(end)| *end <= now) {
            ends.pop();
        }
        while let Some(request) = requests.next_if(|request| request.at <= now) {
            ends.push(Reverse(request.at.saturating_add(request.takes)));
        }
        let needed = (ends.len() as u64).div_ceil(slots);
        let more = needed.saturating_sub(replicas);
        figures.starts += more;
        figures.replicas += more * start;
        // The last one stays until the next gap is known.
        replicas = needed.max(u64::from(replicas > 0));
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Request;

    #[test]
    fn a_short_gap_is_kept_and_a_long_one_isnt() {
        const SECOND: u64 = 1_000_000;
        let request = |second: u64| Request { at: second * SECOND, takes: SECOND };
        let function = Function { name: "shop".to_owned(), requests: [10, 20, 500].map(request).to_vec() };
        let figures = foresee(&function, &Policy::default(), 2 * SECOND, 150 * SECOND);
        assert_eq!((figures.requests, figures.cold_requests, figures.starts), (3, 0, 2));
        assert_eq!(figures.busy, 3 * SECOND);
        // Two starts, three requests, a gap of 9 s.
        assert_eq!(figures.replicas, (2 * 2 + 3 + 9) * SECOND);
    }
}
