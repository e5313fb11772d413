//! The control line of one autoscaler, without I/O: snapshots and reports in, writes out.
//!
//! It is told what happened and at what time, and asked what to do. The live loop and the simulator drive this same
//! struct. Only what has news or is due is looked at. At most one write per workload is in flight, but for a wake, which waits
//! for no release.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use kaos_core::budget::Budget;
use kaos_core::form::{Kept, Unreadable};
use kaos_core::snapshot::{Replicas, Snapshot};
use kaos_core::{Moment, ProxyId, Report, WorkloadId};

use crate::collect::{Collect, Hearing, Use};
use crate::journal::Journal;
use crate::track::Track;
use company::Companies;

mod company;
mod turn;

/// How one control line differs from another.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names this process and no other: holds are told apart by it. Another after each restart.
    pub id: String,
    /// Most replicas that start at once, over all workloads.
    pub max_starting: u32,
    /// Whether a workload sleeps only after a request has reached it.
    pub earn_sleep: bool,
    /// After a wake the count isn't raised again for so long: the requests of a burst come over some milliseconds, and where a
    /// write takes as long, each count on the way up delays the last one.
    pub gather: Duration,
}

/// One autoscaler.
#[derive(Debug)]
pub struct Line {
    settings: Settings,
    leading: bool,
    collect: Collect,
    hearing: Hearing,
    tracks: Vec<Option<Track>>,
    places: HashMap<WorkloadId, usize, FixedState>,
    free: Vec<usize>,
    news: BTreeSet<usize>,
    due: BTreeSet<(Moment, usize)>,
    /// Those whose idle time is over as far as is known, which proxies haven't told of to its end.
    untold: BTreeSet<usize>,
    budget: Budget<usize>,
    starting: u64,
    holds: u64,
    journal: Arc<Journal>,
    companies: Companies,
    /// What was learned of workloads that aren't there yet.
    recalled: HashMap<WorkloadId, Kept, FixedState>,
}

/// What a line knows of one workload, its own writes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Replica counts.
    pub replicas: Replicas,
    /// A hold is in force.
    pub held: bool,
    /// A write is in flight.
    pub writing: bool,
    /// Requests in flight.
    pub running: u64,
    /// Requests that wait.
    pub waiting: u64,
}

impl Line {
    /// A line that has seen and heard nothing, and doesn't lead.
    pub fn new(settings: Settings, journal: Arc<Journal>) -> Self {
        Line {
            settings,
            leading: false,
            collect: Collect::default(),
            hearing: Hearing::Silent,
            tracks: Vec::new(),
            places: HashMap::default(),
            free: Vec::new(),
            news: BTreeSet::new(),
            due: BTreeSet::new(),
            untold: BTreeSet::new(),
            budget: Budget::default(),
            starting: 0,
            holds: 0,
            journal,
            companies: Companies::default(),
            recalled: HashMap::default(),
        }
    }

    /// The platform shows this.
    pub fn saw(&mut self, snapshot: &Snapshot, now: Moment) {
        for workload in snapshot.workloads.iter() {
            let Some(at) = self.places.get(&workload.id).copied() else {
                let book = self.journal.open(&workload.id);
                self.adopt(Track::new(workload.clone(), book, !self.settings.earn_sleep, now));
                continue;
            };
            let known = self.tracks[at].as_mut().filter(|track| !Arc::ptr_eq(&track.workload, workload));
            if let Some(track) = known {
                track.saw(workload, now);
                self.companies.names(at, track.policy());
                self.news.insert(at);
            }
        }
        if self.places.len() > snapshot.workloads.len() {
            let gone = self.places.keys().filter(|id| snapshot.workload(id).is_none());
            for id in gone.cloned().collect::<Vec<_>>() {
                self.drop_track(&id);
            }
        }
    }

    fn adopt(&mut self, mut track: Track) {
        if let Some(kept) = self.recalled.remove(&track.workload.id) {
            track.learn.recall(kept, &track.book);
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.tracks.push(None);
            self.tracks.len() - 1
        });
        self.places.insert(track.workload.id.clone(), at);
        self.companies.names(at, track.policy());
        self.companies.comes();
        self.tracks[at] = Some(track);
        self.news.insert(at);
    }

    fn drop_track(&mut self, id: &WorkloadId) {
        let Some(at) = self.places.remove(id) else { return };
        if let Some(track) = self.tracks[at].take() {
            self.starting -= u64::from(track.starting);
            if let Some(due) = track.due {
                self.due.remove(&(due, at));
            }
        }
        self.budget.withdraw(&at);
        self.news.remove(&at);
        self.untold.remove(&at);
        self.companies.leaves(at);
        self.free.push(at);
        self.journal.close(id);
    }

    /// A proxy reports.
    pub fn heard(&mut self, report: &Report, now: Moment) -> Use {
        let told = self.collect.told();
        let used = self.collect.heard(report, now);
        if self.collect.told() > told {
            self.news.append(&mut self.untold);
        }
        if let Use::News(ids) = &used {
            self.touch(ids);
        }
        used
    }

    /// These proxies exist. One that is missing stays known until it falls silent.
    pub fn proxies(&mut self, proxies: &BTreeSet<ProxyId>) {
        self.collect.list(proxies);
    }

    /// This proxy is gone for certain, and its requests with it.
    pub fn lost(&mut self, proxy: &ProxyId) {
        let news = self.collect.lost(proxy);
        self.touch(&news);
    }

    /// Whether this autoscaler leads. One that doesn't wakes, takes holds away from those who wait, and keeps its
    /// averages warm.
    pub fn lead(&mut self, leading: bool) {
        if self.leading != leading {
            self.leading = leading;
            self.touch_all();
        }
    }

    /// This was learned of `id`, by an earlier process or another autoscaler; whoever knows more is believed. What can't be read
    /// changes nothing. Returns whether what was known here is forgotten, as somebody has asked for there.
    pub fn recall(&mut self, id: &WorkloadId, kept: &[u8], now: Moment) -> Result<bool, Unreadable> {
        let kept = Kept::read(kept)?;
        match self.places.get(id).and_then(|at| Some((*at, self.tracks[*at].as_mut()?))) {
            Some((at, track)) => {
                self.news.insert(at);
                let anew = track.learn.recall(kept, &track.book);
                if anew {
                    track.book.forgot(now);
                }
                Ok(anew)
            }
            None => {
                self.recalled.insert(id.clone(), kept);
                Ok(false)
            }
        }
    }

    /// Forgets what was learned of `id`. Whether there is such a workload.
    pub fn forget(&mut self, id: &WorkloadId, now: Moment) -> bool {
        let at = self.places.get(id).copied();
        let Some((at, track)) = at.and_then(|at| Some((at, self.tracks[at].as_mut()?))) else { return false };
        track.learn.forget(&track.book);
        track.book.forgot(now);
        self.news.insert(at);
        true
    }

    /// What is known and under way for `id`.
    pub fn standing(&self, id: &WorkloadId) -> Option<Standing> {
        let track = self.tracks.get(*self.places.get(id)?)?.as_ref()?;
        let total = self.collect.total(id);
        Some(Standing {
            replicas: track.replicas(),
            held: track.hold().is_some(),
            writing: track.write.is_some(),
            running: total.running,
            waiting: total.waiting,
        })
    }

    /// When each proxy was last heard.
    pub fn heard_at(&self) -> impl Iterator<Item = (&ProxyId, Moment)> {
        self.collect.heard_at()
    }

    fn touch(&mut self, ids: &[WorkloadId]) {
        self.news.extend(ids.iter().filter_map(|id| self.places.get(id)));
    }

    fn touch_all(&mut self) {
        self.news.extend(self.places.values());
    }

    /// When [`Line::turn`] has something to do though nothing happens.
    pub fn next(&self) -> Moment {
        if !self.news.is_empty() || self.companies.is_stirred() {
            return Moment::ZERO;
        }
        let due = self.due.first().map(|(at, _)| *at);
        due.into_iter().chain(self.collect.due()).min().unwrap_or(Moment::NEVER)
    }
}
