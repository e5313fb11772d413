//! Events of `events.k8s.io/v1` about workloads and Ingresses: what people find under `kubectl describe`.
//!
//! On transitions only, and never in the way of a write: telling puts a notice into a bounded queue or counts it as
//! dropped. One task sends, within a rate for each workload and one for all; the same words are said once in ten minutes.

#[cfg(test)]
mod test;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use kaos_core::WorkloadId;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::call::{Api, Ask, DEADLINE, Turn};
use super::clock::stamp;
use super::fault::cut;
use super::object::{encode, managed};
use crate::controller::Controller;
use crate::note::Object;
use crate::rights;

/// Most notices that wait to be sent.
const QUEUE: usize = 256;

/// The same words about the same workload are said once in this.
const SAME: Duration = Duration::from_secs(600);

/// Of one workload: so many at once, then one per this.
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(30);

/// Of all workloads together.
const BURST_OF_ALL: u32 = 100;
const REFILL_OF_ALL: Duration = Duration::from_millis(200);

/// Most workloads whose rate is remembered; the oldest is forgotten first.
const REMEMBERED: usize = 4096;

/// Longest note that the API takes, in bytes.
const NOTE: usize = 1024;

/// A notice is sent this much later: of a burst, the counts are written first.
const PAUSE: Duration = Duration::from_millis(100);

/// Who reports.
const CONTROLLER: &str = "kaos.dev/autoscaler";

/// Why there is an event: a stable word for people's filters, and whether they can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The workload is Kaos's to scale from here on.
    Adopted,
    /// It isn't any more; what Kaos changed was put back.
    Left,
    /// Woken.
    ScaledFromZero,
    /// Asleep.
    ScaledToZero,
    /// More replicas.
    ScaledUp,
    /// Fewer replicas, but not none.
    ScaledDown,
    /// An annotation can't be read.
    InvalidAnnotation,
    /// An annotation that Kaos doesn't have.
    UnsupportedAnnotation,
    /// What an Ingress sends requests to isn't there.
    BackendNotFound,
    /// Another has the same host and path.
    HostConflict,
    /// A Deployment and a StatefulSet of one name ask to be Kaos's.
    NameTaken,
    /// Decided and not written, for a reason that people can change.
    ObserveOnly,
    /// The count above zero is another's.
    HandedOver,
    /// What `scale-target` names can't be scaled.
    TargetNotScaled,
    /// Replicas don't start.
    StartFailed,
    /// Somebody else keeps changing the count.
    ReplicasContested,
    /// Another replica was stopped than the one chosen.
    AnotherReplicaStopped,
    /// A fact that was inferred.
    Inferred,
    /// Something has no effect, or less than a reader may think.
    Limited,
}

impl Reason {
    /// As in the event's `reason`.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Adopted => "Adopted",
            Reason::Left => "Left",
            Reason::ScaledFromZero => "ScaledFromZero",
            Reason::ScaledToZero => "ScaledToZero",
            Reason::ScaledUp => "ScaledUp",
            Reason::ScaledDown => "ScaledDown",
            Reason::InvalidAnnotation => "InvalidAnnotation",
            Reason::UnsupportedAnnotation => "UnsupportedAnnotation",
            Reason::BackendNotFound => "BackendNotFound",
            Reason::HostConflict => "HostConflict",
            Reason::NameTaken => "NameTaken",
            Reason::ObserveOnly => "ObserveOnly",
            Reason::HandedOver => "HandedOver",
            Reason::TargetNotScaled => "TargetNotScaled",
            Reason::StartFailed => "StartFailed",
            Reason::ReplicasContested => "ReplicasContested",
            Reason::AnotherReplicaStopped => "AnotherReplicaStopped",
            Reason::Inferred => "Inferred",
            Reason::Limited => "Limited",
        }
    }

    /// What was being done, as in the event's `action`.
    fn action(self) -> &'static str {
        match self {
            Reason::Adopted
            | Reason::InvalidAnnotation
            | Reason::UnsupportedAnnotation
            | Reason::BackendNotFound
            | Reason::HostConflict
            | Reason::NameTaken
            | Reason::HandedOver
            | Reason::TargetNotScaled
            | Reason::Inferred
            | Reason::Limited => "Adopt",
            Reason::Left => "Leave",
            Reason::ObserveOnly => "Observe",
            Reason::StartFailed => "Start",
            _ => "Scale",
        }
    }

    /// Whether somebody can act on it.
    fn warns(self) -> bool {
        matches!(
            self,
            Reason::InvalidAnnotation
                | Reason::UnsupportedAnnotation
                | Reason::BackendNotFound
                | Reason::HostConflict
                | Reason::NameTaken
                | Reason::ObserveOnly
                | Reason::TargetNotScaled
                | Reason::StartFailed
                | Reason::ReplicasContested
        )
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Of {
    Workload(Controller),
    Object(Object),
}

impl Of {
    /// Its API version and kind.
    fn kind(self) -> (&'static str, &'static str) {
        match self {
            Of::Workload(controller) => ("apps/v1", controller.kind()),
            Of::Object(object) => {
                let (version, kind, _) = object.kind();
                (version, kind)
            }
        }
    }
}

/// Something to tell about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) of: Of,
    /// Its namespace and name.
    pub(crate) workload: WorkloadId,
    /// Its UID.
    pub(crate) uid: String,
    pub(crate) reason: Reason,
    /// A sentence.
    pub(crate) note: String,
}

/// Where notices are put. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    queue: mpsc::Sender<Told>,
    dropped: Arc<AtomicU64>,
}

impl Events {
    /// A queue, and its end for [`send`].
    pub(crate) fn new(dropped: Arc<AtomicU64>) -> (Events, mpsc::Receiver<Told>) {
        let (queue, notices) = mpsc::channel(QUEUE);
        (Events { queue, dropped }, notices)
    }

    /// Has `notice` sent, if there is room.
    pub(crate) fn tell(&self, notice: Notice) {
        let told = Told { notice, due: Instant::now() + PAUSE, stamp: stamp() };
        if self.queue.try_send(told).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A notice on its way.
pub(crate) struct Told {
    notice: Notice,
    /// Not sent before.
    due: Instant,
    /// When it was told, as the API writes it.
    stamp: String,
}

/// So many at once, and then one per `refill`.
#[derive(Clone, Debug)]
struct Rate {
    tokens: u32,
    since: Instant,
}

impl Rate {
    fn take(&mut self, burst: u32, refill: Duration, now: Instant) -> bool {
        let span = now.duration_since(self.since);
        let grown = u32::try_from(span.as_millis() / refill.as_millis()).unwrap_or(u32::MAX);
        if grown > 0 {
            self.tokens = self.tokens.saturating_add(grown).min(burst);
            self.since = now;
        }
        let some = self.tokens > 0;
        self.tokens -= u32::from(some);
        some
    }
}

/// What has been said, to whom and how often.
#[derive(Debug)]
struct Said {
    all: Rate,
    each: HashMap<(Of, WorkloadId), About>,
    order: VecDeque<(Of, WorkloadId)>,
}

#[derive(Debug)]
struct About {
    rate: Rate,
    words: VecDeque<(Reason, String, Instant)>,
}

impl Said {
    fn new(now: Instant) -> Self {
        let all = Rate { tokens: BURST_OF_ALL, since: now };
        Said { all, each: HashMap::new(), order: VecDeque::new() }
    }

    /// Whether `notice` may be sent now.
    fn may(&mut self, notice: &Notice, now: Instant) -> bool {
        let key = (notice.of, notice.workload.clone());
        if !self.each.contains_key(&key) {
            if self.order.len() >= REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.each.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        let about = self
            .each
            .entry(key)
            .or_insert_with(|| About { rate: Rate { tokens: BURST, since: now }, words: VecDeque::new() });
        about.words.retain(|(_, _, at)| now.duration_since(*at) < SAME);
        // Counts change with each transition; the reasons that warn are said again only with other words.
        let again = notice.reason.warns()
            && about.words.iter().any(|(reason, note, _)| *reason == notice.reason && *note == notice.note);
        if again || !about.rate.take(BURST, REFILL, now) || !self.all.take(BURST_OF_ALL, REFILL_OF_ALL, now) {
            return false;
        }
        if notice.reason.warns() {
            if about.words.len() == 16 {
                about.words.pop_front();
            }
            about.words.push_back((notice.reason, notice.note.clone(), now));
        }
        true
    }
}

/// Sends notices as they come. Ends with the last [`Events`].
pub(crate) async fn send(
    api: Arc<Api>,
    mut notices: mpsc::Receiver<Told>,
    instance: String,
    dropped: Arc<AtomicU64>,
) {
    let mut said = Said::new(Instant::now());
    while let Some(Told { notice, due, stamp }) = notices.recv().await {
        sleep_until(due).await;
        if !said.may(&notice, Instant::now()) {
            dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let namespace = encode(notice.workload.namespace());
        let path = managed(&format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events"));
        let body = event(&notice, &instance, &stamp, fastrand::u64(..));
        let ask = Ask::with(rights::CREATE_EVENT, Method::POST, path, "application/json", &body);
        let sent = api.call::<Value>(&ask, Turn::Other, Instant::now() + DEADLINE, || true).await;
        if let Err(fault) = sent {
            dropped.fetch_add(1, Ordering::Relaxed);
            debug!(workload = %notice.workload, reason = notice.reason.word(), why = %fault, "event not written");
        }
    }
}

/// The event's object. `unique` tells it from others about the same object.
fn event(notice: &Notice, instance: &str, stamp: &str, unique: u64) -> Value {
    let Notice { of, workload, uid, reason, note } = notice;
    let (version, kind) = of.kind();
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{}.{unique:016x}", cut(workload.name(), 230).trim_end_matches(['.', '-'])),
            "namespace": workload.namespace(),
        },
        "eventTime": stamp,
        "type": if reason.warns() { "Warning" } else { "Normal" },
        "reason": reason.word(),
        "action": reason.action(),
        "note": cut(note, NOTE),
        "regarding": {
            "apiVersion": version, "kind": kind,
            "namespace": workload.namespace(), "name": workload.name(), "uid": uid,
        },
        "reportingController": CONTROLLER,
        "reportingInstance": cut(instance, 128),
    })
}
