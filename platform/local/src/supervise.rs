//! The one task that owns every fleet: hears the guardian, the tasks that read and probe, and those who ask; starts
//! what is missing, stops what is too much, and publishes what has changed.
//!
//! It never waits for anything but the next thing to happen, so that a wake is never behind somebody else's.

mod hear;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_core::platform::{Refusal, Scale};
use kaos_core::snapshot::Hold;
use kaos_core::{EndpointUid, Moment, WorkloadId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use crate::Busy;
use crate::fleet::Fleet;
use crate::function::Function;
use crate::linux::Stop;
use crate::machine::{Machine, Note};
use crate::publish::Publisher;
use crate::replica::{Replica, Stage, WEDGED};

/// From the end of the guardian's stdin to its own: it kills everything first.
const CLEARING: Duration = Duration::from_secs(10);

/// What is asked of the supervisor. Answers go to whoever still waits for them.
pub(crate) enum Request {
    /// [`kaos_core::platform::Platform::scale`], and when it was called.
    Scale(WorkloadId, Scale, Moment, oneshot::Sender<Result<u64, Refusal>>),
    /// [`kaos_core::platform::Platform::hold`].
    Hold(WorkloadId, Option<Hold>, oneshot::Sender<Result<u64, Refusal>>),
    /// These are the functions from here on.
    Reload(Vec<Function>, oneshot::Sender<()>),
    /// Each replica's first process.
    Pids(oneshot::Sender<BTreeMap<EndpointUid, u32>>),
    /// How to find out whether a replica has requests, and how long it may keep them when it is replaced.
    Drain(Busy, Duration),
    /// Stop everything, gently.
    Shutdown(oneshot::Sender<()>),
    /// Stop everything at once.
    Kill(oneshot::Sender<()>),
}

/// See the module.
pub(crate) struct Supervisor {
    machine: Machine,
    fleets: BTreeMap<WorkloadId, Fleet>,
    publisher: Publisher,
    notes: mpsc::Receiver<Note>,
    requests: mpsc::Receiver<Request>,
    drain: Option<(Busy, Duration)>,
    closing: Option<Closing>,
}

/// Everything is being stopped.
struct Closing {
    deadline: Instant,
    replies: Vec<oneshot::Sender<()>>,
}

impl Supervisor {
    pub(crate) fn new(
        machine: Machine,
        notes: mpsc::Receiver<Note>,
        requests: mpsc::Receiver<Request>,
        publisher: Publisher,
        functions: Vec<Function>,
    ) -> Supervisor {
        let mut supervisor = Supervisor {
            machine,
            fleets: BTreeMap::new(),
            publisher,
            notes,
            requests,
            drain: None,
            closing: None,
        };
        supervisor.reload(functions);
        supervisor.announce();
        supervisor
    }

    /// Runs until it is shut down, or nobody can ask any more; no replica is left then.
    pub(crate) async fn run(mut self) {
        while !self.is_closed() {
            let alarm = self.alarm();
            tokio::select! {
                biased;
                event = self.machine.event() => match event {
                    Some(event) => self.hear(event),
                    None => self.mourn().await,
                },
                Some(note) = self.notes.recv() => self.note(note),
                request = self.requests.recv() => match request {
                    Some(Request::Kill(reply)) => {
                        self.close(reply);
                        break;
                    }
                    Some(request) => self.answer(request),
                    None => break,
                },
                () = sleep_until(alarm.unwrap_or_else(Instant::now).into()), if alarm.is_some() => self.ring(),
            }
            self.announce();
        }
        self.machine.clear(CLEARING).await;
        self.bury();
        self.publisher.publish(&mut self.fleets, Instant::now());
        for reply in self.closing.take().map(|closing| closing.replies).unwrap_or_default() {
            let _ = reply.send(());
        }
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Scale(id, scale, at, reply) => {
                let _ = reply.send(self.scale(&id, &scale, at));
            }
            Request::Hold(id, hold, reply) => {
                let result = self.fleets.get_mut(&id).map_or(Err(Refusal::Gone), |fleet| fleet.hold(hold));
                let _ = reply.send(result);
            }
            Request::Reload(functions, reply) => {
                if self.closing.is_none() {
                    self.reload(functions);
                }
                let _ = reply.send(());
            }
            Request::Pids(reply) => {
                let replicas = self.fleets.values().flat_map(|fleet| fleet.replicas.values());
                let pids = replicas.filter_map(|replica| Some((replica.uid.clone(), replica.pid?)));
                let _ = reply.send(pids.collect());
            }
            Request::Drain(busy, limit) => self.drain = Some((busy, limit)),
            Request::Shutdown(reply) | Request::Kill(reply) => self.close(reply),
        }
    }

    fn scale(&mut self, id: &WorkloadId, scale: &Scale, at: Moment) -> Result<u64, Refusal> {
        if self.closing.is_some() {
            return Err(Refusal::Failed("kaos is shutting down".to_owned()));
        }
        let now = self.machine.now();
        let version = self.fleets.get_mut(id).map_or(Err(Refusal::Gone), |fleet| fleet.scale(scale, now))?;
        self.settle(id, &scale.victims, at);
        Ok(version)
    }

    fn reload(&mut self, functions: Vec<Function>) {
        let now = self.machine.now();
        let kept: BTreeSet<WorkloadId> = functions.iter().map(|function| function.id.clone()).collect();
        for function in functions {
            self.machine.logs.open(&function.id);
            match self.fleets.get_mut(&function.id) {
                Some(fleet) if fleet.function == function && !fleet.removed => {}
                Some(fleet) => fleet.configure(function),
                None => {
                    self.fleets.insert(function.id.clone(), Fleet::new(function));
                }
            }
        }
        for (_, fleet) in self.fleets.iter_mut().filter(|(id, fleet)| !kept.contains(id) && !fleet.removed) {
            fleet.remove();
        }
        self.publisher.reroute();
        self.settle_all(now);
    }

    fn close(&mut self, reply: oneshot::Sender<()>) {
        if self.closing.is_none() {
            let longest = self.fleets.values().map(|fleet| fleet.function.policy.stop_timeout).max();
            let deadline = Instant::now() + longest.unwrap_or_default() + CLEARING;
            self.closing = Some(Closing { deadline, replies: Vec::new() });
            self.drain = None;
            self.fleets.values_mut().for_each(Fleet::halt);
            self.settle_all(self.machine.now());
        }
        if let Some(closing) = &mut self.closing {
            closing.replies.push(reply);
        }
    }

    fn is_closed(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| {
            Instant::now() >= closing.deadline || self.fleets.values().all(|fleet| fleet.replicas.is_empty())
        })
    }

    fn settle_all(&mut self, now: Moment) {
        let ids: Vec<WorkloadId> = self.fleets.keys().cloned().collect();
        for id in ids {
            self.settle(&id, &[], now);
        }
    }

    /// Starts what is missing and lets go what is too much.
    fn settle(&mut self, id: &WorkloadId, victims: &[EndpointUid], decided: Moment) {
        let Some(fleet) = self.fleets.get_mut(id) else { return };
        let plan = fleet.plan(victims);
        let start = if self.machine.is_guarded() { plan.start } else { 0 };
        for _ in 0..start {
            match self.machine.start(&fleet.function, &fleet.form, decided) {
                Ok(replica) => {
                    fleet.replicas.insert(replica.serial, replica);
                    fleet.changed();
                }
                Err(unstarted) => {
                    tracing::warn!(function = %id, "{}", unstarted.detail);
                    let now = self.machine.now();
                    fleet.failed(unstarted.because, unstarted.detail, unstarted.lasting, now, now);
                    break;
                }
            }
        }
        let patience = self.drain.as_ref().map(|(_, limit)| *limit);
        for serial in plan.stop {
            let Some(replica) = fleet.replicas.get_mut(&serial) else { continue };
            // What the autoscaler takes away it has seen empty; what a reload takes away nobody has.
            let replaced = fleet.removed || !Arc::ptr_eq(&replica.form, &fleet.form);
            replica.drain(patience.filter(|_| replaced));
            fleet.changed();
        }
        fleet.give_up();
        if fleet.removed && fleet.replicas.is_empty() {
            self.fleets.remove(id);
            self.machine.logs.close(id);
            self.publisher.reroute();
        }
    }

    /// Publishes what has changed, and then tells those to stop whose end was published.
    fn announce(&mut self) {
        let now = Instant::now();
        if self.has_news() && now >= self.publisher.due() {
            self.publisher.publish(&mut self.fleets, now);
            for replica in self.fleets.values_mut().flat_map(|fleet| fleet.replicas.values_mut()) {
                if let Stage::Draining { announced, .. } = &mut replica.stage {
                    *announced = true;
                }
            }
        }
        for fleet in self.fleets.values_mut() {
            for replica in fleet.replicas.values_mut() {
                let Stage::Draining { announced: true, until } = replica.stage else { continue };
                let busy = |(busy, _): &(Busy, Duration)| busy(&replica.uid);
                if until.is_some_and(|until| now < until) && self.drain.as_ref().is_some_and(busy) {
                    continue;
                }
                self.machine.stop(replica.serial, Stop::Ask);
                replica.stage = Stage::Stopping { kill_at: Some(now + fleet.function.policy.stop_timeout) };
            }
        }
    }

    fn has_news(&self) -> bool {
        self.publisher.is_rerouted() || self.fleets.values().any(Fleet::is_changed)
    }

    /// When something must happen though nothing does.
    fn alarm(&self) -> Option<Instant> {
        let publish = self.has_news().then(|| self.publisher.due());
        let closing = self.closing.as_ref().map(|closing| closing.deadline);
        let fleets = self.fleets.values();
        let retries = fleets.clone().filter_map(|fleet| self.instant(fleet.retry_at?));
        let replicas = fleets.flat_map(|fleet| fleet.replicas.values()).filter_map(Replica::alarm);
        let rest = [publish, closing, self.machine.relaunch_at()].into_iter().flatten();
        retries.chain(replicas).chain(rest).min()
    }

    fn instant(&self, moment: Moment) -> Option<Instant> {
        self.machine.origin.checked_add(Duration::from_micros(moment.micros()))
    }

    /// Whatever is due.
    fn ring(&mut self) {
        let (now, instant) = (self.machine.now(), Instant::now());
        if self.machine.relaunch_at().is_some_and(|at| at <= instant) {
            self.machine.relaunch();
        }
        let mut over = Vec::new();
        for (id, fleet) in &mut self.fleets {
            if fleet.retry_at.is_some_and(|at| at <= now) {
                fleet.retry();
                over.push((id.clone(), 0));
            }
            for replica in fleet.replicas.values_mut() {
                match &mut replica.stage {
                    Stage::Stopping { kill_at } if kill_at.is_some_and(|at| at <= instant) => {
                        *kill_at = None;
                        self.machine.stop(replica.serial, Stop::Kill);
                    }
                    Stage::Ended { until, .. } if *until <= instant => {
                        over.push((id.clone(), replica.serial));
                    }
                    Stage::Spawning { since } if instant >= *since + WEDGED => {
                        *since = instant;
                        self.machine.kill_guardian();
                    }
                    _ => {}
                }
            }
        }
        for (id, serial) in over {
            self.finish(&id, serial);
        }
    }

    /// The guardian is dead: kills what it left, and starts again what is wanted under a new one.
    async fn mourn(&mut self) {
        tracing::warn!("the guardian of the replicas has died: they end and are started again");
        self.machine.clear(Duration::ZERO).await;
        self.bury();
    }

    /// Forgets every replica.
    fn bury(&mut self) {
        for fleet in self.fleets.values_mut() {
            fleet.replicas.clear();
            fleet.changed();
        }
        self.settle_all(self.machine.now());
    }
}
