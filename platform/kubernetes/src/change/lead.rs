//! Leading: takes the Lease, renews it, and knows at each moment whether it is still ours to write.
//!
//! [`Leadership`] is a deadline that writers look at right before they write, so that a process that was stopped, or a
//! machine that slept, never writes with a leadership that is over. Reading the Lease every two seconds over the writers'
//! own client keeps its connection warm for the next wake, whether we lead or not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Method;
use kaos_core::Moment;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::call::{Api, Ask, DEADLINE, Turn};
use super::clock::{Clock, stamp};
use super::fault::Fault;
use super::lease::{Election, Lease, PERIOD, RENEWAL, Spec, Standing};
use super::object::{FIELD_MANAGER, encode};
use crate::rights;

/// Until when this process may write as the leader.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    until: Arc<AtomicU64>,
    clock: Clock,
}

impl Leadership {
    /// Of one that doesn't lead.
    pub(crate) fn new(clock: Clock) -> Self {
        Leadership { until: Arc::default(), clock }
    }

    /// Whether it may write now.
    pub(crate) fn leads(&self) -> bool {
        self.clock.now() < self.until()
    }

    /// Leads until `until`.
    pub(crate) fn extend(&self, until: Moment) {
        self.until.store(until.micros(), Ordering::SeqCst);
    }

    fn until(&self) -> Moment {
        Moment::from_micros(self.until.load(Ordering::SeqCst))
    }

    /// Ends when the leadership is over.
    async fn over(&self) {
        loop {
            let left = self.until().since(self.clock.now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(PERIOD)).await;
        }
    }
}

/// Which Lease, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The Lease's namespace.
    pub(crate) namespace: String,
    /// The Lease's name.
    pub(crate) lease: String,
    /// Names this process and no other.
    pub(crate) id: String,
}

impl Candidate {
    /// The Lease's path.
    pub(crate) fn path(&self) -> String {
        let (namespace, lease) = (encode(&self.namespace), encode(&self.lease));
        format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{lease}")
    }
}

/// The task that stands for election. Dropping it stops without a release; the Lease then runs out by itself.
#[derive(Debug)]
pub(crate) struct Lead {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Lead {
    /// Stands for election from here on. `leading` is told each change.
    pub(crate) fn start(
        api: Arc<Api>,
        candidate: Candidate,
        leadership: Leadership,
        leading: watch::Sender<bool>,
    ) -> Lead {
        let (stop, stopped) = oneshot::channel();
        let path = candidate.path();
        let standing = Standee {
            api,
            path,
            election: Election::new(candidate.id),
            leadership,
            leading,
            lease: None,
            said: String::new(),
        };
        Lead { stop: Some(stop), task: tokio::spawn(standing.run(stopped)) }
    }

    /// Tells whether it still stands.
    pub(crate) fn handle(&self) -> AbortHandle {
        self.task.abort_handle()
    }

    /// Stops leading and lets others have the Lease at once. Returns when that is done, or failed within its deadline.
    pub(crate) async fn release(mut self) {
        drop(self.stop.take());
        let ended = (&mut self.task).await;
        if let Err(error) = ended {
            warn!(%error, "the election's task failed");
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Standee {
    api: Arc<Api>,
    path: String,
    election: Election,
    leadership: Leadership,
    leading: watch::Sender<bool>,
    /// The Lease as we last wrote it.
    lease: Option<Lease>,
    /// The last fault that was logged, so that each is said once.
    said: String,
}

impl Standee {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let leadership = self.leadership.clone();
            let leads = *self.leading.borrow();
            let begun = leadership.clock.now();
            let outcome = tokio::select! {
                outcome = self.attempt() => Some(outcome),
                () = leadership.over(), if leads => None,
                _ = &mut stopped => break,
            };
            self.settle(outcome, begun);
            let leads = *self.leading.borrow();
            tokio::select! {
                () = sleep(PERIOD) => {}
                () = leadership.over(), if leads => self.depose("the Lease couldn't be renewed in time"),
                _ = &mut stopped => break,
            }
        }
        if self.leadership.leads() {
            self.release().await;
        }
        self.depose("it is shutting down");
    }

    /// What an attempt that began at `begun` came to. `None`: it took too long. The deadline counts from before the
    /// request was sent: others count from after it was done.
    fn settle(&mut self, outcome: Option<Result<bool, Fault>>, begun: Moment) {
        match outcome {
            Some(Ok(true)) => {
                self.leadership.extend(begun + RENEWAL);
                self.said.clear();
                // A stopped process may come to this line long after.
                if self.leadership.leads() {
                    if !self.leading.send_replace(true) {
                        info!(lease = self.path, "this autoscaler leads");
                    }
                    return;
                }
            }
            Some(Ok(false)) => {
                self.depose("another autoscaler leads");
                self.said.clear();
            }
            Some(Err(fault)) => self.say(&fault),
            None => {}
        }
        if !self.leadership.leads() {
            self.depose("the Lease couldn't be renewed in time");
        }
    }

    fn depose(&mut self, why: &str) {
        self.leadership.extend(Moment::ZERO);
        if self.leading.send_replace(false) {
            info!(lease = self.path, why, "this autoscaler doesn't lead any more");
        }
    }

    fn say(&mut self, fault: &Fault) {
        let text = match fault {
            Fault::Gone => "the Lease isn't there; it is among what `kaos install` prints".to_owned(),
            fault => fault.to_string(),
        };
        if self.said != text {
            warn!(lease = self.path, why = text, "the Lease can't be read or written; wakes go on");
            self.said = text;
        } else {
            debug!(lease = self.path, why = text, "the Lease can't be read or written");
        }
    }

    /// Takes or renews the Lease. `false`: another holds it.
    async fn attempt(&mut self) -> Result<bool, Fault> {
        if let Some(lease) = self.lease.take() {
            match self.write(&lease).await {
                Err(Fault::Conflict) => {}
                result => return result.map(|()| true),
            }
        }
        let lease: Lease = self.api.read(rights::GET_LEASE, self.path.clone()).await?;
        let spec = Spec::of(&lease);
        match self.election.saw(&spec, self.leadership.clock.now()) {
            Standing::Held => Ok(false),
            Standing::Free | Standing::Ours => match self.write(&lease).await {
                Ok(()) => Ok(true),
                Err(Fault::Conflict) => Ok(false),
                Err(fault) => Err(fault),
            },
        }
    }

    /// Writes `lease` with us as its holder, if nobody has written it since. What the server made of it is kept for the
    /// next renewal, which then needs no reading.
    async fn write(&mut self, lease: &Lease) -> Result<(), Fault> {
        let taken = self.election.taken(lease, &stamp());
        self.lease = Some(self.put(&taken).await?);
        Ok(())
    }

    async fn put(&self, lease: &Lease) -> Result<Lease, Fault> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", self.path);
        let body = Value::Object(lease.clone());
        let ask = Ask::with(rights::UPDATE_LEASE, Method::PUT, path, "application/json", &body);
        self.api.call(&ask, Turn::Other, Instant::now() + DEADLINE, || true).await
    }

    async fn release(&mut self) {
        self.depose("it is shutting down");
        let lease = match self.lease.take() {
            Some(lease) => Ok(lease),
            None => self.api.read(rights::GET_LEASE, self.path.clone()).await,
        };
        let result = match lease {
            Ok(lease)
                if self.election.saw(&Spec::of(&lease), self.leadership.clock.now()) == Standing::Ours =>
            {
                self.put(&Election::released(&lease, &stamp())).await.map(drop)
            }
            Ok(_) => Ok(()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = result {
            warn!(lease = self.path, why = %fault, "the Lease wasn't released; it runs out by itself");
        }
    }
}
