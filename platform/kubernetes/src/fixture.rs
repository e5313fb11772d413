//! Objects as an API server would send them, for tests.

use kaos_core::{Moment, WorkloadId};
use serde_json::{Value, json};

use crate::claim::HostRules;
use crate::controller::Controller;
use crate::note::Kind;
use crate::object::Pod;
use crate::part::Part;
use crate::picture::{Picture, Published};
use crate::reduce::StatefulSet;
use crate::wire::{Watched, Wire};

pub(crate) fn rules() -> HostRules {
    HostRules {
        domain: "Example.com".into(),
        cluster_domain: "cluster.local".into(),
        any_host: false,
        allowed: vec![("prod".into(), "*.Shop.test".into())],
    }
}

/// A Deployment with one replica, whose container has a port `http` and a readiness probe on it.
pub(crate) fn deployment(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "namespace": "prod", "name": name, "uid": format!("uid-{name}"), "resourceVersion": "100", "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": annotations,
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name, "tier": "web"}},
                "spec": {"containers": [{
                    "name": "app", "image": "app:1",
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "timeoutSeconds": 2},
                }]},
            },
        },
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1},
    })
}

pub(crate) fn enabled() -> Value {
    json!({"kaos.dev/enabled": "true"})
}

pub(crate) fn service(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": "prod", "name": name, "resourceVersion": "1"},
        "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"app": app},
                 "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
    })
}

/// A slice of `service` with `pods`: (name, address, ready).
pub(crate) fn slice(name: &str, service: &str, pods: &[(&str, &str, bool)]) -> Value {
    let endpoint = |(pod, ip, ready): &(&str, &str, bool)| {
        json!({"addresses": [ip], "conditions": {"ready": ready, "serving": ready, "terminating": false},
               "targetRef": {"kind": "Pod", "namespace": "prod", "name": pod, "uid": format!("uid-{pod}")}})
    };
    let ipv6 = pods.first().is_some_and(|(_, ip, _)| ip.contains(':'));
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"namespace": "prod", "name": name, "resourceVersion": "1",
                     "labels": {"kubernetes.io/service-name": service}},
        "addressType": if ipv6 { "IPv6" } else { "IPv4" },
        "ports": [{"name": "web", "port": 8080}],
        "endpoints": pods.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

/// A pod of `app` whose container waits for `reason`, if there is one.
pub(crate) fn pod(name: &str, template: &str, ip: Option<&str>, waits: Option<&str>) -> Value {
    let state = match waits {
        Some(reason) => json!({"waiting": {"reason": reason, "message": "Back-off pulling image \"app:1\""}}),
        None => json!({"running": {}}),
    };
    json!({
        "metadata": {"namespace": "prod", "name": name, "uid": format!("uid-{name}"), "labels": {"pod-template-hash": template},
                     "creationTimestamp": format!("2026-01-01T00:00:0{}Z", template.len().min(9))},
        "spec": {"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Pending", "podIP": ip, "containerStatuses": [
            {"name": "app", "image": "app:1", "imageID": "", "ready": false, "restartCount": 0, "state": state}]},
    })
}

/// A picture that takes objects one by one.
pub(crate) struct Scene(pub(crate) Picture);

impl Scene {
    pub(crate) fn new() -> Self {
        let mut picture = Picture::new(rules(), true);
        picture.state.states = true;
        Scene(picture)
    }

    /// With a Service `shop` that leads to the Deployment `shop`, and these annotations on it.
    pub(crate) fn shop(annotations: &Value) -> Self {
        let mut scene = Scene::new();
        scene.put(deployment("shop", annotations));
        scene.put(service("shop", "shop"));
        scene
    }

    pub(crate) fn put(&mut self, object: impl Into<Value>) {
        let object = object.into();
        let (name, state) = (name(&object), &mut self.0.state);
        match object["kind"].as_str().unwrap() {
            "Deployment" => state.deployments(Controller::Deployment, Part::One(name, kept(&object))),
            "StatefulSet" => {
                let kept = kept::<StatefulSet>(&object).map(Into::into);
                state.deployments(Controller::StatefulSet, Part::One(name, kept));
            }
            "HorizontalPodAutoscaler" => state.take_scalers(Part::One(name, kept(&object))),
            "Service" => state.take_services(Part::One(name, kept(&object))),
            "EndpointSlice" => state.take_slices(Part::One(name, kept(&object))),
            "Ingress" => state.take_ingresses(Part::One(name, kept(&object))),
            "IngressClass" => state.take_classes(Part::One(name, kept(&object))),
            "GatewayClass" => state.take_gateway_classes(Part::One(name, kept(&object))),
            "Gateway" => state.take_gateways(Part::One(name, kept(&object))),
            "HTTPRoute" => state.take_routes(Part::One(name, kept(&object))),
            "ReferenceGrant" => state.take_grants(Part::One(name, kept(&object))),
            "Namespace" => state.take_spaces(Part::One(name, kept(&object))),
            other => panic!("{other}"),
        }
    }

    /// All lists again, with these and nothing else.
    pub(crate) fn relist<'a>(&mut self, objects: impl Iterator<Item = &'a Value> + Clone) {
        fn all<'a, T: Watched>(objects: impl Iterator<Item = &'a Value>, kind: &str) -> Part<T> {
            as_kept::<T, T>(objects, kind)
        }
        fn as_kept<'a, T: Watched, U: From<T>>(
            objects: impl Iterator<Item = &'a Value>,
            kind: &str,
        ) -> Part<U> {
            let of_kind = objects.filter(|object| object["kind"] == kind);
            let kept = |it: &Value| Some((name(it), Some(kept::<T>(it)?.into())));
            Part::All(None, of_kind.filter_map(kept).collect())
        }
        let state = &mut self.0.state;
        state.deployments(Controller::Deployment, all(objects.clone(), "Deployment"));
        let sets = as_kept::<StatefulSet, _>(objects.clone(), "StatefulSet");
        state.deployments(Controller::StatefulSet, sets);
        state.take_scalers(all(objects.clone(), "HorizontalPodAutoscaler"));
        state.take_services(all(objects.clone(), "Service"));
        state.take_slices(all(objects.clone(), "EndpointSlice"));
        state.take_ingresses(all(objects.clone(), "Ingress"));
        state.take_classes(all(objects.clone(), "IngressClass"));
        state.take_gateway_classes(all(objects.clone(), "GatewayClass"));
        state.take_gateways(all(objects.clone(), "Gateway"));
        state.take_routes(all(objects.clone(), "HTTPRoute"));
        state.take_grants(all(objects, "ReferenceGrant"));
    }

    /// The pods of the Deployment `shop`, as their watch has them.
    pub(crate) fn pods(&mut self, pods: Vec<Value>) {
        let one = |pod: Value| {
            let name = pod["metadata"]["name"].as_str().unwrap().into();
            (name, kept::<Pod>(&pod).unwrap())
        };
        let pods = pods.into_iter().map(one).collect();
        self.0.pods.insert(id("shop"), pods);
        self.0.state.touched.insert(id("shop"));
    }

    pub(crate) fn at(&mut self, seconds: u64) -> Published {
        self.0.publish(Moment::from_secs(seconds))
    }

    /// What is told of one kind, at second 1.
    pub(crate) fn told(&mut self, kind: Kind) -> Vec<String> {
        let notes = self.at(1).notes;
        notes.all.iter().filter(|note| note.kind == kind).map(|note| note.text.clone()).collect()
    }
}

pub(crate) fn id(name: &str) -> WorkloadId {
    WorkloadId::new("prod", name)
}

fn name(object: &Value) -> crate::object::Name {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().into();
    (text("namespace"), text("name"))
}

/// `object` as a watch reads it.
pub(crate) fn wire<T: Watched>(object: &Value) -> Wire<T> {
    serde_json::from_str(&object.to_string()).unwrap()
}

fn kept<T: Watched>(object: &Value) -> Option<T> {
    wire(object).kept.unwrap()
}
