//! The decision: what is known of one workload in, one count and its reason out.
//!
//! Two rules, in this order. *Idle* alone gives zero, in one step, whatever the windows say. Otherwise the windows decide,
//! never below one; and requests that wait raise the count at once. Where the count above zero is another's, all that is left is
//! one from zero, and zero when idle where that isn't the other's too. `decide` is pure: what the journal stores, fed back,
//! decides the same.

use serde::{Deserialize, Serialize};

use crate::decision::{Because, Decision, Next, Then, Why};
use crate::idle;
use crate::kpa::{self, Kpa};
use crate::moment::Moment;
use crate::observation::{Heard, Observation};
use crate::policy::{Metric, Policy};
use crate::recover::{self, Recovery};
use crate::snapshot::{Mode, Replicas};

/// What is carried from one decision to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// It has had replicas since its adoption: `initial-scale` is spent.
    pub woken: bool,
    /// KPA's panic and delay. Forgotten at zero.
    pub kpa: Kpa,
    /// The way out of a panic.
    pub recovery: Option<Recovery>,
    /// The way down from what a queue asked for, where there is a hard limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued: Option<Recovery>,
    /// The count at the last decision.
    pub desired: u32,
    /// When the count last went down.
    pub lowered: Option<Moment>,
}

impl Memory {
    /// A workload that was just adopted, or found by an autoscaler that just started.
    pub fn adopt(replicas: Replicas, now: Moment) -> Self {
        Memory {
            woken: replicas.desired > 0,
            kpa: Kpa::begin(replicas.ready, now),
            desired: replicas.desired,
            ..Memory::default()
        }
    }

    fn saw(mut self, desired: u32, now: Moment) -> Self {
        if desired < self.desired {
            self.lowered = Some(now);
        }
        self.desired = desired;
        self.woken |= desired > 0;
        if desired == 0 {
            (self.kpa, self.recovery, self.queued) = (Kpa::default(), None, None);
        }
        self
    }
}

/// A decision, and when there will be another if nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was decided.
    pub decision: Decision,
    /// What comes by itself. `None`: only an event, or the averages, change anything.
    pub next: Option<Next>,
}

impl Verdict {
    const fn stay(why: Why) -> Self {
        Verdict { decision: Decision::Stay(why), next: None }
    }

    const fn until(why: Why, at: Moment, then: Then) -> Self {
        Verdict { decision: Decision::Stay(why), next: Some(Next { at, then }) }
    }
}

/// Decides at `now`.
pub fn decide(policy: &Policy, seen: &Observation, memory: Memory, now: Moment) -> (Verdict, Memory) {
    let memory = memory.saw(seen.replicas.desired, now);
    if matches!(seen.mode, Mode::Off | Mode::Plain) {
        return (Verdict::stay(Why::Off), memory);
    }
    if seen.replicas.desired == 0 {
        let (to, because) = first_size(policy, seen, &memory, now);
        return (raise(policy, seen, to, because, now), memory);
    }
    let (opinion, memory) = consult(policy, seen, memory, now);
    let (to, because) = most_wanted(policy, seen, &opinion);
    let sleep = idle::ends(policy, seen);
    let asleep = sleep.is_some_and(|at| at <= now);
    let verdict = if seen.handed_to.as_ref().is_some_and(|to| to.zero || !asleep) {
        let next = sleep.filter(|at| seen.seen && *at > now).map(|at| Next { at, then: Then::Zero });
        Verdict { next, ..Verdict::stay(Why::HandedOver) }
    } else if policy.capped(to) > seen.replicas.desired && !asleep {
        raise(policy, seen, to, because, now)
    } else {
        lower(policy, seen, &memory, &opinion, to, now)
    };
    (verdict, memory)
}

/// From zero: enough for those who wait, at least the first size; the first size, if it is awake with another; or the least, if a
/// request is due. Nothing else wakes; the windows are stale.
fn first_size(policy: &Policy, seen: &Observation, memory: &Memory, now: Moment) -> (u32, Because) {
    let first = policy.floor().max(if memory.woken { 0 } else { policy.initial_scale });
    match waker(policy, seen, now) {
        Some(Because::Wake) => (replicas_for(policy, seen.waiting).max(first), Because::Wake),
        Some(Because::WakeWith) => (first, Because::WakeWith),
        Some(because) => (policy.floor(), because),
        None => (0, Because::Prewarm),
    }
}

/// What wakes it from zero, if anything does.
pub(crate) fn waker(policy: &Policy, seen: &Observation, now: Moment) -> Option<Because> {
    if seen.waiting > 0 {
        Some(Because::Wake)
    } else if seen.company.as_ref().is_some_and(|company| company.wakes) {
        Some(Because::WakeWith)
    } else if policy.min_scale > 0 {
        Some(Because::MinScale)
    } else {
        seen.prewarm().filter(|at| *at <= now).map(|_| Because::Prewarm)
    }
}

fn replicas_for(policy: &Policy, requests: u64) -> u32 {
    u32::try_from(requests.div_ceil(u64::from(policy.slots()))).unwrap_or(u32::MAX)
}

/// Requests that wait beyond the free slots of what is there and coming, as replicas on top of those.
///
/// Where all that was asked for is there and a hard limit makes it full, the load has outgrown it: then a large fleet grows
/// to where what runs is at the share of the target that is steered to, else the next request waits again.
fn backlog(policy: &Policy, seen: &Observation) -> u32 {
    let there = seen.replicas.ready.min(seen.replicas.desired).saturating_add(seen.coming());
    let slots = u64::from(there) * u64::from(policy.slots());
    let homeless = seen.waiting.saturating_sub(slots.saturating_sub(seen.running));
    if homeless == 0 {
        return 0;
    }
    let full = policy.container_concurrency > 0 && policy.metric == Metric::Concurrency && seen.coming() == 0;
    let steered = if full { (seen.running.min(slots) as f64 / policy.steered_target()) as u32 } else { 0 };
    there.saturating_add(replicas_for(policy, homeless)).max(steered)
}

/// What a queue asked for and is kept: anew while requests wait for a slot (for the `backlog` of them), or for replicas that were
/// asked for then.
fn queued(
    policy: &Policy,
    seen: &Observation,
    backlog: u32,
    kept: Option<Recovery>,
    now: Moment,
) -> Option<Recovery> {
    let level = match &kept {
        _ if policy.container_concurrency == 0 => return None,
        _ if seen.waiting > 0 => backlog.max(seen.replicas.desired),
        Some(kept) if seen.coming() > 0 => kept.level,
        _ => return kept,
    };
    Some(Recovery::after_queue(policy, level, now))
}

/// What is wanted, and why.
struct Opinion {
    /// By the windows. `None`: nothing measured.
    want: Option<u32>,
    /// By those who wait.
    backlog: u32,
    panicking: bool,
    /// What keeps more than the averages ask for.
    kept: Option<Why>,
}

fn consult(policy: &Policy, seen: &Observation, mut memory: Memory, now: Moment) -> (Opinion, Memory) {
    let backlog = backlog(policy, seen);
    let Some(loads) = &seen.load else {
        return (Opinion { want: None, backlog, panicking: false, kept: None }, memory);
    };
    let panicked = memory.kpa.panicking.map(|_| memory.kpa.most);
    if memory.kpa.panicking.is_some_and(|triggered| recover::is_over(policy, triggered, now)) {
        (memory.kpa.panicking, memory.kpa.most) = (None, 0);
    }
    let (desire, kpa) = kpa::step(policy, loads.stable, loads.panic, seen.replicas.ready, memory.kpa, now);
    let panicking = kpa.panicking.is_some();
    memory.kpa = kpa;
    memory.recovery = match (panicked, panicking) {
        (_, true) => None,
        (Some(most), false) => Some(Recovery::after_panic(policy, most, now)),
        (None, false) => memory.recovery,
    };
    let mut want = desire.count;
    let mut kept = None;
    if panicking {
        kept = Some(Why::Panic);
    } else if want > desire.plain {
        kept = Some(Why::ScaleDownDelay);
    }
    memory.queued = queued(policy, seen, backlog, memory.queued.take(), now);
    let need = kpa::needed(policy, loads.stable);
    for (recovery, why) in [(&mut memory.recovery, Why::AfterPanic), (&mut memory.queued, Why::AfterQueue)] {
        let stepped = recovery.take().and_then(|recovery| recovery.step(policy, need, now));
        let Some((least, left)) = stepped else { continue };
        // What is kept is there: nothing is started for a burst that is over.
        if least.min(seen.replicas.desired) >= want {
            (want, kept) = (least.min(seen.replicas.desired), Some(why));
        }
        *recovery = Some(left);
    }
    (Opinion { want: Some(want), backlog, panicking, kept }, memory)
}

/// The greatest of what is wanted, uncapped, and who wants it.
fn most_wanted(policy: &Policy, seen: &Observation, opinion: &Opinion) -> (u32, Because) {
    let by_window = if opinion.panicking { Because::Panic } else { Because::Window };
    [
        (1, Because::Window),
        (policy.min_scale, Because::MinScale),
        (policy.activation_scale, Because::ActivationScale),
        // Nothing measured: what is there stays.
        (opinion.want.unwrap_or(seen.replicas.desired), by_window),
        (opinion.backlog, Because::Backlog),
    ]
    .into_iter()
    .fold((0, by_window), |most, (want, because)| if want > most.0 { (want, because) } else { most })
}

/// Up to `to`, as far as bounds, failures and the start budget allow.
fn raise(policy: &Policy, seen: &Observation, to: u32, because: Because, now: Moment) -> Verdict {
    let desired = seen.replicas.desired;
    if to == 0 {
        let next = seen.prewarm().map(|at| Next { at, then: Then::Prewarm });
        return Verdict { next, ..Verdict::stay(Why::Asleep) };
    }
    if !seen.leading && !matches!(because, Because::Wake | Because::WakeWith) {
        return Verdict::stay(Why::Following);
    }
    if let Some(failure) = seen.failure.as_ref().filter(|failure| failure.retry_at > now) {
        return Verdict::until(Why::StartFailed, failure.retry_at, Then::Start);
    }
    // A wake is nobody's fight: without it those who wait would be answered by nothing. Above zero something answers.
    if because != Because::Wake && seen.contested_until > now {
        return Verdict::until(Why::Contested, seen.contested_until, Then::Start);
    }
    // One is enough for whoever it was handed to: from there on it decides, its own least count included.
    let to = if seen.handed_to.is_some() { to.min(1) } else { to };
    let to = policy.capped(to).min(desired.saturating_add(seen.allowance.unwrap_or(u32::MAX)));
    if to == desired {
        return Verdict::stay(Why::StartBudget);
    }
    Verdict { decision: Decision::Scale { to, because }, next: None }
}

/// Down to zero if idle, else to `to`, unless something forbids it.
fn lower(
    policy: &Policy,
    seen: &Observation,
    memory: &Memory,
    opinion: &Opinion,
    to: u32,
    now: Moment,
) -> Verdict {
    let desired = seen.replicas.desired;
    let sleep = idle::ends(policy, seen);
    let capped = policy.capped(to);
    let (to, because) = match sleep {
        Some(at) if at <= now => (0, Because::Idle),
        _ if policy.max_scale > 0 && desired > policy.max_scale && capped == policy.max_scale => {
            (capped, Because::MaxScale)
        }
        _ => (capped, Because::Window),
    };
    if to == desired {
        return steady(policy, seen, opinion, sleep);
    }
    if let Some(verdict) = forbidden(policy, seen, now) {
        return verdict;
    }
    // A platform takes replicas that aren't ready first, whatever is in flight on them.
    if to > 0 && seen.replicas.ready < desired {
        return Verdict::stay(Why::StartFailed);
    }
    // After a burst from zero the windows are of moments when nothing could run.
    let measured = seen.ready_since + policy.panic_window();
    if to > 0 && because == Because::Window && measured > now {
        return Verdict::until(Why::Fresh, measured, Then::Down);
    }
    let pace = std::time::Duration::from_secs(kpa::TICK_SECONDS);
    if let Some(at) = memory.lowered.map(|at| at + pace).filter(|at| *at > now && to > 0) {
        return Verdict::until(Why::Pace, at, Then::Down);
    }
    Verdict { decision: Decision::Scale { to, because }, next: None }
}

/// Whatever forbids going down.
fn forbidden(policy: &Policy, seen: &Observation, now: Moment) -> Option<Verdict> {
    if !seen.leading {
        return Some(Verdict::stay(Why::Following));
    }
    if seen.waiting > 0 {
        return Some(Verdict::stay(Why::Waiting));
    }
    if seen.coming() > 0 || !seen.shown {
        return Some(Verdict::stay(Why::Starting));
    }
    match seen.heard {
        Heard::Silent => return Some(Verdict::stay(Why::NoData)),
        Heard::From(at) if at > now => return Some(Verdict::until(Why::NoData, at, Then::Heard)),
        Heard::From(_) => {}
    }
    if !seen.seen && policy.min_scale == 0 {
        return Some(Verdict::stay(Why::Unseen));
    }
    if seen.contested_until > now {
        return Some(Verdict::until(Why::Contested, seen.contested_until, Then::Down));
    }
    (seen.rest_until > now).then(|| Verdict::until(Why::HoldCancelled, seen.rest_until, Then::Down))
}

/// Why the count is right as it is.
fn steady(policy: &Policy, seen: &Observation, opinion: &Opinion, sleep: Option<Moment>) -> Verdict {
    let desired = seen.replicas.desired;
    let wanted = opinion.want.unwrap_or(0).max(opinion.backlog);
    if sleep.is_some() && !seen.seen {
        return Verdict::stay(Why::Unseen);
    }
    let why = if policy.max_scale > 0 && wanted > policy.max_scale {
        Why::MaxScale
    } else if seen.coming() > 0 {
        Why::Starting
    } else if let Some(why) = opinion.kept.filter(|_| desired > 1) {
        why
    } else if sleep.is_some() {
        Why::Warm
    } else if !seen.is_busy() && policy.min_scale == desired {
        Why::MinScale
    } else if !seen.is_busy() && seen.company.is_some() {
        Why::WakeWith
    } else {
        Why::Steady
    };
    let next = sleep.map(|at| Next { at, then: Then::Zero });
    Verdict { decision: Decision::Stay(why), next }
}
