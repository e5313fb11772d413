//! What people are told about their workloads, from one picture of the cluster to the next. Pure: `now` is an argument.
//!
//! Transitions only: a failure that lasts and an annotation that is still wrong are told once. What somebody can act on, and
//! whose the count is, is told again by the next leader; mere facts are told when a workload is adopted, or when they change after that.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kaos_core::contest::{self, Contest};
use kaos_core::snapshot::Mode;
use kaos_core::{Moment, Snapshot, WorkloadId};
use tokio::time::{Instant, sleep_until};

use super::Sources;
use super::clock::Clock;
use super::events::{Events, Notice, Of, Reason};
use super::lead::Leadership;
use crate::directory::Entry;
use crate::note::{Kind, Note, ObjectNote};

/// So many things are told of Ingresses and HTTPRoutes at once, and more after [`PAUSE`]: half of the rate at which events are sent.
const AT_ONCE: usize = 10;
/// See [`AT_ONCE`].
const PAUSE: Duration = Duration::from_secs(4);

/// What was there at the last look.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    seen: HashMap<WorkloadId, Seen>,
    /// Notes at the last look.
    noted: BTreeSet<Note>,
    /// Those of them that each leader tells, and that we have told.
    again: BTreeSet<Note>,
    /// Those of Ingresses that we have told.
    told: BTreeSet<ObjectNote>,
}

#[derive(Debug, Default)]
struct Seen {
    uid: Arc<str>,
    replicas: u32,
    failure: Option<String>,
    contest: Contest,
}

impl Announcer {
    /// The picture is this one. Returns what there is to tell; one that doesn't lead tells nothing.
    pub(crate) fn saw(
        &mut self,
        entries: &HashMap<WorkloadId, Arc<Entry>>,
        snapshot: &Snapshot,
        notes: &[Note],
        leads: bool,
        now: Moment,
    ) -> Vec<Notice> {
        let mut told = self.read(entries, notes, leads);
        self.seen.retain(|id, seen| entries.get(id).is_some_and(|entry| entry.uid == seen.uid));
        for (id, entry) in entries {
            let failure = snapshot.workload(id).and_then(|workload| workload.failure.as_ref());
            let failure = failure.filter(|failure| failure.known).map(|failure| &failure.detail);
            let fresh = !self.seen.contains_key(id);
            let seen = self.seen.entry(id.clone()).or_insert_with(|| Seen {
                uid: entry.uid.clone(),
                replicas: entry.replicas,
                ..Seen::default()
            });
            if let Some(detail) = failure.filter(|_| seen.failure.is_none()) {
                told.push(notice(id, entry, Reason::StartFailed, detail.clone()));
            }
            seen.failure = failure.cloned();
            if !fresh && let Some(contest) = seen.contested(entry, now) {
                told.push(notice(id, entry, Reason::ReplicasContested, contest));
            }
            seen.replicas = entry.replicas;
        }
        if leads { told } else { Vec::new() }
    }

    /// What there is to tell of Ingresses and HTTPRoutes. The next leader tells it again: all of it is somebody's to act on, or there is
    /// nobody else to ask.
    ///
    /// Some at a time, for nothing of it is to be dropped: whether there is more.
    pub(crate) fn saw_objects(&mut self, notes: &[ObjectNote], leads: bool) -> (Vec<Notice>, bool) {
        if !leads {
            self.told.clear();
            return (Vec::new(), false);
        }
        self.told.retain(|note| notes.binary_search(note).is_ok());
        let mut left = notes.iter().filter(|note| !self.told.contains(*note));
        let fresh: Vec<ObjectNote> = left.by_ref().take(AT_ONCE).cloned().collect();
        let more = left.next().is_some();
        self.told.extend(fresh.iter().cloned());
        let notice = |note: ObjectNote| Notice {
            of: Of::Object(note.of),
            workload: WorkloadId::new(&note.namespace, &note.name),
            uid: note.uid.to_string(),
            reason: reason(note.kind),
            note: note.text,
        };
        (fresh.into_iter().map(notice).collect(), more)
    }

    fn read(
        &mut self,
        entries: &HashMap<WorkloadId, Arc<Entry>>,
        notes: &[Note],
        leads: bool,
    ) -> Vec<Notice> {
        if !leads {
            self.again.clear();
        }
        let mut told = Vec::new();
        for note in notes {
            let Some(entry) = entries.get(&note.workload) else { continue };
            let known = self.seen.get(&note.workload).is_some_and(|seen| seen.uid == entry.uid);
            let news = if note.kind.is_told_again() {
                leads && self.again.insert(note.clone())
            } else {
                known && !self.noted.contains(note)
            };
            if news {
                told.push(notice(&note.workload, entry, reason(note.kind), note.text.clone()));
            }
        }
        self.noted = notes.iter().cloned().collect();
        self.again.retain(|note| self.noted.contains(note));
        told
    }
}

fn reason(kind: Kind) -> Reason {
    match kind {
        Kind::Invalid => Reason::InvalidAnnotation,
        Kind::Unsupported => Reason::UnsupportedAnnotation,
        Kind::Backend => Reason::BackendNotFound,
        Kind::HostConflict => Reason::HostConflict,
        Kind::NameTaken => Reason::NameTaken,
        Kind::ObserveOnly => Reason::ObserveOnly,
        Kind::HandedOver => Reason::HandedOver,
        Kind::Inferred => Reason::Inferred,
        Kind::Limited => Reason::Limited,
    }
}

fn notice(workload: &WorkloadId, entry: &Entry, reason: Reason, note: String) -> Notice {
    let (controller, uid) = match &entry.namesake {
        Some((controller, uid)) if reason == Reason::NameTaken => (*controller, uid),
        _ => (entry.controller, &entry.uid),
    };
    Notice { of: Of::Workload(controller), workload: workload.clone(), uid: uid.to_string(), reason, note }
}

impl Seen {
    /// Counts a change by others; a sentence when that makes a contest.
    fn contested(&mut self, entry: &Entry, now: Moment) -> Option<String> {
        let contender = entry.contender.as_ref().filter(|_| entry.adopted && entry.mode == Mode::Scale)?;
        if !contest::concerns(self.replicas, entry.replicas, entry.handed_to.as_ref()) {
            return None;
        }
        self.contest.changed(now);
        if !self.contest.is_on(now) {
            return None;
        }
        self.contest = Contest::default();
        let advice = advice(contender);
        Some(format!("{contender} keeps changing spec.replicas; Kaos writes at most once a minute. {advice}"))
    }
}

/// What ends the contest with `contender`: `manager (subresource)` of `managedFields`.
fn advice(contender: &str) -> &'static str {
    let name = contender.to_ascii_lowercase();
    if name.starts_with("argocd") {
        "Take /spec/replicas out of the sync: ignoreDifferences with RespectIgnoreDifferences=true."
    } else if name.contains("kustomize-controller")
        || name.contains("helm-controller")
        || name.contains("flux")
    {
        "Leave spec.replicas out of the manifests that Flux applies."
    } else if name.starts_with("helm") || name.contains("kubectl") {
        "Leave spec.replicas out of what is applied, or set kaos.dev/mode: off."
    } else if name.contains("keda") {
        "Delete the ScaledObject, or set kaos.dev/mode: off."
    } else if name.contains("kube-controller-manager") {
        "Look for its HorizontalPodAutoscaler: Kaos hands over to one that scales this very object; or set kaos.dev/mode: off."
    } else {
        "Let one of the two own the count: stop the other, or set kaos.dev/mode: off."
    }
}

/// Tells what each picture brings, while this autoscaler leads. Ends with the platform.
pub(crate) async fn announce(mut sources: Sources, leadership: Leadership, events: Events, clock: Clock) {
    let mut announcer = Announcer::default();
    // When more is told of Ingresses, if there is more.
    let mut soonest: Option<Instant> = None;
    loop {
        let snapshot = sources.snapshots.borrow_and_update().clone();
        let notes = sources.notes.borrow_and_update().clone();
        let entries = sources.directory.entries();
        let mut told = announcer.saw(&entries, &snapshot, &notes.all, leadership.leads(), clock.now());
        let now = Instant::now();
        if soonest.is_none_or(|soonest| now >= soonest) {
            let (of_objects, more) = announcer.saw_objects(&notes.objects, leadership.leads());
            told.extend(of_objects);
            soonest = more.then(|| now + PAUSE);
        }
        told.into_iter().for_each(|notice| events.tell(notice));
        let changed = tokio::select! {
            changed = sources.snapshots.changed() => changed,
            changed = sources.notes.changed() => changed,
            () = sleep_until(soonest.unwrap_or(now)), if soonest.is_some() => Ok(()),
        };
        if changed.is_err() {
            return;
        }
    }
}
