//! The reading side as a whole: watches on one end, snapshots, directory and notes on the other.
//!
//! One task owns all that is known of the cluster. The first change is published at once, those that follow at most every
//! [`PACE`]. Before everything was listed once nothing is published; an API server that is lost later changes nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kaos_core::{Moment, Snapshot, WorkloadId};
use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::info;

use crate::claim::HostRules;
use crate::directory::Directory;
use crate::news::Change;
use crate::note::Notes;
use crate::part::List;
use crate::picture::Picture;
use crate::plan::Served;
use crate::state::Verdicts;
use crate::status::Status;
use crate::task::Task;
use crate::waking::Waking;
use crate::watches::{Watch, Watches};

/// Least time between two snapshots.
pub const PACE: Duration = Duration::from_millis(20);

/// Most changes that wait to be taken in; a watch that has more to say waits too.
const CHANGES: usize = 1024;

/// What is read, and by which rules.
#[derive(Clone, Debug)]
pub struct ReadSettings {
    /// The namespaces that are read. Empty: all.
    pub namespaces: Vec<String>,
    /// Which hosts may be claimed.
    pub hosts: HostRules,
    /// Ingresses of this class are served, and no IngressClass is read. `None`: those of every class whose controller is
    /// [`CONTROLLER`](crate::ingress::CONTROLLER).
    pub ingress_class: Option<String>,
    /// Gateways of this class are served, and neither GatewayClasses nor Namespaces are read. `None`: those of every class whose
    /// controller is [`CONTROLLER`](crate::gateway::CONTROLLER).
    pub gateway_class: Option<String>,
    /// The proxies' Service, where requests come in: its namespace and name.
    pub entry: (String, String),
    /// What is known of the Secrets that Gateways name: for who says it there.
    pub verdicts: Option<watch::Receiver<Verdicts>>,
    /// Whether what Ingresses and HTTPRoutes lead to is in the snapshots though nobody has adopted it: for who passes requests on.
    pub backends: bool,
    /// Whether HorizontalPodAutoscalers are read: for who decides on counts.
    pub scalers: bool,
    /// Whether it is found out what statuses are to say: for who writes them.
    pub statuses: bool,
    /// Where [`Moment`]s count from.
    pub origin: std::time::Instant,
    /// Counts before Kaos came, where they are on record: the default of `max-scale` doesn't depend on a restart then.
    pub originals: Option<watch::Receiver<Arc<HashMap<WorkloadId, u32>>>>,
}

/// A cluster that is being read; dropped, it isn't any more.
#[derive(Debug)]
pub struct Cluster {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    notes: watch::Receiver<Notes>,
    synced: watch::Receiver<bool>,
    directory: Arc<Directory>,
    served: watch::Receiver<Arc<[Served]>>,
    statuses: watch::Receiver<Arc<[Status]>>,
    _watches: Vec<Watch>,
    _task: Task,
}

impl Cluster {
    /// Reads the cluster behind `client` on the current runtime.
    pub fn watch(client: &Client, settings: ReadSettings) -> Self {
        let (changes, heard) = mpsc::channel(CHANGES);
        let (tell_snapshot, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let (tell_notes, notes) = watch::channel(Notes::default());
        let (tell_synced, synced) = watch::channel(false);
        let directory = Arc::new(Directory::default());
        let scopes: Vec<Option<String>> = match settings.namespaces.as_slice() {
            [] => vec![None],
            some => some.iter().collect::<HashSet<_>>().into_iter().cloned().map(Some).collect(),
        };
        let (tell_served, served) = watch::channel(Arc::default());
        let (tell_statuses, statuses) = watch::channel(Arc::default());
        let watches = Watches { client: client.clone(), scopes, out: changes.clone() };
        let mut begun = watches.everywhere(settings.scalers);
        if settings.ingress_class.is_none() {
            begun.push(watches.all(Change::Classes));
        }
        if settings.gateway_class.is_none() {
            begun.push(watches.all(Change::GatewayClasses));
        }
        begun.push(watches.entrance(settings.entry));
        let mut picture = Picture::new(settings.hosts, settings.backends);
        picture.state.classes.only = settings.ingress_class.map(Into::into);
        picture.state.gateways.only = settings.gateway_class.map(Into::into);
        picture.state.verdicts = settings.verdicts.as_ref().map(|verdicts| verdicts.borrow().clone());
        picture.state.states = settings.statuses;
        let mut reader = Reader {
            picture,
            waking: Waking::new(client.clone(), changes),
            watches,
            gateways: Vec::new(),
            lists: begun.iter().map(|watch| watch.list.clone()).collect(),
            verdicts: settings.verdicts,
            statuses: tell_statuses,
            origin: settings.origin,
            originals: settings.originals,
            directory: directory.clone(),
            snapshots: tell_snapshot,
            notes: tell_notes,
            served: tell_served,
            synced: tell_synced,
            published: None,
        };
        reader.follow_gateways();
        let task = Task::spawn(reader.run(heard));
        Cluster { snapshots, notes, synced, directory, served, statuses, _watches: begun, _task: task }
    }

    /// The latest snapshot; an empty one of version 0 until everything was listed once.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// What a write needs to know beyond the snapshot: at least as new.
    pub fn directory(&self) -> Arc<Directory> {
        self.directory.clone()
    }

    /// What users must be told.
    pub fn notes(&self) -> watch::Receiver<Notes> {
        self.notes.clone()
    }

    /// What the statuses of Ingresses, Gateways and HTTPRoutes are to say.
    pub fn statuses(&self) -> watch::Receiver<Arc<[Status]>> {
        self.statuses.clone()
    }

    /// The Ingresses and Gateways that are served.
    pub fn served(&self) -> watch::Receiver<Arc<[Served]>> {
        self.served.clone()
    }

    /// Whether everything was listed once: never false again after that.
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.synced.clone()
    }
}

/// Owns what is known.
struct Reader {
    picture: Picture,
    waking: Waking,
    watches: Watches,
    /// The watches of what is worth to be known where there is a class of Gateways.
    gateways: Vec<Watch>,
    /// Lists that haven't been seen whole yet.
    lists: HashSet<List>,
    origin: std::time::Instant,
    originals: Option<watch::Receiver<Arc<HashMap<WorkloadId, u32>>>>,
    directory: Arc<Directory>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    notes: watch::Sender<Notes>,
    verdicts: Option<watch::Receiver<Verdicts>>,
    served: watch::Sender<Arc<[Served]>>,
    statuses: watch::Sender<Arc<[Status]>>,
    synced: watch::Sender<bool>,
    published: Option<Instant>,
}

impl Reader {
    async fn run(mut self, mut heard: mpsc::Receiver<Change>) {
        loop {
            let next = self.next();
            tokio::select! {
                change = heard.recv() => match change {
                    Some(change) => self.take(change),
                    None => return,
                },
                () = news(&mut self.originals) => self.recall(),
                () = news(&mut self.verdicts) => self.judge(),
                () = at(next) => self.publish(),
            }
            // Bounded, for others may say things as fast as they are taken.
            for _ in 0..CHANGES {
                let Ok(change) = heard.try_recv() else { break };
                self.take(change);
            }
        }
    }

    /// When to publish next. `None`: when something changes.
    fn next(&self) -> Option<Instant> {
        if !self.lists.is_empty() {
            return None;
        }
        let Some(published) = self.published else { return Some(Instant::now()) };
        let soonest = published + PACE;
        if self.picture.state.has_changed() {
            return Some(soonest);
        }
        let due = self.picture.next_due()?;
        let now = self.now();
        Some(soonest.max(Instant::now() + due.since(now)))
    }

    fn now(&self) -> Moment {
        Moment::at(self.origin, Instant::now().into_std())
    }

    fn take(&mut self, change: Change) {
        let list = change.list();
        match change {
            Change::Deployments(controller, part) => self.picture.state.deployments(controller, part),
            Change::Scalers(part) => self.picture.state.take_scalers(part),
            Change::Services(part) => self.picture.state.take_services(part),
            Change::Slices(part) => self.picture.state.take_slices(part),
            Change::Ingresses(part) => self.picture.state.take_ingresses(part),
            Change::Classes(part) => self.picture.state.take_classes(part),
            Change::GatewayClasses(part) => {
                self.picture.state.take_gateway_classes(part);
                self.follow_gateways();
            }
            Change::Gateways(part) => self.picture.state.take_gateways(part),
            Change::Routes(part) => self.picture.state.take_routes(part),
            Change::Grants(part) => self.picture.state.take_grants(part),
            Change::Spaces(part) => self.picture.state.take_spaces(part),
            Change::Entrance(entrance) => self.picture.state.take_entrance(entrance),
            Change::Pods(id, number, pods) if self.waking.heeds(&id, number) => {
                if pods.put(self.picture.pods.entry(id.clone()).or_default()) {
                    self.picture.state.touched.insert(id);
                }
            }
            Change::Pods(..) => {}
        }
        if let Some(list) = list {
            self.lists.remove(&list);
        }
    }

    /// Watches what belongs to Gateways where there is a class of them, and nothing where there is none.
    fn follow_gateways(&mut self) {
        let gateways = &self.picture.state.gateways;
        if !gateways.are_wanted() {
            for watch in self.gateways.drain(..) {
                self.lists.remove(&watch.list);
            }
        } else if self.gateways.is_empty() {
            self.gateways = self.watches.gateways(gateways.only.is_none());
            if self.published.is_none() {
                self.lists.extend(self.gateways.iter().map(|watch| watch.list.clone()));
            }
        }
    }

    /// Something else is known of Secrets.
    fn judge(&mut self) {
        let verdicts = self.verdicts.as_mut().map(|verdicts| verdicts.borrow_and_update().clone());
        self.picture.state.rerouted |= self.picture.state.verdicts != verdicts;
        self.picture.state.verdicts = verdicts;
    }

    /// Counts that have come on record: those workloads are built again.
    fn recall(&mut self) {
        let Some(originals) = &mut self.originals else { return };
        let originals = originals.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.picture.originals, originals);
        let changed = self.picture.originals.iter().filter(|(id, count)| before.get(id) != Some(count));
        self.picture.state.touched.extend(changed.map(|(id, _)| id.clone()));
    }

    fn publish(&mut self) {
        self.published = Some(Instant::now());
        let published = self.picture.publish(self.now());
        // First the directory: whoever sees a workload finds what belongs to it.
        self.directory.replace(published.entries);
        self.snapshots.send_replace(published.snapshot);
        self.served.send_if_modified(|served| {
            let changed = *served != published.served;
            *served = published.served;
            changed
        });
        self.statuses.send_if_modified(|known| {
            let changed = !Arc::ptr_eq(known, &published.statuses);
            *known = published.statuses;
            changed
        });
        self.notes.send_if_modified(|told| {
            let changed = *told != published.notes;
            let before = std::mem::replace(told, published.notes);
            for note in
                told.all.iter().filter(|note| note.kind.warns() && before.all.binary_search(note).is_err())
            {
                info!(workload = %note.workload, reason = note.kind.reason(), "{}", note.text);
            }
            let warns = told.objects.iter().filter(|note| note.kind.warns());
            for note in warns.filter(|note| before.objects.binary_search(note).is_err()) {
                info!(
                    object = format!("{} {}/{}", note.of.kind().1, note.namespace, note.name),
                    reason = note.kind.reason(),
                    "{}",
                    note.text
                );
            }
            changed
        });
        self.synced.send_if_modified(|synced| !std::mem::replace(synced, true));
        let wanted = self.picture.waking().map(|(id, selector)| (id.clone(), selector.into())).collect();
        for stopped in self.waking.watch(&wanted) {
            if self.picture.pods.remove(&stopped).is_some() {
                self.picture.state.touched.insert(stopped);
            }
        }
    }
}

/// Returns at `moment`; never, if there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Returns when there is something new; never, if nobody says something.
async fn news<T>(from: &mut Option<watch::Receiver<T>>) {
    match from {
        Some(receiver) => {
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}
