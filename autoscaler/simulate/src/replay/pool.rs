//! The replicas of one function, and its requests: what a platform and a proxy that never fail would do.
//!
//! A replica is ready a fixed time after it was asked for. Requests go to replicas, wait and are released by the rules of
//! admission; when the count goes down, replicas finish what they have. Times are microseconds since the trace's beginning.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use kaos_core::Policy;
use kaos_core::pick::{pick, release_limit};

use super::figures::Figures;
use crate::trace::Request;

/// Never.
pub(crate) const NEVER: u64 = u64::MAX;
const SECOND: u64 = 1_000_000;

/// What a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Takes requests. Ready since then.
    Ready(u64),
    /// Takes none, and may take some again. Ready since then.
    Held(u64),
    /// Takes none, and goes when it has none.
    Leaving,
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Replica {
    in_flight: u32,
    state: State,
}

/// The replicas of one function, and its requests.
#[derive(Debug)]
pub(crate) struct Pool {
    policy: Policy,
    /// From asked for to ready.
    start: u64,
    now: u64,
    /// The count that was asked for.
    desired: u32,
    /// When those that start will be ready: in order, as all take as long.
    starting: VecDeque<u64>,
    replicas: Vec<Replica>,
    /// Places in `replicas` of those that are gone.
    gone: Vec<u32>,
    ready: u32,
    held: u32,
    leaving: u32,
    running: u64,
    waiting: VecDeque<Request>,
    /// When the oldest of those that wait has begun to wait for a slot, with no replica on its way.
    stuck: Option<u64>,
    /// When requests end, and on which replica.
    ends: BinaryHeap<Reverse<(u64, u32)>>,
    turn: usize,
    last_activity: Option<u64>,
    ready_since: u64,
    /// Request-microseconds that ran, and that waited; requests that began to run.
    ran: u64,
    waited: u64,
    begun: u64,
    pub(crate) figures: Figures,
}

impl Pool {
    /// No replica. Each takes `start` microseconds to be ready.
    pub(crate) fn new(policy: Policy, start: u64) -> Self {
        Pool {
            policy,
            start,
            now: 0,
            desired: 0,
            starting: VecDeque::new(),
            replicas: Vec::new(),
            gone: Vec::new(),
            ready: 0,
            held: 0,
            leaving: 0,
            running: 0,
            waiting: VecDeque::new(),
            stuck: None,
            ends: BinaryHeap::new(),
            turn: 0,
            last_activity: None,
            ready_since: 0,
            ran: 0,
            waited: 0,
            begun: 0,
            figures: Figures::default(),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(crate) fn desired(&self) -> u32 {
        self.desired
    }

    /// Replicas that are ready, those that are held included.
    pub(crate) fn ready(&self) -> u32 {
        self.ready + self.held
    }

    pub(crate) fn starting(&self) -> u32 {
        self.starting.len() as u32
    }

    pub(crate) fn running(&self) -> u64 {
        self.running
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// The end of the last request.
    pub(crate) fn last_activity(&self) -> Option<u64> {
        self.last_activity
    }

    /// When a replica last became ready.
    pub(crate) fn ready_since(&self) -> u64 {
        self.ready_since
    }

    /// Request-microseconds that ran so far, and those that waited.
    pub(crate) fn areas(&self) -> (u64, u64) {
        (self.ran, self.waited)
    }

    /// Requests that have begun to run.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// Whether nothing is left to be done.
    pub(crate) fn is_done(&self) -> bool {
        self.running == 0 && self.waiting.is_empty()
    }

    /// When something happens by itself.
    pub(crate) fn next(&self) -> u64 {
        let end = self.ends.peek().map_or(NEVER, |Reverse((at, _))| *at);
        let ready = self.starting.front().copied().unwrap_or(NEVER);
        // One that is stuck is let in with more each whole second.
        let more = self.stuck.map_or(NEVER, |since| since + ((self.now - since) / SECOND + 1) * SECOND);
        end.min(ready).min(more)
    }

    /// Goes on to `to`, up to which nothing happens.
    pub(crate) fn advance(&mut self, to: u64) {
        let span = to - self.now;
        self.now = to;
        // Ten thousand years of a million requests are no reason to stop.
        let add = |sum: &mut u64, count: u64| *sum = sum.saturating_add(span.saturating_mul(count));
        add(&mut self.ran, self.running);
        add(&mut self.waited, self.waiting.len() as u64);
        let serving = u64::from(self.ready + self.held + self.leaving);
        let busy = self.running.div_ceil(u64::from(self.policy.slots())).min(serving);
        add(&mut self.figures.busy, busy);
        add(&mut self.figures.replicas, serving + self.starting.len() as u64);
    }

    /// What happens now. Returns whether a replica became ready, or one that is held empty.
    pub(crate) fn happen(&mut self) -> bool {
        let mut news = false;
        while let Some(Reverse((_, replica))) =
            self.ends.peek().copied().filter(|Reverse((at, _))| *at <= self.now)
        {
            self.ends.pop();
            news |= self.finish(replica as usize);
        }
        while self.starting.front().is_some_and(|ready| *ready <= self.now) {
            self.starting.pop_front();
            self.ripen();
            news = true;
        }
        if !self.waiting.is_empty() {
            self.release();
        }
        news
    }

    fn finish(&mut self, at: usize) -> bool {
        self.running -= 1;
        self.last_activity = Some(self.now);
        let Some(replica) = self.replicas.get_mut(at) else { return false };
        replica.in_flight -= 1;
        match replica.state {
            _ if replica.in_flight > 0 => false,
            State::Held(_) => true,
            State::Leaving => {
                self.leaving -= 1;
                self.go(at);
                false
            }
            State::Ready(_) | State::Gone => false,
        }
    }

    fn go(&mut self, at: usize) {
        self.replicas[at].state = State::Gone;
        self.gone.push(at as u32);
    }

    fn ripen(&mut self) {
        let fresh = Replica { in_flight: 0, state: State::Ready(self.now) };
        match self.gone.pop() {
            Some(at) => self.replicas[at as usize] = fresh,
            None => self.replicas.push(fresh),
        }
        self.ready += 1;
        self.ready_since = self.now;
    }

    /// A request comes. Returns whether it waits.
    pub(crate) fn arrive(&mut self, request: Request) -> bool {
        self.figures.requests += 1;
        self.turn += 1;
        let free = if self.waiting.is_empty() { self.pick(self.policy.container_concurrency) } else { None };
        match free {
            Some(at) => self.begin(at, request),
            None => {
                self.waiting.push_back(request);
                self.note_stuck();
            }
        }
        free.is_none()
    }

    fn pick(&self, limit: u32) -> Option<usize> {
        let load = |at: usize| {
            let replica = self.replicas.get(at)?;
            matches!(replica.state, State::Ready(_)).then_some(replica.in_flight)
        };
        pick(self.replicas.len(), limit, self.turn, load)
    }

    fn begin(&mut self, at: usize, request: Request) {
        self.replicas[at].in_flight += 1;
        self.running += 1;
        self.begun += 1;
        self.ends.push(Reverse((self.now.saturating_add(request.takes), at as u32)));
    }

    fn note_stuck(&mut self) {
        let is_stuck = !self.waiting.is_empty() && self.starting.is_empty() && self.ready > 0;
        self.stuck = if is_stuck { self.stuck.or(Some(self.now)) } else { None };
    }

    fn release(&mut self) {
        while let Some(first) = self.waiting.front().copied() {
            let stuck = Duration::from_micros(self.stuck.map_or(0, |since| self.now - since));
            let limit = release_limit(self.policy.container_concurrency, self.policy.slots(), stuck);
            let Some(at) = self.pick(limit) else { break };
            self.waiting.pop_front();
            self.turn += 1;
            let State::Ready(since) = self.replicas[at].state else { break };
            self.figures.waits.push(self.now - first.at);
            self.figures.cold_requests += u64::from(since >= first.at);
            self.begin(at, first);
        }
        self.note_stuck();
    }

    /// Asks for more: `to` in all.
    pub(crate) fn raise(&mut self, to: u32) {
        let more = to.saturating_sub(self.desired);
        self.starting.extend((0..more).map(|_| self.now + self.start));
        self.figures.starts += u64::from(more);
        self.desired = to.max(self.desired);
        self.note_stuck();
    }

    /// Asks for fewer, as a platform takes them: those that start first, then the youngest, which finish what they have.
    pub(crate) fn lower(&mut self, to: u32) {
        let mut fewer = self.desired.saturating_sub(to);
        self.desired = to.min(self.desired);
        while fewer > 0 && self.starting.pop_back().is_some() {
            fewer -= 1;
        }
        let mut ready: Vec<_> = self.those_ready().map(|(at, since, _)| (since, at)).collect();
        ready.sort_unstable();
        for (_, at) in ready.into_iter().rev().take(fewer as usize) {
            self.ready -= 1;
            if self.replicas[at].in_flight == 0 {
                self.go(at);
            } else {
                self.replicas[at].state = State::Leaving;
                self.leaving += 1;
            }
        }
    }

    /// The place of each replica that takes requests, since when it is ready, and its requests.
    fn those_ready(&self) -> impl Iterator<Item = (usize, u64, u32)> {
        self.replicas.iter().enumerate().filter_map(|(at, replica)| match replica.state {
            State::Ready(since) => Some((at, since, replica.in_flight)),
            State::Held(_) | State::Leaving | State::Gone => None,
        })
    }

    /// Holds the `count` replicas that have least in flight: they take no more requests.
    pub(crate) fn hold(&mut self, count: u32) {
        let mut ready: Vec<_> =
            self.those_ready().map(|(at, since, in_flight)| (in_flight, at, since)).collect();
        ready.sort_unstable();
        for (_, at, since) in ready.into_iter().take(count as usize) {
            self.replicas[at].state = State::Held(since);
            self.ready -= 1;
            self.held += 1;
        }
    }

    /// Whether all that are held are empty.
    pub(crate) fn is_hold_empty(&self) -> bool {
        self.replicas.iter().all(|replica| !matches!(replica.state, State::Held(_)) || replica.in_flight == 0)
    }

    /// Ends the hold. `go`: those that are empty go, and aren't asked for any more; how many. The others take requests again.
    pub(crate) fn unhold(&mut self, go: bool) -> u32 {
        let mut went = 0;
        for at in 0..self.replicas.len() {
            let State::Held(since) = self.replicas[at].state else { continue };
            self.held -= 1;
            if go && self.replicas[at].in_flight == 0 {
                self.go(at);
                went += 1;
            } else {
                self.replicas[at].state = State::Ready(since);
                self.ready += 1;
            }
        }
        self.desired -= went;
        self.release();
        went
    }
}
