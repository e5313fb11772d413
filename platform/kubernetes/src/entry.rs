//! Where requests come in: what the Service of the proxies says of its own addresses. Ingresses are told the same.

use std::sync::Arc;

use kube::Client;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};

use crate::follow::{Follow, Said, Which};
use crate::protobuf::Message;
use crate::task::Task;
use crate::wire::{BalancerStatus, Meta, Parts, Watched};

/// Addresses and names, as the Service has them.
pub type Addresses = Arc<[Box<str>]>;

/// A Service, as far as where it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entrance(Vec<Box<str>>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(rename = "type")]
    kind: Option<Box<str>>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<Box<str>>>,
    #[serde(rename = "externalIPs")]
    external_ips: Option<Vec<Box<str>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    load_balancer: Option<BalancerStatus>,
}

/// As controllers of Ingresses have it: of one with a load balancer what that got, else addresses that somebody leads to the
/// nodes, else the cluster's own.
impl Watched for Entrance {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "services";
    const MESSAGE: Option<&'static Message> = None;

    fn reduce(_: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        let spec: Spec = parts.spec()?.unwrap_or_default();
        let status: Status = parts.status()?.unwrap_or_default();
        let balanced = spec.kind.as_deref() == Some("LoadBalancer");
        let mut all: Vec<Box<str>> = status.load_balancer.unwrap_or_default().points().collect();
        all.extend(spec.external_ips.into_iter().flatten());
        if all.is_empty() && !balanced {
            let own = spec.cluster_ips.into_iter().flatten();
            all = own.filter(|ip| &**ip != "None" && !ip.is_empty()).collect();
        }
        Ok(Some(Entrance(all)))
    }
}

/// A Service that is followed; dropped, it isn't any more.
#[derive(Debug)]
pub struct Entry {
    addresses: watch::Receiver<Addresses>,
    _tasks: [Task; 2],
}

impl Entry {
    /// Follows the Service `name` of `namespace` on the current runtime.
    pub fn watch(client: &Client, namespace: &str, name: &str) -> Self {
        let (out, mut heard) = mpsc::channel::<Option<Entrance>>(1);
        let (tell, addresses) = watch::channel(Addresses::default());
        let follow = Follow::<Entrance, _> {
            what: "the proxies' service",
            client: client.clone(),
            namespace: Some(namespace.to_owned()),
            which: Which::Named(name.to_owned()),
            change: Box::new(|said| match said {
                Said::All(all) => all.into_iter().next().and_then(|(_, service)| service),
                Said::One(_, service) => service,
            }),
        };
        let telling = async move {
            while let Some(service) = heard.recv().await {
                // One that is gone is being made anew: who was told where it is stays told.
                let Some(Entrance(all)) = service else { continue };
                tell.send_if_modified(|known| {
                    let changed = **known != *all;
                    *known = all.into();
                    changed
                });
            }
        };
        Entry { addresses, _tasks: [Task::spawn(follow.run(out)), Task::spawn(telling)] }
    }

    /// Its addresses; none while it has none, or nothing is known of it.
    pub fn addresses(&self) -> watch::Receiver<Addresses> {
        self.addresses.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::wire;

    #[test]
    fn an_entry_is_where_its_service_is_reached() {
        let read = |spec: Value, points: Value| {
            let service = json!({"metadata": {"namespace": "kaos", "name": "proxy"}, "spec": spec,
                                 "status": {"loadBalancer": {"ingress": points}}});
            let all = wire::<Entrance>(&service).kept.unwrap().unwrap().0;
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let cluster = json!({"type": "ClusterIP", "clusterIPs": ["10.0.0.7", "fd00::7"]});
        assert_eq!(read(cluster, Value::Null), ["10.0.0.7", "fd00::7"]);
        let node = json!({"type": "NodePort", "clusterIPs": ["10.0.0.7"], "externalIPs": ["192.0.2.1"]});
        assert_eq!(read(node, Value::Null), ["192.0.2.1"]);
        let balanced = json!({"type": "LoadBalancer", "clusterIPs": ["10.0.0.7"]});
        assert!(read(balanced.clone(), Value::Null).is_empty());
        let points = json!([{"ip": "192.0.2.9"}, {"hostname": "lb.example.com"}, {}]);
        assert_eq!(read(balanced, points), ["192.0.2.9", "lb.example.com"]);
        assert!(read(json!({"clusterIPs": ["None"]}), Value::Null).is_empty());
    }
}
