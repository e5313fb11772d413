//! Workloads come and go: the count of each that is adopted is kept, and one that leaves is put back.
//!
//! Only the leader does it, on transitions. What the directory doesn't show is no proof: a workload counts as left when
//! the picture is whole, it has been missing for a while, and the API server itself has been asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::annotation::ScaleTarget;
use kaos_core::snapshot::Mode;
use kaos_core::{Snapshot, WorkloadId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::call::Api;
use super::events::{Events, Notice, Of, Reason};
use super::fault::Fault;
use super::lead::Leadership;
use super::originals::{Change, Kept, Original, Originals};
use super::restore;
use super::target::Places;
use crate::directory::{Directory, Entry};
use crate::note::Notes;

/// A workload that isn't Kaos's to scale any more is put back after this: people correct themselves.
const GRACE: Duration = Duration::from_secs(2);

/// One whose annotations became unreadable: somebody is at work on them.
const INVALID_GRACE: Duration = Duration::from_secs(60);

/// After a failure, and at most so long without a look.
const RETRY: Duration = Duration::from_secs(5);
const NAP: Duration = Duration::from_secs(600);

/// So many conflicts in a row are told.
const CONFLICTS: u32 = 3;

/// One that comes back within this has its old count: what the directory shows may be older than our own write.
const RETURN: Duration = Duration::from_secs(60);

/// Most workloads that are put back before the next look at who comes.
const LEAVES: usize = 16;

/// Most `scale-target`s that are tried before the next look at who leaves.
const TRIALS: usize = 16;

/// The task.
pub(crate) struct Keeper {
    pub(crate) api: Arc<Api>,
    pub(crate) originals: Originals,
    pub(crate) kept: Kept,
    pub(crate) directory: Arc<Directory>,
    pub(crate) leadership: Leadership,
    pub(crate) events: Events,
    pub(crate) notes: watch::Receiver<Notes>,
    pub(crate) places: Arc<Places>,
    /// Whose `scale-target` can't be scaled.
    pub(crate) refused: HashMap<WorkloadId, Failing>,
    /// Not ours to scale any more.
    pub(crate) absent: HashMap<WorkloadId, Absence>,
    /// Put back since when: the directory may still show the count before.
    pub(crate) left: HashMap<WorkloadId, (Original, Instant)>,
}

/// One that isn't ours to scale any more.
#[derive(Debug)]
pub(crate) struct Absence {
    since: Instant,
    failing: Failing,
}

/// Something that couldn't be done.
#[derive(Debug)]
pub(crate) struct Failing {
    /// Not tried again before, so that others have their turn.
    again: Instant,
    /// The reason that was told last.
    said: String,
}

impl Failing {
    fn new(now: Instant) -> Self {
        Failing { again: now, said: String::new() }
    }

    /// It failed, for this reason. Whether that is news.
    fn failed(&mut self, why: &str) -> bool {
        self.again = Instant::now() + RETRY;
        let news = self.said != why;
        why.clone_into(&mut self.said);
        news
    }
}

/// What it listens to.
pub(crate) struct Signals {
    /// The directory changes with each.
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The picture is whole.
    pub(crate) synced: watch::Receiver<bool>,
    pub(crate) leading: watch::Receiver<bool>,
}

impl Keeper {
    /// Runs until the platform is gone.
    pub(crate) async fn run(mut self, mut signals: Signals) {
        let mut loaded = false;
        let (mut said, mut conflicts) = (String::new(), 0);
        loop {
            let ready = *signals.leading.borrow_and_update() && *signals.synced.borrow_and_update();
            signals.snapshots.borrow_and_update();
            let mut next = Instant::now() + NAP;
            if ready {
                match self.pass(&mut loaded).await {
                    Ok(due) => {
                        said.clear();
                        conflicts = 0;
                        next = due.unwrap_or(next);
                    }
                    // Somebody else wrote a ConfigMap, or a count that was being put back: both are read again.
                    Err(Fault::Conflict) => {
                        (loaded, next) = (false, Instant::now() + RETRY);
                        conflicts += 1;
                        if conflicts == CONFLICTS {
                            warn!(
                                "somebody else keeps writing Kaos's ConfigMaps, or counts that are put back"
                            );
                        }
                    }
                    Err(fault) => {
                        next = Instant::now() + RETRY;
                        let text = fault.to_string();
                        if text != said {
                            warn!(
                                why = text,
                                "counts can't be kept; nothing new goes to sleep until they can"
                            );
                            said = text;
                        }
                    }
                }
            } else {
                loaded = false;
                self.kept.doubt();
                self.absent.clear();
                self.refused.clear();
            }
            tokio::select! {
                changed = signals.snapshots.changed(), if ready => if changed.is_err() { return },
                changed = signals.leading.changed() => if changed.is_err() { return },
                changed = signals.synced.changed() => if changed.is_err() { return },
                () = sleep_until(next) => {}
            }
        }
    }

    /// One look. Returns when the next is due though nothing happens.
    async fn pass(&mut self, loaded: &mut bool) -> Result<Option<Instant>, Fault> {
        if !*loaded {
            self.originals.load().await?;
            *loaded = true;
        }
        let entries = self.directory.entries();
        let kept = self.kept.all();
        self.left.retain(|_, (_, at)| at.elapsed() < RETURN);
        let before = |id| self.left.get(id).map(|(original, _)| original);
        let adoptions: Vec<Change> =
            entries.iter().filter_map(|(id, entry)| adoption(id, entry, &kept, before(id))).collect();
        let awaited =
            |id: &WorkloadId| entries.get(id).is_some_and(|entry| adoption(id, entry, &kept, None).is_some());
        self.refused.retain(|id, _| awaited(id));
        let (adoptions, again) = self.at_targets(adoptions).await;
        let leadership = self.leadership.clone();
        let written = self.originals.write(&adoptions, || leadership.leads()).await;
        for (workload, original) in adoptions.into_iter().filter_map(|(id, kept)| Some((id, kept?))) {
            if !self.kept.has(&workload, &original.uid, original.target.as_ref()) {
                continue;
            }
            info!(%workload, replicas = original.replicas, "adopted");
            let note = self.welcome(&workload, original.replicas);
            self.events.tell(Notice {
                of: Of::Workload(original.controller),
                workload,
                uid: original.uid,
                reason: Reason::Adopted,
                note,
            });
        }
        // A ConfigMap that can't be written keeps nobody from leaving.
        let due = self.leave(&entries).await;
        written.and(due).map(|due| due.into_iter().chain(again).min())
    }

    /// Those whose count another object has are adopted with that, once it may be changed. Of the others people are told why
    /// not, and this is when they are looked at again.
    async fn at_targets(&mut self, adoptions: Vec<Change>) -> (Vec<Change>, Option<Instant>) {
        let now = Instant::now();
        let (mut able, mut tried, mut due) = (Vec::new(), 0, None);
        for (workload, change) in adoptions {
            let Some((original, target)) = change.as_ref().and_then(|one| Some((one, one.target.as_ref()?)))
            else {
                able.push((workload, change));
                continue;
            };
            let mut again = self.refused.get(&workload).map_or(now, |failing| failing.again);
            if again <= now && tried < TRIALS {
                tried += 1;
                match self.places.count(&self.api, &workload, target).await {
                    Ok(count) => {
                        let replicas = original.replicas.max(count);
                        able.push((workload, Some(Original { replicas, ..original.clone() })));
                        continue;
                    }
                    Err(fault) => again = self.refuse(original, target, &fault),
                }
            }
            due = Some(due.map_or(again, |due: Instant| due.min(again)).max(now));
        }
        (able, due)
    }

    /// The count at its `target` can't be changed. When it is tried again.
    fn refuse(&mut self, original: &Original, target: &ScaleTarget, fault: &Fault) -> Instant {
        let Original { workload, controller, uid, .. } = original;
        let note = self.places.trouble(workload, target, fault);
        let failing = self.refused.entry(workload.clone()).or_insert_with(|| Failing::new(Instant::now()));
        let news = failing.failed(&note);
        let again = failing.again;
        if news {
            warn!(%workload, why = note, "its scale-target can't be scaled; tried again until it can");
            let (of, workload, uid) = (Of::Workload(*controller), workload.clone(), uid.clone());
            self.events.tell(Notice { of, workload, uid, reason: Reason::TargetNotScaled, note });
        }
        again
    }

    /// What an adoption is told with: the count that comes back, and whatever was inferred.
    fn welcome(&self, workload: &WorkloadId, replicas: u32) -> String {
        let notes = self.notes.borrow();
        let facts = notes.all.iter().filter(|note| note.workload == *workload && !note.kind.is_told_again());
        let facts: String = facts.map(|note| format!("; {}", note.text)).collect();
        format!("adopted, with {replicas} replicas to come back to when it leaves{facts}")
    }

    /// Puts back who has left. Returns when the next is due.
    async fn leave(&mut self, entries: &HashMap<WorkloadId, Arc<Entry>>) -> Result<Option<Instant>, Fault> {
        let now = Instant::now();
        let kept = self.kept.all();
        // Under its name there may be an object of the other kind by now.
        let ours = |id: &WorkloadId, original: &Original| {
            entries.get(id).is_some_and(|entry| is_ours(entry) && same_place(entry, original))
        };
        self.absent.retain(|id, _| kept.get(id).is_some_and(|original| !ours(id, original)));
        let mut due: Option<Instant> = None;
        let mut left = Vec::new();
        for (id, original) in kept.iter().filter(|(id, original)| !ours(id, original)) {
            let entry = entries.get(id).map(|entry| &**entry);
            let absence = self
                .absent
                .entry(id.clone())
                .or_insert_with(|| Absence { since: now, failing: Failing::new(now) });
            let at = (absence.since + grace(entry)).max(absence.failing.again);
            if at <= now && left.len() < LEAVES {
                left.push((original.clone(), why(entry, original)));
            } else {
                due = Some(due.map_or(at, |due| due.min(at)).max(now));
            }
        }
        let mut stale = false;
        for (original, why) in left {
            // One that can't be put back is in nobody's way.
            if let Err(fault) = self.put_back(&original, &why).await {
                stale |= fault == Fault::Conflict;
                if let Some(absence) = self.absent.get_mut(&original.workload) {
                    let (workload, why) = (&original.workload, fault.to_string());
                    if absence.failing.failed(&why) {
                        warn!(%workload, why, "it isn't Kaos's to scale any more and can't be put back; tried again until it can");
                    }
                    let again = absence.failing.again;
                    due = Some(due.map_or(again, |due| due.min(again)));
                }
            }
        }
        if stale { Err(Fault::Conflict) } else { Ok(due) }
    }

    /// Puts one back, and tells it once its record is gone: until then it is tried again.
    async fn put_back(&mut self, original: &Original, why: &str) -> Result<(), Fault> {
        let leadership = self.leadership.clone();
        let may = || leadership.leads();
        let workload = &original.workload;
        let plan = restore::plan(&self.api, &self.places, original).await?;
        if let Some(plan) = &plan {
            restore::apply(&self.api, workload, plan, may).await?;
        }
        self.originals.write(&[(workload.clone(), None)], may).await?;
        self.left.insert(workload.clone(), (original.clone(), Instant::now()));
        self.absent.remove(workload);
        if let Some(plan) = plan {
            info!(%workload, from = plan.from, to = plan.to, why, "left");
            let note = match plan.from == plan.to {
                true => format!("{why}: it has {} replicas, as it had before, or more", plan.to),
                false => format!("{why}: put back from {} to {} replicas", plan.from, plan.to),
            };
            let of = Of::Workload(original.controller);
            let (workload, uid) = (workload.clone(), original.uid.clone());
            self.events.tell(Notice { of, workload, uid, reason: Reason::Left, note });
        }
        Ok(())
    }
}

fn is_ours(entry: &Entry) -> bool {
    entry.adopted && entry.mode == Mode::Scale
}

/// The count to keep for a workload that is ours and isn't kept yet.
/// `before` is what it was when it left a moment ago.
fn adoption(
    id: &WorkloadId,
    entry: &Entry,
    kept: &HashMap<WorkloadId, Original>,
    before: Option<&Original>,
) -> Option<Change> {
    let same = |original: &&Original| original.uid == *entry.uid;
    let known = kept.get(id);
    // One of the other kind that had the name is put back first, and so is what had the count.
    let taken = known.is_some_and(|original| !same_place(entry, original));
    (is_ours(entry) && !taken && !known.as_ref().is_some_and(same)).then(|| {
        let before = before.filter(same).map_or(0, |original| original.replicas);
        let replicas = entry.replicas.max(before);
        let (controller, uid) = (entry.controller, entry.uid.to_string());
        let target = entry.target.as_deref().cloned();
        let original = Original { workload: id.clone(), controller, target, replicas, uid };
        (id.clone(), Some(original))
    })
}

/// Whether the count that is kept is that of what has it now.
fn same_place(entry: &Entry, original: &Original) -> bool {
    entry.controller == original.controller && entry.target.as_deref() == original.target.as_ref()
}

fn grace(entry: Option<&Entry>) -> Duration {
    match entry {
        Some(entry) if !entry.adopted && !entry.invalid.is_empty() => INVALID_GRACE,
        _ => GRACE,
    }
}

fn why(entry: Option<&Entry>, original: &Original) -> String {
    match entry {
        Some(entry) if entry.controller != original.controller => {
            format!("its name is a {}'s now", entry.controller.kind())
        }
        Some(entry) if entry.adopted && !same_place(entry, original) => {
            "another object has its count by now (kaos.dev/scale-target)".to_owned()
        }
        Some(Entry { adopted: true, mode: Mode::Observe(why), .. }) => format!("only observed: {why}"),
        Some(Entry { adopted: true, .. }) => "switched off by kaos.dev/mode".to_owned(),
        Some(entry) if !entry.invalid.is_empty() => format!("not adopted: {}", entry.invalid.join("; ")),
        _ => "opted out".to_owned(),
    }
}
