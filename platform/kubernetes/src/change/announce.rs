//! What people are told about their Deployments, from one picture of the cluster to the next. Pure: `now` is an argument.
//!
//! Transitions only: a failure that lasts, a mode that stays and an annotation that is still wrong are told once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kaos_core::snapshot::Mode;
use kaos_core::{Moment, Snapshot, WorkloadId};
use tokio::sync::watch;

use super::clock::Clock;
use super::events::{Events, Notice, Reason};
use super::lead::Leadership;
use crate::directory::{Directory, Entry};

/// So many changes of a count by others within this are a contest, as the autoscaler counts them.
const CONTEST: usize = 3;
const CONTEST_SPAN: Duration = Duration::from_secs(600);

/// What was there at the last look.
#[derive(Debug, Default)]
pub(crate) struct Announcer {
    seen: HashMap<WorkloadId, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    uid: Arc<str>,
    replicas: u32,
    failure: Option<String>,
    observed: Option<String>,
    invalid: Arc<[String]>,
    foreign: VecDeque<Moment>,
}

impl Announcer {
    /// The picture is this one. Returns what there is to tell.
    pub(crate) fn saw(
        &mut self,
        entries: &HashMap<WorkloadId, Arc<Entry>>,
        snapshot: &Snapshot,
        now: Moment,
    ) -> Vec<Notice> {
        self.seen.retain(|id, seen| entries.get(id).is_some_and(|entry| entry.uid == seen.uid));
        let mut told = Vec::new();
        for (id, entry) in entries {
            let failure = snapshot.workload(id).and_then(|workload| workload.failure.as_ref());
            let failure = failure.filter(|failure| failure.known).map(|failure| &failure.detail);
            let fresh = !self.seen.contains_key(id);
            let seen = self.seen.entry(id.clone()).or_insert_with(|| Seen {
                uid: entry.uid.clone(),
                replicas: entry.replicas,
                ..Seen::default()
            });
            let mut tell = |reason, note| {
                told.push(Notice { workload: id.clone(), uid: entry.uid.to_string(), reason, note });
            };
            for sentence in entry.invalid.iter().filter(|sentence| !seen.invalid.contains(sentence)) {
                tell(Reason::InvalidAnnotation, sentence.clone());
            }
            seen.invalid = entry.invalid.clone();
            let observed = match &entry.mode {
                Mode::Observe(why) if entry.adopted => Some(why),
                _ => None,
            };
            if let Some(why) = observed.filter(|why| seen.observed.as_ref() != Some(*why)) {
                tell(Reason::ObserveOnly, format!("its count isn't changed: {why}"));
            }
            seen.observed = observed.cloned();
            if let Some(detail) = failure.filter(|_| seen.failure.is_none()) {
                tell(Reason::StartFailed, detail.clone());
            }
            seen.failure = failure.cloned();
            if !fresh && let Some(contest) = seen.contest(entry, now) {
                tell(Reason::ReplicasContested, contest);
            }
            seen.replicas = entry.replicas;
        }
        told
    }
}

impl Seen {
    /// Counts a change by others; a sentence when that makes a contest.
    fn contest(&mut self, entry: &Entry, now: Moment) -> Option<String> {
        let contender = entry.contender.as_ref().filter(|_| entry.adopted && entry.mode == Mode::Scale)?;
        if entry.replicas == self.replicas {
            return None;
        }
        self.foreign.push_back(now);
        while self.foreign.front().is_some_and(|at| now.since(*at) > CONTEST_SPAN) {
            self.foreign.pop_front();
        }
        if self.foreign.len() < CONTEST {
            return None;
        }
        self.foreign.clear();
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
        "Delete the HorizontalPodAutoscaler, or set kaos.dev/mode: off."
    } else {
        "Let one of the two own the count: stop the other, or set kaos.dev/mode: off."
    }
}

/// Tells what each picture brings, while this autoscaler leads. Ends with the platform.
pub(crate) async fn announce(
    directory: Arc<Directory>,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    leadership: Leadership,
    events: Events,
    clock: Clock,
) {
    let mut announcer = Announcer::default();
    loop {
        let snapshot = snapshots.borrow_and_update().clone();
        let told = announcer.saw(&directory.entries(), &snapshot, clock.now());
        if leadership.leads() {
            told.into_iter().for_each(|notice| events.tell(notice));
        }
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}
