//! One function, event by event.

use super::figures::Figures;
use super::pool::{NEVER, Pool};
use super::scaler::Scaler;
use crate::trace::Function;

const SECOND: u64 = 1_000_000;

/// A count of replicas, and since when.
pub type Change = (u64, u32);

/// Lets `scaler` scale `function` to the end of `span` microseconds, and until all requests are answered. `timeline`: where the
/// changes of the count go, if anybody wants them.
pub(super) fn run(
    function: &Function,
    span: u64,
    scaler: &mut impl Scaler,
    mut pool: Pool,
    mut timeline: Option<&mut Vec<Change>>,
) -> Figures {
    let mut requests = function.requests.iter().copied().peekable();
    let mut due = NEVER;
    loop {
        let arrival = requests.peek().map_or(NEVER, |request| request.at);
        let next = arrival.min(due).min(pool.next());
        if next >= span && arrival == NEVER && pool.is_done() || next == NEVER {
            break;
        }
        pool.advance(next);
        let mut look = pool.happen() || due <= next;
        while let Some(request) = requests.next_if(|request| request.at <= next) {
            look |= pool.arrive(request);
            // Proxies report what changed each second.
            due = due.min((next / SECOND + 1) * SECOND);
        }
        if look {
            let before = pool.desired();
            due = scaler.look(&mut pool);
            if let Some(timeline) = timeline.as_mut().filter(|_| pool.desired() != before) {
                timeline.push((next, pool.desired()));
            }
        }
    }
    if span > pool.now() {
        pool.advance(span);
    }
    Figures { prewarms: scaler.prewarms(), ..pool.figures }
}
