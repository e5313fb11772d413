//! Finds out that a replica is ready before the platform says so: tries what it has to answer, while requests wait for it.
//!
//! Nothing is tried while nobody waits, and never more than a bounded number at once. What is tried and who may be is the
//! gates' to say; what follows from success too.

mod attempt;
mod grpc;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_core::snapshot::{Check, Probe};
use kaos_core::{EndpointUid, Moment};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use crate::first::First;
use crate::gate::Gate;

/// Tries under way at once, of all workloads.
const AT_ONCE: usize = 64;
/// Least and most time between two tries of one replica.
const SOONEST: Duration = Duration::from_millis(2);
const LATEST: Duration = Duration::from_millis(100);
/// Successes that nobody has heard yet.
const FOUND: usize = 64;

/// A replica to be tried.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) uid: EndpointUid,
    pub(crate) address: SocketAddr,
    /// Since when the address is known.
    pub(crate) since: Moment,
    pub(crate) checks: Arc<[Check]>,
}

/// A replica that has answered everything it has to.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) gate: u32,
    pub(crate) uid: EndpointUid,
    pub(crate) address: SocketAddr,
    pub(crate) at: Moment,
    pub(crate) first: Option<First>,
}

/// Whether a proxy can find out for itself whether such checks pass. Over TLS it can't: it speaks none to replicas.
pub(crate) fn can_be_tried(checks: &[Check]) -> bool {
    !checks.is_empty() && !checks.iter().any(|check| matches!(check.probe, Probe::Http { tls: true, .. }))
}

/// The time from one try to the next of a replica whose address is known for `age`: what trying adds to a start stays in
/// proportion to it.
fn pace(age: Duration) -> Duration {
    (age / 50).clamp(SOONEST, LATEST)
}

/// All tries under way.
#[derive(Debug)]
pub(crate) struct Prober {
    tries: HashMap<u32, HashMap<EndpointUid, Tries>>,
    places: Arc<Semaphore>,
    found: mpsc::Sender<Found>,
    origin: Instant,
}

/// The tries of one replica. They end when this is dropped.
#[derive(Debug)]
struct Tries(JoinHandle<()>);

impl Drop for Tries {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Prober {
    /// Nothing is tried yet. What is found comes out of the receiver.
    pub(crate) fn new(origin: Instant) -> (Prober, mpsc::Receiver<Found>) {
        let (found, heard) = mpsc::channel(FOUND);
        let places = Arc::new(Semaphore::new(AT_ONCE));
        (Prober { tries: HashMap::new(), places, found, origin }, heard)
    }

    /// Whether replicas of this gate are tried.
    pub(crate) fn tries(&self, gate: u32) -> bool {
        self.tries.contains_key(&gate)
    }

    /// Tries exactly `targets` for those who wait at `gate`.
    pub(crate) fn pursue(&mut self, gate: &Arc<Gate>, targets: Vec<Target>) {
        if targets.is_empty() {
            self.tries.remove(&gate.key);
            return;
        }
        let tries = self.tries.entry(gate.key).or_default();
        tries.retain(|uid, tries| !tries.0.is_finished() && targets.iter().any(|target| target.uid == *uid));
        for target in targets {
            tries.entry(target.uid.clone()).or_insert_with(|| {
                let (gate, places, found) = (gate.clone(), self.places.clone(), self.found.clone());
                Tries(tokio::spawn(pursue(gate, target, places, found, self.origin)))
            });
        }
    }
}

/// Tries until it succeeds or nobody waits any more.
async fn pursue(
    gate: Arc<Gate>,
    target: Target,
    places: Arc<Semaphore>,
    found: mpsc::Sender<Found>,
    origin: Instant,
) {
    while gate.waiting() > 0 {
        let Ok(place) = places.acquire().await else { return };
        let begun = Instant::now();
        match attempt::all(&target).await {
            Ok(first) => {
                drop(place);
                let at = Moment::at(origin, Instant::now());
                let (uid, address) = (target.uid, target.address);
                // Nobody hears it any more: the proxy is ending.
                let _ = found.send(Found { gate: gate.key, uid, address, at, first }).await;
                return;
            }
            Err(why) => tracing::trace!(replica = %target.uid, address = %target.address, why, "not ready"),
        }
        drop(place);
        let next = begun + pace(Moment::at(origin, begun).since(target.since));
        tokio::time::sleep_until(next.into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_every_fiftieth_of_the_age_within_bounds() {
        for (age, span) in [(0, 2), (50, 2), (500, 10), (4000, 80), (5000, 100), (600_000, 100)] {
            assert_eq!(pace(Duration::from_millis(age)), Duration::from_millis(span), "{age} ms");
        }
    }

    #[test]
    fn what_needs_tls_is_left_to_the_platform() {
        let check = |probe| Check { port: 80, timeout: Duration::from_secs(1), probe };
        let http = |tls| check(Probe::Http { path: "/".into(), tls, headers: Vec::new() });
        assert!(can_be_tried(&[check(Probe::Tcp), http(false)]));
        assert!(!can_be_tried(&[check(Probe::Tcp), http(true)]));
        assert!(!can_be_tried(&[]));
    }
}
