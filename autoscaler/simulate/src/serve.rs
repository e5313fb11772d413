//! Requests come, run, wait, and end, one way or another.

use std::time::Duration;

use kaos_core::EndpointUid;
use kaos_core::snapshot::Phase;

use crate::event::Event;
use crate::proxy::Request;
use crate::world::{World, micros, millis, secs};

impl World {
    pub(crate) fn arrive(&mut self, at: usize) {
        if !self.lively {
            return;
        }
        let idle = self.setup.policies[at].idle_timeout.fixed().unwrap_or(secs(5));
        let random = &mut self.random;
        let gap = match random.below(100) {
            0..80 => random.spread(micros(500), millis(400)),
            // About when the workload is held.
            80..93 => (idle + random.between(Duration::ZERO, secs(4))).saturating_sub(millis(500)),
            _ => random.spread(secs(2), secs(25)),
        };
        self.queue.put(self.now() + gap, Event::Arrive { at });
        let proxy = self.random.below(self.proxies.len() as u64) as usize;
        if self.open[proxy] {
            self.request(proxy, at);
        }
    }

    /// A request comes to `proxy`.
    pub(crate) fn request(&mut self, proxy: usize, at: usize) {
        self.requests += 1;
        let (request, now) = (self.requests, self.now());
        self.tally.requests += 1;
        if let Some(uid) = self.proxies[proxy].arrive(at, request, now) {
            self.note(|_| format!("p{proxy}: request {request} to w{at} on {uid}"));
            self.begin(proxy, at, request, &uid);
        } else {
            self.note(|world| format!("p{proxy}: request {request} to w{at} waits{}", world.brief(at)));
            self.tally.waited += 1;
            self.wait(proxy, at, request);
            self.fail(proxy, at);
        }
        self.report_soon(proxy);
    }

    pub(crate) fn begin(&mut self, proxy: usize, at: usize, request: Request, uid: &EndpointUid) {
        let process = self.proxies[proxy].epoch;
        let gone =
            !matches!(self.platform.objects()[at].replicas.get(uid), Some(Phase::Ready | Phase::Terminating));
        if gone {
            self.queue.put(self.now() + millis(1), Event::Refused { proxy, process, at, request });
            return;
        }
        let random = &mut self.random;
        let work = match random.below(10) {
            0..6 => random.spread(millis(1), millis(200)),
            6..9 => random.spread(millis(100), secs(3)),
            _ => random.spread(secs(1), secs(12)),
        };
        self.queue.put(self.now() + work, Event::Finish { proxy, process, at, request });
    }

    pub(crate) fn wait(&mut self, proxy: usize, at: usize, request: Request) {
        let process = self.proxies[proxy].epoch;
        let deadline = self.now() + self.setup.policies[at].queue_timeout;
        self.queue.put(deadline, Event::Deadline { proxy, process, at, request });
    }

    pub(crate) fn release(&mut self, proxy: usize, at: usize) {
        let now = self.now();
        for (request, uid) in self.proxies[proxy].release(at, now) {
            self.note(|_| format!("p{proxy}: request {request} to w{at} released to {uid}"));
            self.begin(proxy, at, request, &uid);
        }
    }

    /// All who wait for a workload that can't start are told so; from the moment on at which another start may be tried,
    /// they wait for it.
    pub(crate) fn fail(&mut self, proxy: usize, at: usize) {
        let now = self.now();
        let failure = self.proxies[proxy].shown.workloads[at].failure.as_ref();
        if !failure.is_some_and(|failure| failure.known && failure.retry_at > now) {
            return;
        }
        for request in self.proxies[proxy].posts[at].queue.clone() {
            if self.proxies[proxy].give_up(at, request, now) {
                self.tally.failed += 1;
            }
        }
    }
}
