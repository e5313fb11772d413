//! Makes snapshots of the fleets and hands them out: the first change at once, a storm of changes once a millisecond.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_core::route::{Claim, RouteTable};
use kaos_core::{Snapshot, Workload, WorkloadId};
use tokio::sync::watch;

use crate::fleet::Fleet;

/// Between two snapshots when there are many changes.
const STEP: Duration = Duration::from_millis(1);

/// Snapshots that may follow one another at once after a quiet time: one wake is three changes within a millisecond.
const BURST: u32 = 8;

/// Hands out snapshots.
pub(crate) struct Publisher {
    sender: watch::Sender<Arc<Snapshot>>,
    routes: Arc<RouteTable>,
    /// Hosts, paths or the set of workloads have changed.
    rerouted: bool,
    version: u64,
    /// How far the schedule of one snapshot per step is ahead of the clock; a burst lets it run ahead.
    paid_until: Instant,
}

impl Publisher {
    pub(crate) fn new() -> Publisher {
        Publisher {
            sender: watch::Sender::new(Arc::default()),
            routes: Arc::default(),
            rerouted: true,
            version: 0,
            paid_until: Instant::now(),
        }
    }

    /// The latest snapshot, and each that follows.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.sender.subscribe()
    }

    /// Hosts, paths or the set of workloads have changed.
    pub(crate) fn reroute(&mut self) {
        self.rerouted = true;
    }

    /// Whether [`Publisher::reroute`] was called since the last snapshot.
    pub(crate) fn is_rerouted(&self) -> bool {
        self.rerouted
    }

    /// When the next snapshot may be made.
    pub(crate) fn due(&self) -> Instant {
        self.paid_until.checked_sub(STEP * (BURST - 1)).unwrap_or(self.paid_until)
    }

    /// Makes and hands out a snapshot of `fleets`.
    pub(crate) fn publish(&mut self, fleets: &mut BTreeMap<WorkloadId, Fleet>, now: Instant) {
        self.paid_until = self.paid_until.max(now) + STEP;
        // A map's values come in the order of its keys: sorted by id, as a snapshot must be.
        let workloads: Arc<[Arc<Workload>]> = fleets.values_mut().map(Fleet::show).collect();
        if std::mem::take(&mut self.rerouted) {
            self.routes = Arc::new(routes(&workloads));
        }
        self.version += 1;
        let routes = Arc::clone(&self.routes);
        self.sender.send_replace(Arc::new(Snapshot { version: self.version, routes, workloads }));
    }
}

fn routes(workloads: &[Arc<Workload>]) -> RouteTable {
    let claims: Vec<Claim<'_>> = workloads
        .iter()
        .map(|workload| Claim { id: &workload.id, hosts: &workload.hosts, path: &workload.path })
        .collect();
    let (table, conflicts) = RouteTable::build(&claims);
    for conflict in conflicts {
        tracing::warn!(route = conflict.route, winner = %conflict.winner, loser = %conflict.loser,
            "two functions claim one route: the first by name has it");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_handed_out_at_once_and_a_storm_once_a_step() {
        let (mut publisher, mut fleets) = (Publisher::new(), BTreeMap::new());
        let snapshots = publisher.subscribe();
        let now = publisher.paid_until;
        for made in 1..=u64::from(BURST) {
            assert!(publisher.due() <= now, "{made}");
            publisher.publish(&mut fleets, now);
            assert_eq!(snapshots.borrow().version, made);
        }
        assert_eq!(publisher.due(), now + STEP);
        publisher.publish(&mut fleets, now + STEP);
        assert_eq!(publisher.due(), now + 2 * STEP);
        // After a quiet time there is room for a burst, not for more.
        let later = now + 1000 * STEP;
        for _ in 0..BURST {
            assert!(publisher.due() <= later);
            publisher.publish(&mut fleets, later);
        }
        assert_eq!(publisher.due(), later + STEP);
    }
}
