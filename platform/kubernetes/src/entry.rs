//! Where requests come in: what the Service of the proxies says of its own addresses and ports. Ingresses and Gateways are told
//! the same.

use std::sync::Arc;

use serde::Deserialize;

use crate::protobuf::Message;
use crate::wire::{BalancerStatus, Meta, Parts, Watched};

/// Addresses and names, as the Service has them.
pub type Addresses = Arc<[Box<str>]>;

/// The proxies' Service, as far as where it is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entrance {
    /// None while it has none, or nothing is known of it.
    pub(crate) addresses: Addresses,
    /// The port that is called `http`: what comes there has no TLS.
    pub(crate) http: Option<u16>,
    /// The port that is called `https`.
    pub(crate) https: Option<u16>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(rename = "type")]
    kind: Option<Box<str>>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<Box<str>>>,
    #[serde(rename = "externalIPs")]
    external_ips: Option<Vec<Box<str>>>,
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
struct Port {
    name: Option<Box<str>>,
    port: Option<u16>,
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
        let ports = spec.ports.unwrap_or_default();
        let port = |name: &str| ports.iter().find(|port| port.name.as_deref() == Some(name))?.port;
        Ok(Some(Entrance { addresses: all.into(), http: port("http"), https: port("https") }))
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
            let all = wire::<Entrance>(&service).kept.unwrap().unwrap().addresses;
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
        let ports = json!({"ports": [{"name": "http", "port": 80}, {"name": "x", "port": 81}]});
        let entrance = wire::<Entrance>(&json!({"metadata": {}, "spec": ports})).kept.unwrap().unwrap();
        assert_eq!((entrance.http, entrance.https), (Some(80), None));
    }
}
