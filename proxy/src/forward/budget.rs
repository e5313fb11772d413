//! How much may be sent again to replicas that may have looked at it. Where every replica fails every request, sending each
//! three times would triple the load of what is failing already.

use std::cell::Cell;
use std::time::Duration;

use kaos_core::Moment;

/// Requests that pay for one retry: a fifth of what is sent may be sent again.
const PRICE: u64 = 5;
/// Retries that are there at the start.
const FIRST: u64 = 10;
/// Most that can be saved.
const MOST: u64 = 100;
/// One comes by itself in this time, for workloads of which little is asked.
const EACH: Duration = Duration::from_secs(1);

/// What one worker may send again for one workload.
#[derive(Debug)]
pub(crate) struct Budget {
    /// In requests.
    saved: Cell<u64>,
    /// Until when what comes by itself was added.
    added: Cell<Moment>,
}

impl Budget {
    pub(crate) fn new(now: Moment) -> Self {
        Budget { saved: Cell::new(FIRST * PRICE), added: Cell::new(now) }
    }

    /// A request is sent for the first time.
    pub(crate) fn earn(&self) {
        self.saved.set((self.saved.get() + 1).min(MOST * PRICE));
    }

    /// Whether something may be sent again. The clock is looked at only where nothing is left.
    pub(crate) fn allows(&self, now: impl FnOnce() -> Moment) -> bool {
        if self.saved.get() < PRICE {
            let now = now();
            let ripe = now.since(self.added.get()).as_micros() / EACH.as_micros();
            self.saved.set(self.saved.get() + PRICE * u64::try_from(ripe).unwrap_or(MOST).min(FIRST));
            if ripe > 0 {
                self.added.set(now);
            }
        }
        self.saved.get() >= PRICE
    }

    /// Something is sent again, if it [may be](Budget::allows). Returns whether.
    pub(crate) fn spend(&self, now: Moment) -> bool {
        let allowed = self.allows(|| now);
        if allowed {
            self.saved.set(self.saved.get() - PRICE);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_what_is_sent_may_be_sent_again() {
        let now = Moment::ZERO;
        let budget = Budget::new(now);
        let first = (0..1000).filter(|_| budget.spend(now)).count();
        assert_eq!(first as u64, FIRST);
        let again = (0..1000).filter(|_| {
            budget.earn();
            budget.spend(now)
        });
        assert_eq!(again.count() as u64, 1000 / PRICE);
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!((0..1000).filter(|_| budget.spend(now)).count() as u64, MOST);
    }

    #[test]
    fn some_come_by_themselves() {
        let budget = Budget::new(Moment::ZERO);
        while budget.spend(Moment::ZERO) {}
        assert!(!budget.spend(Moment::ZERO + EACH / 2));
        assert!(budget.spend(Moment::ZERO + EACH));
        assert!(!budget.spend(Moment::ZERO + EACH * 3 / 2));
        // After a long while no more than at the start.
        let later = Moment::ZERO + EACH * 10_000;
        assert_eq!((0..1000).filter(|_| budget.spend(later)).count() as u64, FIRST);
    }
}
