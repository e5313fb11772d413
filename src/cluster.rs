//! What a process in a cluster sees of it: pictures, the directory beside them, what users must be told, and the proxies.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use kaos_core::{EndpointUid, ProxyId, Snapshot, WorkloadId};
use kaos_kubernetes::change::Sources;
use kaos_kubernetes::connect::{Access, connect};
use kaos_kubernetes::peers::{PeerService, Peers};
use kaos_kubernetes::{Client, Cluster, Directory, HostRules, Notes, ReadSettings, Served, Verdicts};
use tokio::sync::watch;

use crate::admin::{Remark, Remarks};
use crate::cli::cluster::{Kubeconfig, Member, Peers as Said};
use crate::clock::Clock;
use crate::failure::Failure;

/// What the ports of the headless Service are called: where requests are taken, and where the proxies are asked.
pub(crate) const REQUESTS: &str = "http";
/// See [`REQUESTS`].
pub(crate) const ADMIN: &str = "metrics";
/// The proxies' Service, where requests come in.
pub(crate) const ENTRY: &str = "kaos-proxy";

/// Where each proxy answers.
pub(crate) type Addresses = BTreeMap<ProxyId, SocketAddr>;

/// A cluster that is watched; dropped, it isn't any more.
pub(crate) struct Watched {
    /// For those who write.
    pub(crate) client: Client,
    /// The pictures.
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    cluster: Cluster,
    proxies: Proxies,
}

/// Where the proxies are known from.
enum Proxies {
    Found(Peers),
    /// The sender keeps the one value there.
    Fixed(watch::Sender<Addresses>),
}

/// Reaches the API server that `kubeconfig` means, and the namespace that it means.
pub(crate) async fn reach(kubeconfig: &Kubeconfig) -> Result<(Client, String), Failure> {
    let access = Access { kubeconfig: kubeconfig.kubeconfig.clone(), context: kubeconfig.context.clone() };
    connect(&access).await.map_err(Failure::Configuration)
}

/// Counts found at adoption.
pub(crate) type Originals = Arc<HashMap<WorkloadId, u32>>;

/// What a process has in its pictures beside what all have.
pub(crate) enum Part {
    /// What Ingresses and HTTPRoutes lead to, though nobody has adopted it.
    Proxy,
    /// The counts found at adoption, where they are on record, and what is known of the Secrets that Gateways name.
    Autoscaler(watch::Receiver<Originals>, watch::Receiver<Verdicts>),
}

/// Begins to watch.
pub(crate) async fn watch(member: &Member, clock: Clock, part: Part) -> Result<Watched, Failure> {
    let (client, _) = reach(&member.kubeconfig).await?;
    let (backends, originals, verdicts) = match part {
        Part::Proxy => (true, None, None),
        Part::Autoscaler(originals, verdicts) => (false, Some(originals), Some(verdicts)),
    };
    let settings = ReadSettings {
        namespaces: member.namespaces.clone(),
        hosts: HostRules {
            domain: member.inferred.domain.clone(),
            cluster_domain: member.cluster_domain.clone(),
            any_host: member.any_host,
            allowed: member.allow_hosts.clone(),
        },
        ingress_class: member.ingress_class.clone(),
        gateway_class: member.gateway_class.clone(),
        entry: (member.home.system_namespace.clone(), ENTRY.to_owned()),
        verdicts,
        statuses: !backends,
        backends,
        // Who passes requests on asks nobody whose a count is.
        scalers: !backends,
        origin: clock.origin(),
        originals,
    };
    let proxies = match &member.peers {
        Said::Fixed(proxies) => Proxies::Fixed(watch::Sender::new(proxies.clone())),
        Said::Service(namespace, name) => {
            let service = PeerService {
                namespace: namespace.as_ref().unwrap_or(&member.home.system_namespace).clone(),
                name: name.clone(),
                data_port: REQUESTS.into(),
                admin_port: ADMIN.into(),
            };
            Proxies::Found(Peers::watch(&client, service))
        }
    };
    let cluster = Cluster::watch(&client, settings);
    Ok(Watched { client, snapshots: cluster.snapshots(), cluster, proxies })
}

impl Watched {
    /// What the writing side reads.
    pub(crate) fn sources(&self) -> Sources {
        Sources {
            directory: self.directory(),
            snapshots: self.snapshots.clone(),
            synced: self.cluster.synced(),
            notes: self.cluster.notes(),
            statuses: self.cluster.statuses(),
        }
    }

    /// The Ingresses and Gateways that are served.
    pub(crate) fn served(&self) -> watch::Receiver<Arc<[Served]>> {
        self.cluster.served()
    }

    fn directory(&self) -> Arc<Directory> {
        self.cluster.directory()
    }

    /// Where the proxies that are ready take requests: a hard limit is shared between these.
    pub(crate) fn ready(&self) -> watch::Receiver<Addresses> {
        match &self.proxies {
            Proxies::Found(peers) => peers.data(),
            Proxies::Fixed(proxies) => proxies.subscribe(),
        }
    }

    /// Where proxies are asked.
    pub(crate) fn admins(&self) -> watch::Receiver<Addresses> {
        match &self.proxies {
            Proxies::Found(peers) => peers.admin(),
            Proxies::Fixed(proxies) => proxies.subscribe(),
        }
    }

    /// What users must be told.
    pub(crate) fn remarks(&self) -> Arc<dyn Remarks> {
        Arc::new(Noted { notes: self.cluster.notes(), directory: self.directory() })
    }

    /// Waits until the first picture is whole.
    pub(crate) async fn synced(&self) -> Result<(), Failure> {
        let mut synced = self.cluster.synced();
        let whole = synced.wait_for(|synced| *synced).await.map(drop);
        whole.map_err(|_| Failure::Failed("the watches on the cluster have ended: a fault of Kaos".into()))
    }

    /// Whether the first picture is whole.
    pub(crate) fn is_synced(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let synced = self.cluster.synced();
        move || *synced.borrow()
    }

    /// Whether the proxy `id` is among those that are known; always, if their list is fixed.
    pub(crate) fn lists(&self, id: &ProxyId) -> impl Fn() -> bool + Send + Sync + 'static {
        let found = match &self.proxies {
            Proxies::Found(peers) => Some(peers.admin()),
            Proxies::Fixed(_) => None,
        };
        let id = id.clone();
        move || found.as_ref().is_none_or(|peers| peers.borrow().contains_key(&id))
    }
}

struct Noted {
    notes: watch::Receiver<Notes>,
    directory: Arc<Directory>,
}

impl Remarks for Noted {
    fn invalid(&self) -> usize {
        self.notes.borrow().invalid
    }

    fn of(&self, workload: &WorkloadId) -> Vec<Remark> {
        let notes = self.notes.borrow().all.clone();
        let of = notes.iter().filter(|note| note.workload == *workload);
        of.map(|note| Remark {
            reason: note.kind.reason(),
            warns: note.kind.warns(),
            text: note.text.clone(),
        })
        .collect()
    }

    fn pod(&self, workload: &WorkloadId, replica: &EndpointUid) -> Option<Arc<str>> {
        Some(self.directory.entry(workload)?.pods.get(replica)?.name.clone())
    }
}
