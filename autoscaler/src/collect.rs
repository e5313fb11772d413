//! What the proxies said, added up per workload.
//!
//! Reports are additive and idempotent: of each workload the last reading of an epoch wins, in whatever order reports
//! come. A proxy that
//! falls silent keeps its last value, extrapolated with what it had open, until it is known to be gone: no data isn't
//! zero. No I/O, no clock; knows nothing of replicas.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use foldhash::fast::FixedState;
use kaos_core::average::Flow;
use kaos_core::observation::Heard;
use kaos_core::report::{HoldAnswer, REPORT_VERSION};
use kaos_core::{EndpointUid, Moment, ProxyId, Reading, Report, WorkloadId};

/// A live proxy that hasn't been heard for longer is silent: everything is reported every 10 s.
pub const SILENCE: Duration = Duration::from_secs(15);

/// A proxy that isn't listed any more and silent for this long is gone.
pub const GRACE: Duration = Duration::from_secs(15);

/// A first report that is no older than this, counted from its epoch, tells of a proxy's whole life.
const FROM_BIRTH_MICROS: u64 = 2_000_000;

/// Largest share of the time between two reports by which two clocks may run apart: 1 in 1000.
const DRIFT: i64 = 1000;

/// A jump of a clock beyond this is one, not a late report.
const JUMP_MICROS: i64 = 5_000_000;

type Map<K, V> = HashMap<K, V, FixedState>;

/// Everything heard.
#[derive(Debug, Default)]
pub struct Collect {
    proxies: BTreeMap<ProxyId, Proxy>,
    totals: Map<WorkloadId, Vec<Share>>,
    /// Proxies that are known to exist, heard or not.
    listed: BTreeSet<ProxyId>,
}

#[derive(Debug)]
struct Proxy {
    epoch: u64,
    /// Number of the last report of everything: whatever came before it is late.
    whole: Option<u64>,
    /// Our clock less the proxy's, in microseconds.
    offset: i64,
    /// When its first report of this epoch came. `None`: it told of the proxy's whole life.
    since: Option<Moment>,
    last: Moment,
    /// Up to when it has told what ran, on our clock. It does so each second; what it tells in between is of who waits.
    told: Moment,
}

/// One proxy's part of one workload.
#[derive(Debug)]
struct Share {
    proxy: ProxyId,
    reading: Reading,
    /// Number of the report that it came with.
    sequence: u64,
    /// When the reading was taken, in the proxy's microseconds.
    at: u64,
    /// The last activity on our clock, as it was when it was heard: were it to move as clocks are tuned, each report would be
    /// activity that never was.
    active: Option<Moment>,
    /// Request-microseconds and requests that are in the windows already.
    counted: u64,
    arrived: u64,
}

/// What a report was good for.
#[derive(Debug, PartialEq, Eq)]
pub enum Use {
    /// These workloads have news.
    News(Vec<WorkloadId>),
    /// Nothing in it is news: late, repeated, or of an epoch that is over.
    Stale,
    /// In a form that this code doesn't read.
    Unreadable,
}

/// All proxies together, of one workload, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Requests that hold a slot, and one for each proxy that presumes some to be in flight: so many at least.
    pub running: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// The last activity, on our clock.
    pub last_activity: Option<Moment>,
}

/// Since when every live proxy is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// One is silent, or none is known.
    Silent,
    /// Since this moment; what one of them did before isn't known.
    Since(Moment),
    /// Since each one's own start.
    Always,
}

impl Hearing {
    /// When a workload whose stable window is `window` may go down.
    pub fn for_window(self, window: Duration) -> Heard {
        match self {
            Hearing::Silent => Heard::Silent,
            Hearing::Since(since) => Heard::From(since + window),
            Hearing::Always => Heard::From(Moment::ZERO),
        }
    }
}

impl Proxy {
    fn new(report: &Report, now: Moment) -> Self {
        let from_birth = report.at <= FROM_BIRTH_MICROS;
        Proxy {
            epoch: report.epoch,
            whole: None,
            offset: micros(now).saturating_sub_unsigned(report.at),
            since: (!from_birth).then_some(now),
            last: now,
            told: Moment::ZERO,
        }
    }

    /// A report can only be late: the least difference of the clocks is the truest, but clocks run apart, and stop.
    fn tune(&mut self, at: u64, now: Moment) {
        let seen = micros(now).saturating_sub_unsigned(at);
        let drift = micros(now).saturating_sub(micros(self.last)).max(0) / DRIFT;
        let jumped = seen.saturating_sub(self.offset) > JUMP_MICROS;
        self.offset = if jumped { seen } else { seen.min(self.offset.saturating_add(drift)) };
    }

    /// `now` on the proxy's clock.
    fn theirs(&self, now: Moment) -> u64 {
        micros(now).saturating_sub(self.offset).max(0).unsigned_abs()
    }

    /// The proxy's `at` on our clock.
    fn ours(&self, at: u64) -> Moment {
        Moment::from_micros(self.offset.saturating_add_unsigned(at).max(0).unsigned_abs())
    }
}

fn micros(now: Moment) -> i64 {
    i64::try_from(now.micros()).unwrap_or(i64::MAX)
}

impl Collect {
    /// Takes a report that came at `now`.
    pub fn heard(&mut self, report: &Report, now: Moment) -> Use {
        if report.version != REPORT_VERSION {
            return Use::Unreadable;
        }
        let mut news = Vec::new();
        match self.proxies.get_mut(&report.proxy) {
            Some(proxy) if proxy.epoch == report.epoch => {
                if proxy.whole.is_some_and(|whole| report.sequence <= whole) {
                    return Use::Stale;
                }
                proxy.tune(report.at, now);
                proxy.last = now;
            }
            // A process that is over. But a clock may have been set back: then the present one is silent for good.
            Some(proxy) if report.epoch < proxy.epoch && now.since(proxy.last) <= SILENCE => {
                return Use::Stale;
            }
            Some(proxy) => {
                *proxy = Proxy::new(report, now);
                self.forget(&report.proxy, &mut news);
            }
            None => {
                self.proxies.insert(report.proxy.clone(), Proxy::new(report, now));
            }
        }
        let stale = !self.take(report, now, &mut news) && news.is_empty() && !report.workloads.is_empty();
        news.sort_unstable();
        news.dedup();
        if stale { Use::Stale } else { Use::News(news) }
    }

    /// Takes the readings that are newer than those known; one that says the same is no news. Returns whether the report was one
    /// of everything.
    fn take(&mut self, report: &Report, now: Moment, news: &mut Vec<WorkloadId>) -> bool {
        let Some(proxy) = self.proxies.get_mut(&report.proxy) else { return false };
        // What a proxy did before it was first heard can't be told apart by seconds: it stays out of the windows.
        let known = proxy.whole.is_some() || proxy.since.is_none();
        if report.full {
            proxy.whole = Some(report.sequence);
        }
        let theirs = proxy.theirs(now);
        let mut ran = report.full || report.workloads.is_empty();
        for (id, reading) in &report.workloads {
            let shares = self.totals.entry(id.clone()).or_default();
            let sequence = report.sequence;
            match shares.iter_mut().find(|share| share.proxy == report.proxy) {
                Some(share) if sequence <= share.sequence => continue,
                Some(share) => {
                    (share.at, share.sequence) = (report.at, sequence);
                    if share.reading == *reading {
                        continue;
                    }
                    ran |= share.reading.running != reading.running;
                    if share.reading.last_activity != reading.last_activity {
                        share.active = reading.last_activity.map(|at| proxy.ours(at));
                    }
                    share.reading.clone_from(reading);
                }
                None => shares.push(Share {
                    proxy: report.proxy.clone(),
                    reading: reading.clone(),
                    sequence,
                    at: report.at,
                    active: reading.last_activity.map(|at| proxy.ours(at)),
                    counted: if known { 0 } else { reading.running.integral(theirs.max(report.at)) },
                    arrived: if known { 0 } else { reading.running.started },
                }),
            }
            news.push(id.clone());
        }
        if ran {
            proxy.told = proxy.ours(report.at);
        }
        if report.full {
            self.drop_absent(report, news);
        }
        report.full
    }

    /// What a full report doesn't name, its proxy doesn't know any more. What it does has been taken, and is as new.
    fn drop_absent(&mut self, report: &Report, news: &mut Vec<WorkloadId>) {
        self.totals.retain(|id, shares| {
            let before = shares.len();
            shares.retain(|share| share.proxy != report.proxy || share.sequence >= report.sequence);
            if shares.len() < before {
                news.push(id.clone());
            }
            !shares.is_empty()
        });
    }

    fn forget(&mut self, proxy: &ProxyId, news: &mut Vec<WorkloadId>) {
        self.totals.retain(|id, shares| {
            let before = shares.len();
            shares.retain(|share| share.proxy != *proxy);
            if shares.len() < before {
                news.push(id.clone());
            }
            !shares.is_empty()
        });
    }

    /// The proxies that exist, by the platform's list. One that is missing from it stays until it falls silent.
    pub fn list(&mut self, proxies: &BTreeSet<ProxyId>) {
        self.listed.clone_from(proxies);
    }

    /// A proxy is gone for certain. Returns the workloads that it had a part in.
    pub fn lost(&mut self, proxy: &ProxyId) -> Vec<WorkloadId> {
        let mut news = Vec::new();
        self.listed.remove(proxy);
        if self.proxies.remove(proxy).is_some() {
            self.forget(proxy, &mut news);
        }
        news
    }

    /// Forgets proxies that were taken off the list and have been silent since. Nothing is forgotten while there is no
    /// list.
    pub fn age(&mut self, now: Moment) -> Vec<WorkloadId> {
        if self.listed.is_empty() {
            return Vec::new();
        }
        let gone = |id: &ProxyId, proxy: &Proxy| !self.listed.contains(id) && now.since(proxy.last) >= GRACE;
        let gone: Vec<ProxyId> =
            self.proxies.iter().filter(|(id, proxy)| gone(id, proxy)).map(|(id, _)| id.clone()).collect();
        gone.iter().flat_map(|id| self.lost(id)).collect()
    }

    /// When [`Collect::age`] may forget a proxy.
    pub fn due(&self) -> Option<Moment> {
        if self.listed.is_empty() {
            return None;
        }
        let unlisted = self.proxies.iter().filter(|(id, _)| !self.listed.contains(*id));
        unlisted.map(|(_, proxy)| proxy.last + GRACE).min()
    }

    /// Since when every live proxy is heard.
    pub fn hearing(&self, now: Moment) -> Hearing {
        let unheard = self.listed.iter().any(|id| !self.proxies.contains_key(id));
        let sound = |proxy: &Proxy| proxy.whole.is_some() && now.since(proxy.last) <= SILENCE;
        if unheard || self.proxies.is_empty() || !self.proxies.values().all(sound) {
            return Hearing::Silent;
        }
        match self.proxies.values().filter_map(|proxy| proxy.since).max() {
            None => Hearing::Always,
            Some(since) => Hearing::Since(since),
        }
    }

    /// Up to when every proxy has told what ran.
    pub fn told(&self) -> Moment {
        self.proxies.values().map(|proxy| proxy.told).min().unwrap_or(Moment::ZERO)
    }

    /// Everything together of `id`.
    pub fn total(&self, id: &WorkloadId) -> Total {
        let mut total = Total::default();
        for share in self.totals.get(id).into_iter().flatten() {
            let presumed = u64::from(share.reading.presumed);
            total.running =
                total.running.saturating_add(share.reading.running.open()).saturating_add(presumed);
            total.waiting = total.waiting.saturating_add(share.reading.waiting.open());
            total.last_activity = total.last_activity.max(share.active);
        }
        total
    }

    /// What flowed through `id` up to `now` and wasn't asked for yet.
    pub fn flow(&mut self, id: &WorkloadId, now: Moment) -> Flow {
        let mut flow = Flow::default();
        for share in self.totals.get_mut(id).into_iter().flatten() {
            let Some(proxy) = self.proxies.get(&share.proxy) else { continue };
            let integral = share.reading.running.integral(proxy.theirs(now).max(share.at));
            flow.micros = flow.micros.saturating_add(integral.wrapping_sub(share.counted).cast_signed());
            share.counted = integral;
            let started = share.reading.running.started;
            flow.arrivals = flow.arrivals.saturating_add(started.wrapping_sub(share.arrived).cast_signed());
            share.arrived = started;
        }
        flow
    }

    /// What each live proxy says of the hold that it sees on `id`; `None` for one that says nothing.
    pub fn answers(&self, id: &WorkloadId) -> Vec<Option<&HoldAnswer>> {
        let shares = self.totals.get(id).map_or(&[][..], Vec::as_slice);
        let answer = |proxy: &ProxyId| {
            shares.iter().find(|share| share.proxy == *proxy).and_then(|share| share.reading.hold.as_ref())
        };
        let unheard = self.listed.iter().filter(|id| !self.proxies.contains_key(*id));
        self.proxies.keys().chain(unheard).map(answer).collect()
    }

    /// What the replica `uid` of `id` has in flight, over all proxies.
    pub fn in_flight(&self, id: &WorkloadId, uid: &EndpointUid) -> u64 {
        let shares = self.totals.get(id).into_iter().flatten();
        let loads = shares.flat_map(|share| &share.reading.endpoints).filter(|load| load.uid == *uid);
        loads.map(|load| u64::from(load.in_flight)).sum()
    }

    /// When each proxy was last heard.
    pub fn heard_at(&self) -> impl Iterator<Item = (&ProxyId, Moment)> {
        self.proxies.iter().map(|(id, proxy)| (id, proxy.last))
    }
}
