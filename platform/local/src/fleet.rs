//! One function's replicas, what is wanted of them, and why they fail.
//!
//! Decides nothing by itself and starts nothing: it counts, remembers and shows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::platform::{Expected, Refusal, Scale};
use kaos_core::snapshot::{Hold, Phase, Replicas, StartFailure};
use kaos_core::{EndpointUid, Moment, Workload, duration};

use crate::function::{Form, Function};
use crate::linux::sockets;
use crate::plan::{Plan, plan};
use crate::replica::{Ending, Replica, Stage, describe};
use crate::streak::{Streak, Verdict};

/// A replica that ends within this after it was ready has crashed; a later end is no reason to wait.
const CRASH: Duration = Duration::from_secs(10);

/// Other ports that are tried in a row for a replica that can't bind.
const REBINDS: u32 = 5;

/// One function and its replicas.
pub(crate) struct Fleet {
    /// As configured.
    pub(crate) function: Function,
    /// What its replicas are started as.
    pub(crate) form: Arc<Form>,
    /// By number.
    pub(crate) replicas: BTreeMap<u64, Replica>,
    /// Replicas wanted.
    pub(crate) desired: u32,
    /// It is no longer configured, and vanishes with its last replica.
    pub(crate) removed: bool,
    /// No start before.
    pub(crate) retry_at: Option<Moment>,
    hold: Option<Hold>,
    version: u64,
    failure: Option<StartFailure>,
    starts: Streak,
    crashes: Streak,
    rebinds: u32,
    shown: Option<Arc<Workload>>,
}

impl Fleet {
    pub(crate) fn new(function: Function) -> Fleet {
        Fleet {
            form: Arc::new(function.form()),
            function,
            replicas: BTreeMap::new(),
            desired: 0,
            removed: false,
            retry_at: None,
            hold: None,
            version: 1,
            failure: None,
            starts: Streak::default(),
            crashes: Streak::default(),
            rebinds: 0,
            shown: None,
        }
    }

    /// Takes a new configuration. Failures of the old form say nothing of the new one.
    pub(crate) fn configure(&mut self, function: Function) {
        let form = function.form();
        if *self.form != form {
            self.form = Arc::new(form);
            self.starts.reset();
            self.crashes.reset();
            (self.rebinds, self.failure, self.retry_at) = (0, None, None);
        }
        self.function = function;
        self.removed = false;
        self.shown = None;
    }

    /// Takes it out of the configuration.
    pub(crate) fn remove(&mut self) {
        self.removed = true;
        self.function.hosts.clear();
        self.set_desired(0);
        (self.hold, self.failure, self.retry_at) = (None, None, None);
    }

    /// Sets the replica count if what is expected holds. Returns the version after the write.
    pub(crate) fn scale(&mut self, scale: &Scale, now: Moment) -> Result<u64, Refusal> {
        if self.removed {
            return Err(Refusal::Gone);
        }
        let holds = match scale.expected {
            Expected::Replicas(count) => count == self.desired,
            Expected::Version(version) => version == self.version,
        };
        // In the place of a victim that has died meanwhile another would go, and with it its requests.
        let lives = |uid: &EndpointUid| {
            self.replicas.values().any(|replica| replica.uid == *uid && replica.phase() == Phase::Ready)
        };
        if !holds || !scale.victims.iter().all(lives) {
            return Err(Refusal::Conflict);
        }
        let failing = self.failure.as_ref().filter(|failure| failure.known && now < failure.retry_at);
        if let (0, Some(failure)) = (self.desired, failing)
            && scale.to > 0
        {
            return Err(Refusal::Failed(failure.detail.clone()));
        }
        self.set_desired(scale.to);
        Ok(self.version)
    }

    /// Sets or takes away the hold. Returns the version after the write.
    pub(crate) fn hold(&mut self, hold: Option<Hold>) -> Result<u64, Refusal> {
        if self.removed {
            return Err(Refusal::Gone);
        }
        self.hold = hold;
        self.version += 1;
        self.shown = None;
        Ok(self.version)
    }

    /// Wants nothing any more.
    pub(crate) fn halt(&mut self) {
        self.set_desired(0);
    }

    fn set_desired(&mut self, desired: u32) {
        self.desired = desired;
        self.version += 1;
        self.shown = None;
    }

    /// The steps towards what is wanted. Nothing is started before `retry_at`.
    pub(crate) fn plan(&self, victims: &[EndpointUid]) -> Plan {
        let seats: Vec<_> =
            self.replicas.values().filter_map(|replica| replica.seat(&self.form, victims)).collect();
        let cautious = self.starts.is_known() || self.crashes.is_known();
        let mut plan = plan(self.desired as usize, &seats, cautious);
        // One that has just ended may be a failure, and starts then wait: its place is empty when that is known.
        let open = self.replicas.values().filter(|replica| self.may_have_failed(replica)).count();
        plan.start = if self.retry_at.is_some() { 0 } else { plan.start.saturating_sub(open) };
        plan
    }

    fn may_have_failed(&self, replica: &Replica) -> bool {
        let Stage::Ended { ending: Some(ending), .. } = replica.stage else { return false };
        let early = match ending {
            Ending::Unready(_) => true,
            Ending::Ready(_, lived) => lived < CRASH,
        };
        early && Arc::ptr_eq(&replica.form, &self.form)
    }

    /// A replica became ready.
    pub(crate) fn succeeded(&mut self) {
        self.starts.reset();
        (self.rebinds, self.failure, self.retry_at) = (0, None, None);
        self.shown = None;
    }

    /// A start failed that was begun at `begun`.
    pub(crate) fn failed(
        &mut self,
        because: &str,
        detail: String,
        lasting: bool,
        begun: Moment,
        now: Moment,
    ) {
        self.rebinds = 0;
        let verdict = self.starts.failed(begun, lasting, now);
        self.tell(verdict, because, detail);
    }

    /// The replica numbered `serial` has ended by itself. Whoever calls it starts another if one is wanted.
    pub(crate) fn ended(&mut self, serial: u64, ending: Ending, now: Moment) {
        let Some(replica) = self.replicas.get(&serial) else { return };
        let (begun, quote) = (replica.begun, replica.tail.quote());
        let current = Arc::ptr_eq(&replica.form, &self.form);
        let (uid, port) = (replica.uid.clone(), replica.port);
        match ending {
            Ending::Unready(exit) => {
                // Its tree is gone: whoever listens now took the port.
                let unbound = replica.tail.said_in_use() || !sockets::is_free(port, false);
                if unbound && self.rebinds < REBINDS {
                    self.rebinds += 1;
                    tracing::debug!(replica = %uid, port, "somebody else has the port: another is tried");
                    return;
                }
                let detail = format!("{} before it was ready{quote}", describe(exit));
                tracing::warn!(replica = %uid, "{detail}");
                if current {
                    self.failed("exited", detail, false, begun, now);
                }
            }
            Ending::Ready(exit, lived) => {
                let after = duration::format(Duration::from_millis(lived.as_millis() as u64));
                let detail = format!("{}, {after} after it was ready{quote}", describe(exit));
                tracing::warn!(replica = %uid, "{detail}");
                if lived >= CRASH {
                    self.crashes.reset();
                } else if current {
                    let verdict = self.crashes.failed(begun, false, now);
                    self.tell(verdict, "crashed", detail);
                }
            }
        }
    }

    fn tell(&mut self, verdict: Option<Verdict>, because: &str, detail: String) {
        let Some(Verdict { attempts, known, retry_at }) = verdict else { return };
        self.failure = Some(StartFailure { because: because.to_owned(), detail, attempts, known, retry_at });
        self.retry_at = Some(retry_at);
        self.shown = None;
    }

    /// Gives up for the time being: with a known failure and nothing that runs, nothing is wanted any more.
    pub(crate) fn give_up(&mut self) {
        let known = self.failure.as_ref().is_some_and(|failure| failure.known);
        let alive = self.replicas.values().any(|replica| replica.phase() != Phase::Terminating);
        if known && !alive && self.desired > 0 {
            self.set_desired(0);
        }
    }

    /// The pause after a failure is over: a start may be tried, and nobody is told of the failure meanwhile.
    pub(crate) fn retry(&mut self) {
        self.retry_at = None;
        if let Some(failure) = &mut self.failure {
            failure.known = false;
        }
        self.shown = None;
    }

    /// Something of its replicas has changed.
    pub(crate) fn changed(&mut self) {
        self.shown = None;
    }

    /// Whether the last snapshot says something else.
    pub(crate) fn is_changed(&self) -> bool {
        self.shown.is_none()
    }

    /// What the snapshot says of it.
    pub(crate) fn show(&mut self) -> Arc<Workload> {
        if let Some(shown) = &self.shown {
            return Arc::clone(shown);
        }
        let endpoints: Vec<_> = self.replicas.values().map(Replica::endpoint).collect();
        let count = |phase| endpoints.iter().filter(|endpoint| endpoint.phase == phase).count() as u32;
        let replicas =
            Replicas { desired: self.desired, ready: count(Phase::Ready), starting: count(Phase::Starting) };
        let shown = Arc::new(Workload {
            hosts: self.function.hosts.clone(),
            path: self.function.path.clone(),
            endpoints,
            replicas,
            hold: self.hold.clone(),
            failure: self.failure.clone(),
            version: self.version,
            ..Workload::new(self.function.id.clone(), Arc::clone(&self.function.policy))
        });
        self.shown = Some(Arc::clone(&shown));
        shown
    }
}
