//! Changing the cluster: counts, holds, deletion costs, the Lease, Events, and the counts to come back to.
//!
//! Begin at `scale.rs` (what the autoscaler asks for) and `call.rs` (how anything is asked of the API server). It knows
//! what to write, never when: that is decided elsewhere.
//!
//! The rights it needs are those of [`crate::rights`].

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use kaos_core::{Moment, Snapshot, WorkloadId};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

mod adopt;
#[cfg(test)]
mod adopt_test;
mod announce;
#[cfg(test)]
mod announce_test;
mod call;
#[cfg(test)]
mod call_test;
mod clock;
mod compare;
mod events;
mod fault;
mod lead;
#[cfg(test)]
mod lead_test;
mod lease;
mod object;
mod originals;
mod patch;
mod restore;
mod scale;
#[cfg(test)]
mod scale_test;
mod shards;
mod shelf;
#[cfg(test)]
mod shelf_test;
mod target;
#[cfg(test)]
mod target_test;
mod tell;
#[cfg(test)]
mod tell_test;
#[cfg(test)]
mod testing;
mod uninstall;
mod victims;
#[cfg(test)]
mod victims_test;

pub use call::Clients;
pub use clock::Clock;
pub use compare::Choices;
pub use events::Reason;
pub use object::{Selector, encode};
pub use originals::{SHARDS, shard_name};
pub use restore::Restoration;
pub use shelf::{Learned, forget, place as learned_place};
pub use uninstall::{Plan, Trouble, Uninstall};

use crate::directory::Directory;
use crate::note::Notes;
use crate::status::Status;
use adopt::{Keeper, Signals};
use call::Api;
use events::Events;
use lead::{Candidate, Lead, Leadership};
use originals::{Kept, Originals};
use scale::Holdings;
use target::Places;

/// The names of all ConfigMaps, in the order of the manifests.
pub fn configmaps() -> Vec<String> {
    let originals = (0..SHARDS).map(shard_name);
    originals.chain((0..shelf::SHARDS).map(shelf::shard_name)).collect()
}

/// The Lease that autoscalers contend for, if nothing else is said.
pub const LEASE: &str = "kaos-autoscaler";

/// Who writes, and where Kaos itself lives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Kaos's own namespace: of the Lease and the ConfigMaps.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// Names this process for people: the pod.
    pub pod: String,
    /// What leadership is measured with.
    pub clock: Clock,
}

/// What there is to read.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What is known of each Deployment; it changes with each snapshot.
    pub directory: Arc<Directory>,
    /// The pictures.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The first picture is whole.
    pub synced: watch::Receiver<bool>,
    /// What people must be told of their workloads.
    pub notes: watch::Receiver<Notes>,
    /// What the statuses of other objects are to say.
    pub statuses: watch::Receiver<Arc<[Status]>>,
}

/// The cluster, as the autoscaler writes to it.
pub struct Kubernetes {
    api: Arc<Api>,
    directory: Arc<Directory>,
    leadership: Leadership,
    clock: Clock,
    kept: Kept,
    holdings: Holdings,
    places: Arc<Places>,
    events: Events,
    restores: mpsc::Sender<victims::Restore>,
    retiring: Arc<victims::Retiring>,
    looks: mpsc::Sender<compare::Choice>,
    choices: Arc<Choices>,
    dropped: Arc<AtomicU64>,
    /// Namespaces without the right to write deletion costs, and until when that is believed.
    without_right: Mutex<HashMap<String, Moment>>,
}

/// Everything that changes the cluster. Dropping it stops it at once; [`Changing::stop`] lets others lead at once.
pub struct Changing {
    platform: Arc<Kubernetes>,
    leading: watch::Receiver<bool>,
    lead: Lead,
    namespace: String,
    tasks: JoinSet<()>,
    parts: Vec<AbortHandle>,
}

impl Changing {
    /// Begins: stands for election, keeps counts, tells people. `clients` must not retry by themselves. Needs a tokio runtime.
    pub fn start(clients: impl Into<Clients>, sources: Sources, settings: Settings) -> Changing {
        let Settings { namespace, lease, pod, clock } = settings;
        let Sources { directory, snapshots, synced, notes, statuses } = sources.clone();
        let api = Arc::new(Api::new(clients));
        let dropped = Arc::new(AtomicU64::new(0));
        let (events, notices) = Events::new(dropped.clone());
        let (restores, restored) = mpsc::channel(victims::RESTORES);
        let (looks, looked) = mpsc::channel(compare::CHOICES);
        let (leads, leading) = watch::channel(false);
        let leadership = Leadership::new(clock.clone());
        let places = Arc::new(Places::default());
        let (kept, choices, retiring) = (Kept::default(), Arc::new(Choices::default()), Arc::default());
        let platform = Arc::new(Kubernetes {
            api: api.clone(),
            directory: directory.clone(),
            leadership: leadership.clone(),
            clock: clock.clone(),
            kept: kept.clone(),
            holdings: Holdings::default(),
            places: places.clone(),
            events: events.clone(),
            restores,
            retiring: Arc::clone(&retiring),
            looks,
            choices: choices.clone(),
            dropped: dropped.clone(),
            without_right: Mutex::default(),
        });
        let keeper = Keeper {
            api: api.clone(),
            originals: Originals::new(api.clone(), &namespace, kept.clone()),
            kept,
            directory: directory.clone(),
            leadership: leadership.clone(),
            events: events.clone(),
            notes,
            places,
            refused: HashMap::new(),
            absent: HashMap::new(),
            left: HashMap::new(),
        };
        let telling = tell::Telling {
            api: api.clone(),
            leadership: leadership.clone(),
            leading: leading.clone(),
            statuses,
        };
        let mut tasks = JoinSet::new();
        let id = format!("{pod}_{:032x}", fastrand::u128(..));
        let candidate = Candidate { namespace: namespace.clone(), lease, id };
        let parts = vec![
            tasks.spawn(api.clone().stay_warm(candidate.path())),
            tasks.spawn(events::send(api.clone(), notices, pod, dropped)),
            tasks.spawn(victims::restore(api.clone(), directory.clone(), retiring, restored)),
            tasks.spawn(compare::compare(api.clone(), events.clone(), choices, looked)),
            tasks.spawn(keeper.run(Signals { snapshots, synced, leading: leading.clone() })),
            tasks.spawn(telling.run()),
            tasks.spawn(announce::announce(sources, leadership.clone(), events, clock)),
        ];
        let lead = Lead::start(api, candidate, leadership, leads);
        let parts = parts.into_iter().chain([lead.handle()]).collect();
        Changing { platform, leading, lead, namespace, tasks, parts }
    }

    /// Whether every part still runs: none ends before all are stopped.
    pub fn runs(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let parts = self.parts.clone();
        move || !parts.iter().any(AbortHandle::is_finished)
    }

    /// Where the autoscaler writes.
    pub fn platform(&self) -> Arc<Kubernetes> {
        self.platform.clone()
    }

    /// Where what was learned is kept.
    pub fn learned(&self) -> Learned {
        Learned::new(self.platform.api.clone(), &self.namespace, self.platform.leadership.clone())
    }

    /// Whether this autoscaler leads.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.leading.clone()
    }

    /// The counts found at adoption, once this autoscaler has led; empty before.
    pub fn originals(&self) -> watch::Receiver<Arc<HashMap<WorkloadId, u32>>> {
        self.platform.kept.counts()
    }

    /// Stops, and gives the Lease back so that another leads at once. To be called when nothing is written any more.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.lead.release().await;
    }
}

impl Kubernetes {
    /// How the platform's choices of pods came out against ours.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// Events that weren't written: too many at once, or refused.
    pub fn dropped_events(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Kubernetes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Kubernetes").field("leads", &self.leadership.leads()).finish_non_exhaustive()
    }
}
