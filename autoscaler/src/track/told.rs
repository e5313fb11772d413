//! What the control line makes of proxies telling each second: the averages.

use kaos_core::Moment;
use kaos_core::average::{Averages, Flow};

use super::Track;
use crate::collect::Collect;

impl Track {
    /// Brings the averages up to the last second of which every proxy has told. At zero there are none: what was before a sleep
    /// says nothing of what comes after. Returns what flowed in a second that is told of since the last look.
    pub(crate) fn measure(&mut self, collect: &mut Collect, now: Moment) -> Option<Flow> {
        if self.replicas().desired == 0 {
            self.averages = None;
            return None;
        }
        let (id, policy) = (&self.workload.id, &self.workload.policy);
        match &mut self.averages {
            Some(averages) => averages.follow(policy, now, |until| collect.flow(id, until)),
            None => {
                collect.flow(id, now);
                self.averages = Some(Averages::new(policy, now));
                None
            }
        }
    }
}
