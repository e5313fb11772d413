//! Admission to one workload: a slot on its least loaded replica at once, or a place in its queue.
//!
//! Nothing here is touched by a request that finds a slot and nobody waiting, but one counter of that replica. While
//! something waits, arrivals go behind it, and whoever gives a slot back hands it to the first in the queue: the slot
//! is the waiter's before it wakes, so nobody overtakes. The two sides can't miss each other: a release counts down and
//! then looks for waiters; a waiter is counted and then looks for slots.

mod queue;
#[cfg(any(test, feature = "bench"))]
pub(crate) mod sample;
mod ticket;
mod view;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use kaos_core::pick::{pick, release_limit};
use kaos_core::{Moment, Sums, WorkloadId};
use tokio::sync::oneshot;

use crate::refuse::Refusal;
use crate::slot::{Padded, Slot};
use crate::subrequest::{Presumed, Settling};
use queue::{Queue, Waiter};
use ticket::{Ticket, TurnedAway};

pub(crate) use queue::ANNOUNCE_AGAIN;
pub(crate) use view::{Starts, View};

/// Bytes that waiting requests of all workloads may hold together.
#[derive(Debug)]
pub(crate) struct QueueBytes {
    held: AtomicU64,
    limit: u64,
    /// Nobody may begin to wait.
    closed: AtomicBool,
}

impl QueueBytes {
    pub(crate) fn new(limit: u64) -> Self {
        QueueBytes { held: AtomicU64::new(0), limit, closed: AtomicBool::new(false) }
    }

    /// Lets nobody begin to wait, or everybody again.
    pub(crate) fn close(&self, closed: bool) {
        self.closed.store(closed, Ordering::Relaxed);
    }

    fn has_room(&self, bytes: u64) -> bool {
        !self.closed.load(Ordering::Relaxed) && self.held.load(Ordering::Relaxed) + bytes <= self.limit
    }
}

/// Admission to one workload. Shared by all workers.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) key: u32,
    pub(crate) id: WorkloadId,
    view: ArcSwap<View>,
    waiting: Padded<AtomicU32>,
    queue: Mutex<Queue>,
    bytes: Arc<QueueBytes>,
    origin: Instant,
    /// Requests that went to its replicas past us, to whichever.
    pub(crate) presumed: Presumed,
    pub(crate) settling: Settling,
}

/// On which terms a request is admitted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    /// Another proxy has passed it on: it stays here.
    pub(crate) passed: bool,
    /// It wakes nothing and keeps nothing awake: where no replica is ready it is answered with this status.
    pub(crate) no_wake: Option<u16>,
    /// It is asked for by another program, which sends it itself: to which replica, and when it ends, isn't known here. So no
    /// limit of one replica can be kept with it, and it waits only while there is no replica at all.
    pub(crate) asked: bool,
}

/// A slot on a replica, taken. Given back when dropped, to whoever waits first.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) slot: Arc<Slot>,
    gate: Arc<Gate>,
}

/// Grants that nobody took, each on the terms under which it was made.
#[derive(Debug, Default)]
struct Unclaimed {
    own: Option<Grant>,
    asked: Option<Grant>,
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.slot.give();
        if self.gate.waiting() > 0 {
            self.gate.release();
        }
    }
}

impl Gate {
    pub(crate) fn new(key: u32, view: View, bytes: Arc<QueueBytes>, origin: Instant) -> Self {
        Gate {
            key,
            id: view.workload.id.clone(),
            view: ArcSwap::from_pointee(view),
            waiting: Padded::default(),
            queue: Mutex::default(),
            bytes,
            origin,
            presumed: Presumed::default(),
            settling: Settling::default(),
        }
    }

    fn now(&self) -> Moment {
        Moment::at(self.origin, Instant::now())
    }

    /// The picture that counts now.
    pub(crate) fn view(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// Swaps the picture. Call [`Gate::settle`] after the slots were opened and closed.
    pub(crate) fn show(&self, view: View) {
        self.view.store(Arc::new(view));
        self.settling.tell();
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.0.load(Ordering::SeqCst)
    }

    /// Sums of the requests that wait and waited, for a report.
    pub(crate) fn waiting_sums(&self) -> Sums {
        self.lock().tell()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // What a panicking thread left behind is still a list of waiters.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot on the least loaded replica, if one is free and nobody waits for it; or a place at another proxy that has
    /// slots, if there are none here and the request wasn't passed on already.
    pub(crate) fn admit(self: &Arc<Self>, now: Moment, turn: usize, terms: Terms) -> Option<Grant> {
        if self.waiting() > 0 {
            return None;
        }
        let view = self.view.load();
        if terms.asked {
            return self.take(&view.slots, 0, now, turn);
        }
        if !view.owners.is_empty() {
            return if terms.passed { None } else { self.take(&view.owners, 0, now, turn) };
        }
        self.take(&view.slots, view.workload.policy.container_concurrency, now, turn)
    }

    fn take(self: &Arc<Self>, slots: &[Arc<Slot>], limit: u32, now: Moment, turn: usize) -> Option<Grant> {
        // A slot that was free when it was picked may be taken by another worker: pick again, a bounded number of times.
        for attempt in 0..=slots.len() {
            let (count, turn) = (slots.len(), turn + attempt);
            let at = pick(count, limit, turn, |at| slots.get(at)?.trusted_load(now, limit))
                .or_else(|| pick(count, limit, turn, |at| slots.get(at)?.load(now, limit)))?;
            let slot = slots.get(at)?;
            if slot.take(limit) {
                return Some(Grant { slot: slot.clone(), gate: self.clone() });
            }
        }
        None
    }

    /// A place at the end of the queue until `deadline` for a request that holds `bytes`, or the reason why it may not
    /// wait.
    pub(crate) fn enter(
        self: &Arc<Self>,
        now: Moment,
        deadline: Moment,
        bytes: usize,
        terms: Terms,
    ) -> Result<Ticket, TurnedAway> {
        let bytes = bytes as u64;
        let (answer, receiver) = oneshot::channel();
        let mut queue = self.lock();
        let view = self.view.load();
        self.may_wait(&queue, &view, now, bytes, terms)
            .map_err(|refusal| TurnedAway { refusal, announce: false })?;
        if let Some(span) = view.ready_after(deadline, now) {
            let announce = queue.turn_away(now);
            return Err(TurnedAway { refusal: Refusal::StartTooLong(span), announce });
        }
        self.bytes.held.fetch_add(bytes, Ordering::Relaxed);
        let no_wake = terms.no_wake.is_some();
        let arrival = queue.join(Waiter { answer, bytes, terms }, now);
        self.waiting.0.fetch_add(1, Ordering::SeqCst);
        let unclaimed = self.hand_out(&mut queue, now);
        let announce = !no_wake && queue.announce(now);
        drop(queue);
        drop(unclaimed);
        Ok(Ticket { gate: self.clone(), arrival, answer: receiver, announce, no_wake, has_left: false })
    }

    fn may_wait(
        &self,
        queue: &Queue,
        view: &View,
        now: Moment,
        bytes: u64,
        terms: Terms,
    ) -> Result<(), Refusal> {
        if view.removed {
            return Err(Refusal::NoRoute);
        }
        if let Some(status) = terms.no_wake.filter(|_| !view.is_serving()) {
            return Err(Refusal::NoWake(status));
        }
        if let Some(refusal) = view.known_failure(now) {
            return Err(refusal);
        }
        if queue.waiters.len() as u64 >= u64::from(view.workload.policy.queue_limit) {
            return Err(Refusal::QueueFull(view.start_span()));
        }
        if !self.bytes.has_room(bytes) {
            return Err(Refusal::Overloaded);
        }
        Ok(())
    }

    /// Whether more wait than was announced, which is announced by this; none if nobody waits.
    pub(crate) fn has_grown(&self, now: Moment) -> Option<bool> {
        self.lock().has_grown(now)
    }

    /// What was read last was reported: those who were turned away before wait no more.
    pub(crate) fn reported(&self) {
        let now = self.now();
        self.lock().reported(now);
    }

    /// Returns whether nobody of whom the control line hears waits any more.
    fn leave(&self, arrival: u64) -> bool {
        let now = self.now();
        let mut queue = self.lock();
        if let Some(waiter) = queue.waiters.remove(&arrival) {
            self.left(&mut queue, &waiter, now);
        }
        queue.counted() == 0
    }

    /// Counts a waiter that is in the queue no more.
    fn left(&self, queue: &mut Queue, waiter: &Waiter, now: Moment) {
        queue.left(waiter, now);
        self.bytes.held.fetch_sub(waiter.bytes, Ordering::Relaxed);
        self.waiting.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// Hands free slots to those who wait, in their order.
    pub(crate) fn release(self: &Arc<Self>) {
        let now = self.now();
        let mut queue = self.lock();
        let unclaimed = self.hand_out(&mut queue, now);
        drop(queue);
        drop(unclaimed);
    }

    /// Returns the grants that nobody took: dropping one takes the lock, so the caller gives that back first.
    fn hand_out(self: &Arc<Self>, queue: &mut Queue, now: Moment) -> Unclaimed {
        // Slots given back before those who wait were counted are seen from here on.
        fence(Ordering::SeqCst);
        let view = self.view.load();
        let policy = &view.workload.policy;
        let stuck = queue.stuck_since.map_or(Duration::ZERO, |since| now.since(since));
        let limit = release_limit(policy.container_concurrency, policy.slots(), stuck);
        let mut unclaimed = Unclaimed::default();
        while let Some(first) = queue.waiters.first_entry() {
            let Terms { passed, asked, .. } = first.get().terms;
            let (slots, limit) = match view.owners.is_empty() {
                _ if asked => (&view.slots, 0),
                true => (&view.slots, limit),
                false => (&view.owners, 0),
            };
            if passed && !view.owners.is_empty() {
                let waiter = first.remove();
                self.left(queue, &waiter, now);
                // The slot that it came for is another proxy's.
                let _ = waiter.answer.send(Err(Refusal::Elsewhere));
                continue;
            }
            let turn = queue.arrivals as usize;
            // What was given without a limit, or at another proxy, isn't for who goes by other terms.
            let spare = if asked { &mut unclaimed.asked } else { &mut unclaimed.own };
            let Some(grant) = spare.take().or_else(|| self.take(slots, limit, now, turn)) else {
                let coming = view.workload.replicas.starting > 0 || view.slots.is_empty();
                queue.stuck_since = if coming { None } else { queue.stuck_since.or(Some(now)) };
                break;
            };
            let waiter = first.remove();
            self.left(queue, &waiter, now);
            if let Err(Ok(grant)) = waiter.answer.send(Ok(grant)) {
                *spare = Some(grant);
            }
        }
        unclaimed
    }

    /// After the picture has changed, and now and then: releases who can go, and tells those who wait for nothing.
    pub(crate) fn settle(self: &Arc<Self>) {
        if self.waiting() == 0 {
            return;
        }
        self.release();
        let now = self.now();
        let view = self.view.load();
        if !view.removed && !view.is_serving() {
            self.dismiss_no_wake();
        }
        let refusal = if view.removed { Some(Refusal::NoRoute) } else { view.known_failure(now) };
        if let Some(refusal) = refusal {
            self.dismiss(&refusal);
        }
    }

    /// Tells everybody who waits why it is in vain.
    pub(crate) fn dismiss(&self, refusal: &Refusal) {
        let now = self.now();
        let mut queue = self.lock();
        while let Some((_, waiter)) = queue.waiters.pop_first() {
            self.left(&mut queue, &waiter, now);
            // Who has left needs no answer.
            let _ = waiter.answer.send(Err(refusal.clone()));
        }
    }

    /// No replica is ready any more: those who wake nothing are answered.
    fn dismiss_no_wake(&self) {
        let now = self.now();
        let mut queue = self.lock();
        if queue.no_wake == 0 {
            return;
        }
        let status = |(arrival, waiter): (&u64, &Waiter)| Some((*arrival, waiter.terms.no_wake?));
        let dismissed: Vec<(u64, u16)> = queue.waiters.iter().filter_map(status).collect();
        for (arrival, status) in dismissed {
            let Some(waiter) = queue.waiters.remove(&arrival) else { continue };
            self.left(&mut queue, &waiter, now);
            // Who has left needs no answer.
            let _ = waiter.answer.send(Err(Refusal::NoWake(status)));
        }
    }
}

#[cfg(test)]
mod tests;
