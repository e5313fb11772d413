//! The other proxies: the ready pods of one named headless Service.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use kaos_core::ProxyId;
use kaos_core::snapshot::Phase;
use kube::Client;
use tokio::sync::{mpsc, watch};

use crate::follow::{Follow, Said, Which};
use crate::news::Change;
use crate::object::{Name, Slice};
use crate::part::Part;
use crate::task::Task;

/// Where proxies answer, by their pods' names.
pub type Addresses = BTreeMap<ProxyId, SocketAddr>;

/// The proxies behind a headless Service; dropped, they aren't followed any more.
#[derive(Debug)]
pub struct Peers {
    data: watch::Receiver<Addresses>,
    admin: watch::Receiver<Addresses>,
    _tasks: [Task; 2],
}

/// The Service, and what its ports are called.
#[derive(Clone, Debug)]
pub struct PeerService {
    /// Its namespace.
    pub namespace: String,
    /// Its name, such as `kaos-proxy-peers`.
    pub name: String,
    /// The name of the port where users' requests go.
    pub data_port: String,
    /// The name of the admin port.
    pub admin_port: String,
}

impl Peers {
    /// Follows `service` on the current runtime.
    pub fn watch(client: &Client, service: PeerService) -> Self {
        let (tell_data, data) = watch::channel(Addresses::new());
        let (tell_admin, admin) = watch::channel(Addresses::new());
        let (out, heard) = mpsc::channel(64);
        let follow = Follow::<Slice, _> {
            what: "peers",
            client: client.clone(),
            namespace: Some(service.namespace.clone()),
            which: Which::Labels(format!("kubernetes.io/service-name={}", service.name)),
            change: Box::new(|said: Said<_>| Change::Slices(said.part(None))),
        };
        let tasks = [Task::spawn(follow.run(out)), Task::spawn(tell(service, heard, tell_data, tell_admin))];
        Peers { data, admin, _tasks: tasks }
    }

    /// Data ports of those that are ready: slots are shared over these.
    pub fn data(&self) -> watch::Receiver<Addresses> {
        self.data.clone()
    }

    /// Admin ports of all that have an address, ready or not: whoever may hold a request must be heard.
    pub fn admin(&self) -> watch::Receiver<Addresses> {
        self.admin.clone()
    }
}

async fn tell(
    service: PeerService,
    mut heard: mpsc::Receiver<Change>,
    data: watch::Sender<Addresses>,
    admin: watch::Sender<Addresses>,
) {
    let mut slices: HashMap<Name, Slice> = HashMap::new();
    while let Some(change) = heard.recv().await {
        match change {
            Change::Slices(Part::All(_, all)) => {
                // One that can't be read stays as it is known.
                let read = |(name, slice): (Name, Option<Slice>)| {
                    let slice = slice.or_else(|| slices.remove(&name))?;
                    Some((name, slice))
                };
                slices = all.into_iter().filter_map(read).collect();
            }
            Change::Slices(Part::One(name, Some(slice))) => drop(slices.insert(name, slice)),
            Change::Slices(Part::One(name, None)) => drop(slices.remove(&name)),
            _ => {}
        }
        put(&data, addresses(slices.values(), &service.data_port, |phase| phase == Phase::Ready));
        put(&admin, addresses(slices.values(), &service.admin_port, |_| true));
    }
}

fn put(to: &watch::Sender<Addresses>, addresses: Addresses) {
    to.send_if_modified(|known| {
        let changed = *known != addresses;
        *known = addresses;
        changed
    });
}

/// Of several addresses of one pod the lowest stands: the same one in whatever order they come.
fn addresses<'a>(
    slices: impl Iterator<Item = &'a Slice>,
    port: &str,
    counts: impl Fn(Phase) -> bool,
) -> Addresses {
    let mut found = Addresses::new();
    for slice in slices {
        let Some((_, number)) = slice.ports.iter().find(|(name, _)| **name == *port) else { continue };
        for address in slice.addresses.iter().filter(|it| counts(it.phase) && !it.pod.is_empty()) {
            let at = SocketAddr::new(address.ip, *number);
            let known = found.entry(ProxyId::new(&address.pod)).or_insert(at);
            *known = at.min(*known);
        }
    }
    found
}
