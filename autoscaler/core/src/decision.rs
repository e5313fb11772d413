//! What was decided, why, and what comes next: in stable words for metrics and scripts, in sentences for people.

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
use crate::observation::Observation;
use crate::policy::{IdleTimeout, Policy};
use crate::snapshot::HandedTo;

/// One decision about one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Leave the count as it is.
    Stay(Why),
    /// Change it.
    Scale {
        /// The new count.
        to: u32,
        /// The rule that says so.
        because: Because,
    },
}

/// Why a count changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// Requests wait and nothing runs.
    Wake,
    /// More requests wait than there are free slots.
    Backlog,
    /// The averages ask for it.
    Window,
    /// The panic window asks for far more than is ready.
    Panic,
    /// Nothing was in flight or waiting for the idle time.
    Idle,
    /// A request is due.
    Prewarm,
    /// A workload wakes that this one is awake with.
    WakeWith,
    /// Below `min-scale`.
    MinScale,
    /// Above `max-scale`.
    MaxScale,
    /// Below `activation-scale`.
    ActivationScale,
}

/// Why a count stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// At zero, and nothing waits.
    Asleep,
    /// As many as the requests need.
    Steady,
    /// Nothing to do, and the idle time isn't over.
    Warm,
    /// Idle, but `min-scale` keeps it.
    MinScale,
    /// Idle, but a workload is awake that this one is awake with.
    WakeWith,
    /// More are wanted than `max-scale` allows.
    MaxScale,
    /// A begun start is finished before anything goes down.
    Starting,
    /// Starts fail: none is tried before the moment the platform gave.
    StartFailed,
    /// As many start at once, over all workloads, as may.
    StartBudget,
    /// Requests wait: nothing goes down.
    Waiting,
    /// In panic, which never goes down.
    Panic,
    /// After a panic: one step per panic window.
    AfterPanic,
    /// Requests had to wait for a slot a short while ago: one step per third of the window.
    AfterQueue,
    /// The maximum over `scale-down-delay` is kept.
    ScaleDownDelay,
    /// A replica became ready a moment ago: the windows have hardly seen what it carries.
    Fresh,
    /// One step down per tick.
    Pace,
    /// No data isn't zero: a proxy is silent, or hasn't been heard for long enough.
    NoData,
    /// No request has reached it through Kaos yet: the first sleep is earned.
    Unseen,
    /// Proxies didn't confirm that replicas are empty; the next attempt waits.
    HoldCancelled,
    /// Something else writes the count too.
    Contested,
    /// The count above zero is another's.
    HandedOver,
    /// Another autoscaler leads.
    Following,
    /// It is switched off: its count is left alone.
    Off,
}

impl Because {
    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Because::Wake => "wake",
            Because::Backlog => "backlog",
            Because::Window => "window",
            Because::Panic => "panic",
            Because::Idle => "idle",
            Because::Prewarm => "prewarm",
            Because::WakeWith => "wake-with",
            Because::MinScale => "min-scale",
            Because::MaxScale => "max-scale",
            Because::ActivationScale => "activation-scale",
        }
    }
}

impl Why {
    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Why::Asleep => "asleep",
            Why::Steady => "steady",
            Why::Warm => "warm",
            Why::MinScale => "min-scale",
            Why::WakeWith => "wake-with",
            Why::MaxScale => "max-scale",
            Why::Starting => "starting",
            Why::StartFailed => "start-failed",
            Why::StartBudget => "start-budget",
            Why::Waiting => "waiting",
            Why::Panic => "panic",
            Why::AfterPanic => "after-panic",
            Why::AfterQueue => "after-queue",
            Why::ScaleDownDelay => "scale-down-delay",
            Why::Fresh => "fresh",
            Why::Pace => "pace",
            Why::NoData => "no-data",
            Why::Unseen => "unseen",
            Why::HoldCancelled => "hold-cancelled",
            Why::Contested => "contested",
            Why::HandedOver => "handed-over",
            Why::Following => "following",
            Why::Off => "off",
        }
    }
}

impl Decision {
    /// The stable word of its reason.
    pub const fn word(self) -> &'static str {
        match self {
            Decision::Stay(why) => why.word(),
            Decision::Scale { because, .. } => because.word(),
        }
    }

    /// The count that it aims at where `desired` is the present one.
    pub const fn aim(self, desired: u32) -> u32 {
        match self {
            Decision::Stay(_) => desired,
            Decision::Scale { to, .. } => to,
        }
    }

    /// The reason as a sentence, with the numbers it was made from.
    pub fn explain(self, policy: &Policy, seen: &Observation) -> String {
        match self {
            Decision::Stay(why) => explain_stay(why, policy, seen),
            Decision::Scale { to, because } => explain_scale(to, because, policy, seen),
        }
    }
}

fn explain_scale(to: u32, because: Because, policy: &Policy, seen: &Observation) -> String {
    let (desired, waiting) = (seen.replicas.desired, seen.waiting);
    let average = |load: fn(&crate::observation::Loads) -> crate::window::Load| {
        seen.load.as_ref().map_or(0.0, |loads| load(loads).requests())
    };
    match because {
        Because::Wake => format!("{waiting} waiting and no replica: starting {to}"),
        Because::Backlog => {
            format!("{waiting} waiting, more than {desired} replicas have free slots for: {to} are needed")
        }
        Because::Window => {
            let load = average(|loads| loads.stable);
            format!("{load:.2} on average over {} s need {to}, there are {desired}", policy.window.as_secs())
        }
        Because::Panic => {
            let load = average(|loads| loads.panic);
            let span = policy.panic_window().as_secs();
            format!("{load:.2} on average over the last {span} s: panic, {to} are needed")
        }
        Because::Idle => {
            let idle = match policy.idle_timeout {
                IdleTimeout::After(timeout) => format!("for {}", crate::duration::format(timeout)),
                IdleTimeout::Learned => "for as long as calls make it worth a replica".to_owned(),
            };
            format!("nothing in flight or waiting {idle}: zero")
        }
        Because::Prewarm => format!("a request is due: starting {to}"),
        Because::WakeWith => format!("{} is awake, and this wakes with it: starting {to}", company(seen)),
        Because::MinScale => format!("{desired} are fewer than min-scale: {to}"),
        Because::MaxScale => format!("{desired} are more than max-scale: {to}"),
        Because::ActivationScale => format!("{desired} are fewer than activation-scale: {to}"),
    }
}

fn company(seen: &Observation) -> String {
    seen.company.as_ref().map_or_else(|| "another workload".to_owned(), |company| company.with.to_string())
}

fn explain_stay(why: Why, policy: &Policy, seen: &Observation) -> String {
    let desired = seen.replicas.desired;
    match why {
        Why::Asleep => "no replica and nothing waits".into(),
        Why::Steady => format!("{desired} carry {} in flight", seen.running),
        Why::Warm => "nothing in flight; the idle time isn't over".into(),
        Why::MinScale => format!("min-scale keeps {desired}"),
        Why::WakeWith => format!("{} is awake, and this stays awake with it", company(seen)),
        Why::MaxScale => format!("more are wanted, but max-scale is {}", policy.max_scale),
        Why::Starting => format!("{} starting: a begun start is finished", seen.coming()),
        Why::StartFailed => match &seen.failure {
            Some(failure) => format!("{} failed starts in a row: {}", failure.attempts, failure.detail),
            None => "starts fail".into(),
        },
        Why::StartBudget => "as many replicas start at once as --max-starting allows".into(),
        Why::Waiting => format!("{} waiting: nothing goes down", seen.waiting),
        Why::Panic => "in panic: nothing goes down".into(),
        Why::AfterPanic => "after a panic: one step down per panic window".into(),
        Why::AfterQueue => {
            "requests had to wait a short while ago: one step down per third of the window".into()
        }
        Why::ScaleDownDelay => {
            let delay = crate::duration::format(policy.scale_down_delay);
            format!("the most that was needed in the last {delay} is kept")
        }
        Why::Fresh => "a replica became ready a moment ago: what it carries isn't measured yet".into(),
        Why::Pace => "one step down per tick".into(),
        Why::NoData => "a proxy is silent or hasn't been heard for long enough: no data isn't zero".into(),
        Why::Unseen => "no request has reached it through Kaos yet: the first sleep is earned".into(),
        Why::HoldCancelled => "proxies didn't confirm in time that replicas are empty".into(),
        Why::Contested => {
            let who = seen.contender.as_deref().unwrap_or("something else");
            format!("{who} changes the count too: Kaos writes at most once a minute, but for wakes")
        }
        Why::HandedOver => match &seen.handed_to {
            Some(HandedTo { who, zero: true }) => {
                format!("handed over to {who}, by the load that it is told: Kaos wakes it")
            }
            Some(HandedTo { who, zero: false }) => format!("handed over to {who}: Kaos does 0 ↔ 1"),
            None => "handed over: Kaos does 0 ↔ 1".into(),
        },
        Why::Following => "another autoscaler leads".into(),
        Why::Off => "mode off: the count is left alone".into(),
    }
}

/// What happens next if nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// When.
    pub at: Moment,
    /// What.
    pub then: Then,
}

/// A thing that comes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// The idle time ends.
    Zero,
    /// Proxies have been heard for long enough to go down.
    Heard,
    /// A start is tried again.
    Start,
    /// The next step down is allowed.
    Down,
    /// A request is due.
    Prewarm,
}

impl Then {
    /// As a sentence that goes on after the time: "zero unless a request comes".
    pub const fn explain(self) -> &'static str {
        match self {
            Then::Zero => "zero unless a request comes",
            Then::Heard => "proxies have been heard for long enough to go down",
            Then::Start => "a start is tried again if requests wait",
            Then::Down => "the next step down is allowed",
            Then::Prewarm => "a replica is started, for a request is due",
        }
    }
}
