//! Which replicas a count of zero has condemned. They stay listed as ready until the cluster's own controllers have come
//! round to them; what is sent there meanwhile ends with them.
//!
//! A count that is raised again saves those that the controllers haven't taken yet, which can't be told from those that
//! they have: for a while none of them is believed. Pure: `now` is an argument.

use std::collections::HashSet;
use std::time::Duration;

use kaos_core::snapshot::{Endpoint, Phase};
use kaos_core::{EndpointUid, Moment};

/// A replica that is still ready so long after its count was raised again was never taken.
const SPARED: Duration = Duration::from_secs(1);

/// The replicas of one workload that its last count of zero met.
#[derive(Debug, Default)]
pub(crate) struct Condemned {
    all: HashSet<EndpointUid>,
    at: Moment,
}

impl Condemned {
    /// `endpoints` at a count of `desired`: those that are condemned go away, whatever else is said of them.
    pub(crate) fn see(&mut self, endpoints: &mut [Endpoint], desired: u32, now: Moment) {
        if desired == 0 {
            self.all = endpoints.iter().map(|endpoint| endpoint.uid.clone()).collect();
            self.at = now;
        } else if now.since(self.at) >= SPARED {
            self.all = HashSet::new();
        } else {
            self.all.retain(|uid| endpoints.iter().any(|endpoint| endpoint.uid == *uid));
        }
        for endpoint in endpoints.iter_mut().filter(|endpoint| self.all.contains(&endpoint.uid)) {
            endpoint.phase = Phase::Terminating;
        }
    }

    /// When those that are left are spared.
    pub(crate) fn due(&self, desired: u32) -> Option<Moment> {
        (desired > 0 && !self.all.is_empty()).then(|| self.at + SPARED)
    }
}
