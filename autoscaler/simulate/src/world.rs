//! The world of one schedule: proxies, autoscalers and a platform, joined by messages that take time and get lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use kaos_autoscaler::Action;
use kaos_core::platform::Refusal;
use kaos_core::snapshot::Phase;
use kaos_core::{EndpointUid, Moment, ProxyId};

use crate::event::{Event, Watcher};
use crate::platform::{Moved, Platform};
use crate::proxy::{Proxy, Request};
use crate::queue::Queue;
use crate::random::Random;
use crate::sabotage::Sabotage;
use crate::scaler::Scaler;
use crate::setup::Setup;
use crate::tally::Tally;

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A write on its way.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) scaler: usize,
    pub(crate) process: u64,
    pub(crate) action: Action,
    pub(crate) result: Option<Result<u64, Refusal>>,
}

/// One schedule under way.
#[derive(Debug)]
pub struct World {
    pub(crate) setup: Setup,
    pub(crate) random: Random,
    pub(crate) queue: Queue<Event>,
    pub(crate) platform: Platform,
    pub(crate) proxies: Vec<Proxy>,
    /// Which of them take traffic.
    pub(crate) open: Vec<bool>,
    pub(crate) scalers: Vec<Scaler>,
    pub(crate) sent: BTreeMap<u64, Sent>,
    pub(crate) processes: u64,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) tally: Tally,
    pub(crate) violation: Option<String>,
    pub(crate) outage_until: Moment,
    /// Requests still come and things still go wrong.
    pub(crate) lively: bool,
    pub(crate) last_shown: BTreeMap<Watcher, Moment>,
    /// When writes were sent lately, per workload.
    pub(crate) recent: Vec<VecDeque<Moment>>,
    /// The count went down under the hold in force, per workload.
    pub(crate) lowered: Vec<bool>,
    pub(crate) requests: Request,
    pub(crate) writes: u64,
    timeline: Option<Vec<String>>,
}

impl World {
    /// The schedule of `seed`, at its beginning. With `told` it keeps a timeline.
    pub fn new(seed: u64, sabotage: Option<Sabotage>, told: bool) -> Self {
        let mut random = Random::new(seed);
        let mut setup = Setup::draw(&mut random);
        if sabotage == Some(Sabotage::LateWrites) {
            // Without an outage no write is late.
            setup.faults.outages = 3;
        }
        let mut platform = Platform::new(&setup.policies, setup.phases_count);
        let picture = platform.picture();
        let mut world = World {
            random,
            queue: Queue::default(),
            proxies: Vec::new(),
            open: vec![true; setup.proxies],
            scalers: (0..setup.autoscalers).map(|at| Scaler::new(at, 0, setup.max_starting)).collect(),
            sent: BTreeMap::new(),
            processes: 0,
            sabotage,
            tally: Tally::default(),
            violation: None,
            outage_until: Moment::ZERO,
            lively: true,
            last_shown: BTreeMap::new(),
            recent: vec![VecDeque::new(); setup.policies.len()],
            lowered: vec![true; setup.policies.len()],
            requests: 0,
            writes: 0,
            timeline: told.then(Vec::new),
            platform,
            setup,
        };
        world.note(|world| format!("{:#?}", world.setup));
        for at in 0..world.setup.proxies {
            let process = world.process();
            let id = ProxyId::new(&format!("p{at}"));
            world.proxies.push(Proxy::new(
                id,
                process,
                picture.clone(),
                sabotage == Some(Sabotage::LeaseForever),
                Moment::ZERO,
            ));
            world.queue.put(Moment::ZERO, Event::Tick { proxy: at, process });
        }
        for scaler in 0..world.scalers.len() {
            world.begin_scaler(scaler, scaler == 0);
        }
        for at in 0..world.setup.policies.len() {
            world.queue.put(Moment::ZERO + millis(200), Event::Arrive { at });
        }
        world.plan_troubles();
        world
    }

    pub(crate) fn process(&mut self) -> u64 {
        self.processes += 1;
        self.processes
    }

    pub(crate) fn now(&self) -> Moment {
        self.queue.now()
    }

    /// Writes a line of the timeline, if there is one.
    pub(crate) fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if let Some(mut timeline) = self.timeline.take() {
            timeline.push(format!("{:>12.6} {}", self.now().micros() as f64 / 1e6, line(self)));
            self.timeline = Some(timeline);
        }
    }

    /// The timeline so far.
    pub fn timeline(&self) -> &[String] {
        self.timeline.as_deref().unwrap_or_default()
    }

    /// Handles events until `end`, or until a rule is broken.
    pub(crate) fn until(&mut self, end: Moment) {
        while self.violation.is_none() {
            let Some(event) = self.queue.take(end) else { return };
            self.tally.events += 1;
            self.happen(event);
            self.check_always();
        }
    }

    pub(crate) fn lives(&self, proxy: usize, process: u64) -> bool {
        self.proxies[proxy].epoch == process
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { at } => self.arrive(at),
            Event::Finish { proxy, process, at, request } if self.lives(proxy, process) => {
                let now = self.now();
                if self.proxies[proxy].finish(at, request, now) {
                    self.tally.served += 1;
                    self.release(proxy, at);
                    self.report_soon(proxy);
                }
            }
            Event::Refused { proxy, process, at, request } if self.lives(proxy, process) => {
                let now = self.now();
                self.proxies[proxy].refuse(at, request, now);
                self.wait(proxy, at, request);
                self.release(proxy, at);
            }
            Event::Deadline { proxy, process, at, request } if self.lives(proxy, process) => {
                let now = self.now();
                if self.proxies[proxy].give_up(at, request, now) {
                    self.tally.late += 1;
                    self.note(|world| {
                        format!("p{proxy}: request {request} to w{at} waited too long{}", world.brief(at))
                    });
                    self.check_late(at);
                }
            }
            Event::Tick { proxy, process } if self.lives(proxy, process) => self.tick(proxy),
            Event::Report { proxy, process } if self.lives(proxy, process) => self.report(proxy),
            Event::Heard { scaler, process, report } if self.runs(scaler, process) => {
                self.heard(scaler, &report);
            }
            Event::Shown { watcher, process, picture } => self.shown(watcher, process, picture),
            Event::Turn { scaler, process }
                if self.runs(scaler, process) && self.scalers[scaler].due <= self.now() =>
            {
                self.turn(scaler);
            }
            Event::Apply { write, action } => self.apply(write, &action),
            Event::Answer { write } => self.answer(write),
            Event::Started { at, uid, well } => self.started(at, &uid, well),
            Event::Fill { at } => {
                let begun = self.platform.fill(at, self.queue.now());
                self.moved(at, Moved { begun, taken: Vec::new() });
            }
            Event::Stopped { at, uid } => {
                self.platform.stopped(at, &uid);
                self.show();
            }
            Event::Lead { scaler, process, leading } if self.runs(scaler, process) => {
                self.scalers[scaler].leading = leading;
                self.scalers[scaler].line.lead(leading);
                self.note(|_| format!("a{scaler}: leads: {leading}"));
                self.turn(scaler);
            }
            Event::Listed { scaler, process } if self.runs(scaler, process) => {
                let proxies: BTreeSet<ProxyId> = self.proxies.iter().map(|proxy| proxy.id.clone()).collect();
                self.scalers[scaler].line.proxies(&proxies);
                self.turn(scaler);
            }
            Event::Open { proxy, process } if self.lives(proxy, process) => self.open[proxy] = true,
            Event::Trouble(trouble) => self.trouble(trouble),
            // It happens to a process that is gone.
            _ => {}
        }
    }

    pub(crate) fn runs(&self, scaler: usize, process: u64) -> bool {
        self.scalers[scaler].up && self.scalers[scaler].incarnation == process
    }

    /// Requests in flight for a workload, or on one of its replicas, over all proxies.
    pub(crate) fn in_flight(&self, at: usize, on: Option<&EndpointUid>) -> usize {
        let posts = self.proxies.iter().map(|proxy| &proxy.posts[at]);
        posts.map(|post| post.running.values().filter(|uid| on.is_none_or(|on| on == *uid)).count()).sum()
    }

    /// The state of a workload, for the timeline.
    pub(crate) fn brief(&self, at: usize) -> String {
        let object = &self.platform.objects()[at];
        let waiting: usize = self.proxies.iter().map(|proxy| proxy.posts[at].queue.len()).sum();
        format!(
            "   [w{at}: desired {}, ready {}, in flight {}, waiting {waiting}, hold {:?}]",
            object.desired,
            object.count(Phase::Ready),
            self.in_flight(at, None),
            object.hold.as_ref().map(|hold| hold.id.as_str()),
        )
    }
}
