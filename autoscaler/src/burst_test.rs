//! Eighty requests at once for a workload at zero, ten for a replica: how soon eight are wanted, and by how many writes,
//! with a leader and a follower that hear of them at different moments.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::platform::{Expected, Refusal};
use kaos_core::report::REPORT_VERSION;
use kaos_core::{Moment, Policy, ProxyId, Reading, Report, Snapshot, Workload, WorkloadId};

use crate::line::{Line, Settings};
use crate::{Action, Journal};

/// Pictures come at this pace, as the cluster's watch makes them.
const PACE: u64 = 20;

/// After a wake, milliseconds before the next raise.
const GATHER: Duration = Duration::from_millis(15);

/// What comes to an autoscaler.
enum News {
    /// So many requests wait.
    Waiting(u64),
    Picture(Arc<Workload>),
    Answer(Action, Result<u64, Refusal>),
    /// What it has asked for comes to the API server.
    Arrival(Action),
}

/// Two autoscalers, the first of which leads, and the cluster between them. Times are in milliseconds.
struct Scene {
    lines: Vec<Line>,
    object: Workload,
    /// What comes to whom and when.
    news: Vec<(u64, usize, News)>,
    /// What was written and when.
    writes: Vec<(u64, u32)>,
    sequence: u64,
    now: u64,
    /// From an autoscaler to the API server, and back.
    way: u64,
}

impl Scene {
    fn new(way: u64) -> Self {
        let knobs = [("target", "10"), ("idle-timeout", "1h")];
        let mut object =
            Workload::new(WorkloadId::new("shop", "cart"), Policy::default().with(knobs).unwrap());
        object.version = 1;
        let line = |place: usize| {
            let settings =
                Settings { id: format!("a{place}"), max_starting: 20, earn_sleep: true, gather: GATHER };
            let mut line = Line::new(settings, Arc::new(Journal::default()));
            line.lead(place == 0);
            line
        };
        let mut scene = Scene {
            lines: vec![line(0), line(1)],
            object,
            news: Vec::new(),
            writes: Vec::new(),
            sequence: 0,
            now: 0,
            way,
        };
        for place in 0..2 {
            scene.come(place, News::Picture(Arc::new(scene.object.clone())));
            scene.come(place, News::Waiting(0));
        }
        scene
    }

    fn moment(&self) -> Moment {
        Moment::from_secs(1000) + Duration::from_millis(self.now)
    }

    fn come(&mut self, place: usize, news: News) {
        let now = self.moment();
        let line = &mut self.lines[place];
        match news {
            News::Arrival(action) => self.serve(place, action),
            News::Picture(workload) => {
                let (version, workloads) = (workload.version, Arc::from([workload]));
                line.saw(&Snapshot { version, workloads, ..Snapshot::default() }, now);
            }
            News::Answer(action, result) => line.done(&action, &result, now),
            News::Waiting(count) => {
                let mut reading = Reading::default();
                (0..count).for_each(|_| reading.waiting.start(now.micros()));
                self.sequence += 1;
                let report = Report {
                    version: REPORT_VERSION,
                    proxy: ProxyId::new("p"),
                    epoch: 1,
                    sequence: self.sequence,
                    at: now.micros(),
                    full: true,
                    workloads: vec![(self.object.id.clone(), reading)],
                };
                line.heard(&report, now);
            }
        }
    }

    /// The API server writes by the precondition. A refusal is looked into first, which takes another round.
    fn serve(&mut self, place: usize, action: Action) {
        let Action::Scale { scale, .. } = &action else { panic!("{action:?}") };
        let found = self.object.replicas.desired;
        if scale.expected != Expected::Replicas(found) {
            let result = if found == scale.to { Ok(self.object.version) } else { Err(Refusal::Conflict) };
            self.news.push((self.now + 3 * self.way, place, News::Answer(action, result)));
            return;
        }
        self.object.version += 1;
        self.object.replicas.desired = scale.to;
        self.writes.push((self.now, scale.to));
        for place in 0..2 {
            let shown = self.now.next_multiple_of(PACE);
            self.news.push((shown, place, News::Picture(Arc::new(self.object.clone()))));
        }
        let version = self.object.version;
        self.news.push((self.now + self.way, place, News::Answer(action, Ok(version))));
    }

    /// Lets 100 ms pass, with `heard` of those who wait: when, by whom, how many.
    fn play(&mut self, heard: &[(u64, usize, u64)]) {
        self.news.extend(heard.iter().map(|(at, place, count)| (*at, *place, News::Waiting(*count))));
        while self.now < 100 {
            let all = std::mem::take(&mut self.news);
            let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|(at, ..)| *at <= self.now);
            self.news = later;
            due.into_iter().for_each(|(_, place, news)| self.come(place, news));
            let now = self.moment();
            for place in 0..2 {
                for action in self.lines[place].turn(now) {
                    self.news.push((self.now + self.way, place, News::Arrival(action)));
                }
            }
            self.now += 1;
        }
    }
}

/// Eight are wanted within 50 ms of the last of the requests, by two writes at most.
#[test]
fn eight_are_wanted_at_once_whoever_hears_what_first() {
    for way in [1, 2, 4] {
        for (name, heard) in [
            ("both hear all", &[(0, 0, 80), (0, 1, 80)][..]),
            ("both hear one first", &[(0, 0, 1), (0, 1, 1), (10, 0, 80), (10, 1, 80)]),
            ("the follower hears one, the leader all", &[(0, 1, 1), (1, 0, 80), (10, 1, 80)]),
            ("the follower is first by its way", &[(0, 1, 1), (way, 0, 80), (way, 1, 80)]),
            ("the leader hears late", &[(0, 1, 1), (10, 1, 80), (19, 0, 80)]),
            ("the follower hears all first", &[(0, 1, 80), (5, 0, 80)]),
            (
                "they come bit by bit",
                &[(0, 0, 1), (2, 0, 12), (4, 0, 30), (7, 0, 55), (10, 0, 72), (12, 0, 80)],
            ),
        ] {
            let mut scene = Scene::new(way);
            scene.play(heard);
            let last = heard.iter().map(|(at, ..)| *at).max().unwrap();
            let writes = &scene.writes;
            assert!(writes.len() <= 2, "{name}, {way} ms: {writes:?}");
            let eight = writes.iter().find(|(_, to)| *to == 8).map(|(at, _)| *at);
            assert!(eight.is_some_and(|at| at <= last + 50), "{name}, {way} ms: {writes:?}");
        }
    }
}
