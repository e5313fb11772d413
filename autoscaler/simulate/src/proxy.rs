//! A model of a proxy: the live rules of admission (`pick`, `release_limit`, `Lease`, `Sums`) around queues of requests
//! that are only numbers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kaos_core::lease::Lease;
use kaos_core::pick::{pick, release_limit};
use kaos_core::report::{EndpointLoad, HoldAnswer, REPORT_VERSION};
use kaos_core::snapshot::{Hold, Phase, Targets, Workload};
use kaos_core::{EndpointUid, HoldId, Moment, ProxyId, Reading, Report, Snapshot, Sums};

/// A request, as a number.
pub type Request = u64;

/// One proxy process.
#[derive(Debug)]
pub struct Proxy {
    /// Its name.
    pub id: ProxyId,
    /// Its process.
    pub epoch: u64,
    /// When the process began: zero of its clock.
    pub born: Moment,
    /// What it sees.
    pub shown: Arc<Snapshot>,
    /// One post per workload.
    pub posts: Vec<Post>,
    /// The next report tells everything.
    pub everything: bool,
    sequence: u64,
}

/// One workload in one proxy.
#[derive(Debug, Default)]
pub struct Post {
    /// Requests that wait, first come first.
    pub queue: VecDeque<Request>,
    /// Requests in flight, each with its replica.
    pub running: BTreeMap<Request, EndpointUid>,
    /// The last request's beginning or end.
    pub active: Option<Moment>,
    /// The hold that is shown, and when this process first saw it.
    pub hold_seen: Option<(HoldId, Moment)>,
    /// When a request last began or ended on a replica.
    pub worked: Option<Moment>,
    /// Obeys a hold for as long as it is shown: a broken rule.
    pub stubborn: bool,
    lease: Lease,
    ran: Sums,
    waited: Sums,
    /// Replicas that refused a connection, since the last picture.
    refused: BTreeSet<EndpointUid>,
    stuck_since: Option<Moment>,
    turn: usize,
    changed: bool,
    answered: Option<HoldAnswer>,
}

impl Proxy {
    /// A process that begins at `now` and sees `shown`.
    pub fn new(id: ProxyId, epoch: u64, shown: Arc<Snapshot>, stubborn: bool, now: Moment) -> Self {
        let post = |_| Post { stubborn, ..Post::default() };
        let posts = shown.workloads.iter().map(post).collect();
        let mut proxy = Proxy { id, epoch, born: now, shown, posts, everything: true, sequence: 0 };
        for at in 0..proxy.posts.len() {
            proxy.obey(at, now);
        }
        proxy
    }

    fn micros(&self, now: Moment) -> u64 {
        now.since(self.born).as_micros() as u64
    }

    fn workload(&self, at: usize) -> Arc<Workload> {
        self.shown.workloads[at].clone()
    }

    /// A request comes. Returns the replica that takes it, or `None`: it waits.
    pub fn arrive(&mut self, at: usize, request: Request, now: Moment) -> Option<EndpointUid> {
        let micros = self.micros(now);
        let workload = self.workload(at);
        let post = &mut self.posts[at];
        post.active = Some(now);
        post.changed = true;
        if post.queue.is_empty()
            && let Some(uid) = post.choose(&workload, workload.policy.container_concurrency, now)
        {
            post.begin(request, uid.clone(), micros, now);
            return Some(uid);
        }
        post.waited.start(micros);
        post.queue.push_back(request);
        post.stuck_since.get_or_insert(now);
        None
    }

    /// Gives free slots to those who wait, first come first.
    pub fn release(&mut self, at: usize, now: Moment) -> Vec<(Request, EndpointUid)> {
        let micros = self.micros(now);
        let workload = self.workload(at);
        let policy = &workload.policy;
        let post = &mut self.posts[at];
        let mut released = Vec::new();
        while let Some(request) = post.queue.front().copied() {
            let coming = workload.replicas.desired > workload.replicas.ready;
            let stuck = post.stuck_since.filter(|_| !coming).map_or(Duration::ZERO, |since| now.since(since));
            let limit = release_limit(policy.container_concurrency, policy.slots(), stuck);
            let Some(uid) = post.choose(&workload, limit, now) else { break };
            post.queue.pop_front();
            post.waited.finish(micros);
            post.begin(request, uid.clone(), micros, now);
            post.stuck_since = (!post.queue.is_empty()).then_some(now);
            released.push((request, uid));
        }
        released
    }

    /// A request that waits gets another answer: too late, or starts fail.
    pub fn give_up(&mut self, at: usize, request: Request, now: Moment) -> bool {
        let micros = self.micros(now);
        let post = &mut self.posts[at];
        let before = post.queue.len();
        post.queue.retain(|waiting| *waiting != request);
        let gone = post.queue.len() < before;
        if gone {
            post.waited.finish(micros);
            post.active = Some(now);
            post.changed = true;
        }
        if post.queue.is_empty() {
            post.stuck_since = None;
        }
        gone
    }

    /// A request ends. Returns whether it ran here.
    pub fn finish(&mut self, at: usize, request: Request, now: Moment) -> bool {
        let micros = self.micros(now);
        let post = &mut self.posts[at];
        let ran = post.running.remove(&request).is_some();
        if ran {
            post.ran.finish(micros);
            (post.active, post.worked) = (Some(now), Some(now));
            post.changed = true;
        }
        ran
    }

    /// A replica refused the connection: the request goes back to the head of the queue.
    pub fn refuse(&mut self, at: usize, request: Request, now: Moment) {
        let micros = self.micros(now);
        let post = &mut self.posts[at];
        if let Some(uid) = post.running.remove(&request) {
            post.ran.finish(micros);
            post.refused.insert(uid);
            post.waited.start(micros);
            post.queue.push_front(request);
            post.stuck_since.get_or_insert(now);
            post.changed = true;
        }
    }

    /// Takes a picture.
    pub fn saw(&mut self, shown: Arc<Snapshot>, now: Moment) {
        self.shown = shown;
        for at in 0..self.posts.len() {
            self.posts[at].refused.clear();
            self.obey(at, now);
        }
    }

    fn obey(&mut self, at: usize, now: Moment) {
        let workload = self.workload(at);
        let post = &mut self.posts[at];
        let shown = workload.hold.as_ref().map(|hold| &hold.id);
        if post.hold_seen.as_ref().map(|(id, _)| id) != shown {
            post.hold_seen = shown.map(|id| (id.clone(), now));
        }
        post.lease.saw(workload.hold.as_ref(), now);
    }

    /// What is answered to the hold that is shown.
    fn answer(&self, at: usize, now: Moment) -> Option<HoldAnswer> {
        let workload = &self.shown.workloads[at];
        let post = &self.posts[at];
        let targets = workload.hold.as_ref().map(|hold| &hold.targets)?;
        let busy = |uid: &EndpointUid| post.running.values().any(|on| on == uid);
        let empty: Vec<EndpointUid> = match targets {
            Targets::All => Vec::new(),
            Targets::Endpoints(uids) => uids.iter().filter(|uid| !busy(uid)).cloned().collect(),
        };
        let all = match targets {
            Targets::All => post.running.is_empty(),
            Targets::Endpoints(uids) => empty.len() == uids.len(),
        };
        let (id, state) = post.lease.answer(now, all)?;
        Some(HoldAnswer { id, state, empty })
    }

    /// Whether the answer to a hold is another one than was reported.
    pub fn has_answer(&self, now: Moment) -> bool {
        (0..self.posts.len()).any(|at| self.answer(at, now) != self.posts[at].answered)
    }

    /// Reports what changed, or everything.
    pub fn report(&mut self, now: Moment) -> Report {
        let full = std::mem::take(&mut self.everything);
        self.sequence += 1;
        let mut workloads = Vec::new();
        for at in 0..self.posts.len() {
            let answer = self.answer(at, now);
            let workload = &self.shown.workloads[at];
            let (id, seen) = (workload.id.clone(), workload.version);
            let post = &mut self.posts[at];
            if !full && !post.changed && answer == post.answered {
                continue;
            }
            post.changed = false;
            post.answered.clone_from(&answer);
            let last_activity = post.active.map(|at| at.since(self.born).as_micros() as u64);
            let endpoints = post.loads();
            let (running, waiting) = (post.ran, post.waited);
            let presumed = false;
            workloads.push((
                id,
                Reading { running, waiting, presumed, last_activity, hold: answer, endpoints, seen },
            ));
        }
        Report {
            version: REPORT_VERSION,
            proxy: self.id.clone(),
            epoch: self.epoch,
            sequence: self.sequence,
            at: self.micros(now),
            full,
            workloads,
        }
    }

    /// A hold that is obeyed for longer than its lease, if there is one.
    pub fn overstays(&self, now: Moment) -> Option<String> {
        self.posts.iter().zip(self.shown.workloads.iter()).find_map(|(post, workload)| {
            let obeyed = post.obeyed(workload, now)?;
            let (id, since) = post.hold_seen.as_ref()?;
            let over = obeyed.id == *id && now.since(*since) >= kaos_core::lease::LONGEST;
            over.then(|| format!("{} obeys {id} since {} s", self.id, now.since(*since).as_secs_f64()))
        })
    }
}

impl Post {
    fn choose(&mut self, workload: &Workload, limit: u32, now: Moment) -> Option<EndpointUid> {
        let held = self.obeyed(workload, now).map(|hold| &hold.targets);
        let load = |at: usize| {
            let endpoint = &workload.endpoints[at];
            let usable = endpoint.phase == Phase::Ready
                && !held.is_some_and(|targets| targets.cover(&endpoint.uid))
                && !self.refused.contains(&endpoint.uid);
            usable.then(|| self.running.values().filter(|uid| **uid == endpoint.uid).count() as u32)
        };
        let chosen = pick(workload.endpoints.len(), limit, self.turn, load)?;
        self.turn = self.turn.wrapping_add(1);
        Some(workload.endpoints[chosen].uid.clone())
    }

    /// The hold that is obeyed.
    fn obeyed<'a>(&'a self, workload: &'a Workload, now: Moment) -> Option<&'a Hold> {
        if self.stubborn { workload.hold.as_ref() } else { self.lease.obeyed(now) }
    }

    fn begin(&mut self, request: Request, uid: EndpointUid, micros: u64, now: Moment) {
        self.worked = Some(now);
        self.ran.start(micros);
        self.running.insert(request, uid);
        self.changed = true;
    }

    fn loads(&self) -> Vec<EndpointLoad> {
        let mut loads: BTreeMap<&EndpointUid, u32> = BTreeMap::new();
        for uid in self.running.values() {
            *loads.entry(uid).or_default() += 1;
        }
        loads.into_iter().map(|(uid, in_flight)| EndpointLoad { uid: uid.clone(), in_flight }).collect()
    }
}
