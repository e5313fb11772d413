//! What proxies have last said, for people: load per workload, and when each proxy was heard. Decides nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kaos_core::{Moment, ProxyId, Report, WorkloadId};

use super::picture::Picture;

/// What the data line has of a workload at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Requests that hold a slot.
    pub(crate) in_flight: u64,
    /// Requests that wait for one.
    pub(crate) waiting: u64,
    /// The last arrival, end or byte moved.
    pub(crate) last_activity: Option<Moment>,
}

/// Of every proxy: what it said, and when.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    proxies: Mutex<BTreeMap<ProxyId, Said>>,
}

#[derive(Debug)]
struct Said {
    picture: Picture,
    at: Moment,
}

impl Said {
    /// The proxy's moment `micros` on our clock, by when its last report came.
    fn ours(&self, micros: u64) -> Moment {
        Moment::from_micros(self.at.micros().saturating_sub(self.picture.at().saturating_sub(micros)))
    }
}

impl Heard {
    fn proxies(&self) -> MutexGuard<'_, BTreeMap<ProxyId, Said>> {
        self.proxies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `report` has come at `now`.
    pub(crate) fn take(&self, report: &Report, now: Moment) {
        let mut proxies = self.proxies();
        match proxies.get_mut(&report.proxy) {
            Some(said) => {
                said.picture.take(report);
                said.at = now;
            }
            None => {
                let said = Said { picture: Picture::new(report), at: now };
                proxies.insert(report.proxy.clone(), said);
            }
        }
    }

    /// Only these proxies are still there.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn keep(&self, is_there: impl Fn(&ProxyId) -> bool) {
        self.proxies().retain(|proxy, _| is_there(proxy));
    }

    /// When each proxy was last heard.
    pub(crate) fn last(&self) -> Vec<(ProxyId, Moment)> {
        self.proxies().iter().map(|(id, said)| (id.clone(), said.at)).collect()
    }

    /// What all proxies together have of each workload.
    pub(crate) fn loads(&self) -> BTreeMap<WorkloadId, Load> {
        let mut loads: BTreeMap<WorkloadId, Load> = BTreeMap::new();
        for said in self.proxies().values() {
            for (id, reading) in said.picture.readings() {
                let load = loads.entry(id.clone()).or_default();
                load.in_flight = load.in_flight.saturating_add(reading.running.open());
                load.waiting = load.waiting.saturating_add(reading.waiting.open());
                load.last_activity = load.last_activity.max(reading.last_activity.map(|at| said.ours(at)));
            }
        }
        loads
    }
}

#[cfg(test)]
mod tests {
    use kaos_core::Reading;

    use super::*;

    #[test]
    fn the_load_is_the_sum_over_proxies_on_our_clock() {
        let heard = Heard::default();
        let id = WorkloadId::new("n", "w");
        let mut reading = Reading { last_activity: Some(2_000_000), ..Reading::default() };
        reading.running.start(1);
        let report = |proxy: &str| Report {
            version: 1,
            proxy: ProxyId::new(proxy),
            epoch: 1,
            sequence: 1,
            at: 5_000_000,
            full: true,
            workloads: vec![(id.clone(), reading.clone())],
        };
        heard.take(&report("a"), Moment::from_secs(100));
        heard.take(&report("b"), Moment::from_secs(101));
        let last_activity = Some(Moment::from_secs(98));
        assert_eq!(heard.loads()[&id], Load { in_flight: 2, waiting: 0, last_activity });
        let last = [(ProxyId::new("a"), Moment::from_secs(100)), (ProxyId::new("b"), Moment::from_secs(101))];
        assert_eq!(heard.last(), last);
    }
}
