//! What a workload would have done, or does, for the advice on it.

use std::time::Duration;

use kaos_core::average::Flow;
use kaos_core::decision::Because;
use kaos_core::snapshot::{Mode, Phase};
use kaos_core::{Moment, Observation};

use super::Track;
use crate::shadow::{Scene, Shadow};
use crate::watched::ASSUMED_START;

impl Track {
    /// Watches it at `now`: its shadow where it is only observed, else itself. Up to `told` proxies have told of everything, and
    /// `flow` is what they told of just now.
    pub(crate) fn watch(&mut self, seen: &Observation, (told, flow): (Moment, Option<Flow>), now: Moment) {
        let (busy, last) = (seen.is_busy(), seen.last_activity);
        match seen.mode {
            Mode::Observe(_) => {
                let start = self.start_time();
                let mut shadow = self.shadow.take().unwrap_or_else(|| Box::new(Shadow::new(seen, now)));
                let policy = self.policy();
                let scene = Scene { policy, seen, told, flow, start: start.unwrap_or(ASSUMED_START), now };
                self.book.watching.watch(true, shadow.desired(), now, |watch| {
                    watch.sees(busy, last, now);
                    shadow.look(&scene, watch);
                });
                self.book.watching.starts(start);
                self.shadow = Some(shadow);
            }
            Mode::Scale => {
                self.shadow = None;
                let desired = seen.replicas.desired;
                self.book.watching.watch(false, desired, now, |watch| {
                    watch.sees(busy, last, now);
                    watch.runs(desired, now);
                });
            }
            Mode::Off | Mode::Plain => {
                self.shadow = None;
                self.book.watching.end();
            }
        }
    }

    /// What its last start took, by our own, else by the replica that became ready last.
    fn start_time(&self) -> Option<Duration> {
        let ready = self.workload.endpoints.iter().filter(|endpoint| endpoint.phase == Phase::Ready);
        let times = ready.filter_map(|endpoint| {
            let times = endpoint.start;
            Some((times.ready?, times.decided.or(times.started)?))
        });
        let shown = times.max().map(|(ready, asked)| ready.since(asked)).filter(|took| !took.is_zero());
        self.took.or(shown)
    }

    /// A first replica is asked for. Only who waits for it makes it a cold start.
    pub(crate) fn waking(&mut self, because: Because, now: Moment) {
        self.woke = (because == Because::Wake).then_some(now);
    }

    /// When its shadow wants to look again.
    pub(crate) fn shadow_due(&self) -> Option<Moment> {
        self.shadow.as_ref()?.due()
    }

    /// A replica became ready: whoever asked for it has waited.
    pub(crate) fn woken(&mut self, now: Moment) {
        let Some(asked) = self.woke.take() else { return };
        if self.workload.mode == Mode::Scale {
            let replicas = self.replicas().desired;
            self.book.watching.watch(false, replicas, now, |watch| watch.cold_start(now.since(asked)));
        }
    }
}
