//! Objects of every shape: what isn't said, what is said wrongly, and that nothing is read otherwise than by the library's
//! own types.

use std::fmt::Debug;

use k8s_openapi::api::{apps, core, discovery};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fixture::{deployment, enabled, pod, service, slice, wire};
use crate::list::List;
use crate::object::{Action, Deployment, Pod, Service, Slice, Template};
use crate::wire::{Watched, Wire};

/// Puts `value` at `path` of `object`, or takes away what is there.
fn put(object: &mut Value, path: &str, value: Option<Value>) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    let Some(Value::Object(parent)) = object.pointer_mut(parent) else { return };
    match value {
        Some(value) => drop(parent.insert(key.to_owned(), value)),
        None => drop(parent.remove(key)),
    }
}

fn with(mut object: Value, path: &str, value: Value) -> Value {
    put(&mut object, path, Some(value));
    object
}

fn shop() -> Value {
    deployment("shop", &enabled())
}

fn template(sent: &Value) -> Template {
    wire::<Deployment>(sent).kept.unwrap().unwrap().template
}

#[test]
fn what_isnt_said_or_null_is_as_the_api_has_it() {
    let mut bare =
        json!({"metadata": {"namespace": "prod", "name": "shop", "uid": "u", "annotations": enabled()}});
    for object in [bare.clone(), with(bare.clone(), "/spec", Value::Null), {
        put(&mut bare, "/spec", Some(json!({"replicas": null, "selector": null, "template": null})));
        put(&mut bare, "/status", Some(Value::Null));
        put(&mut bare, "/metadata/labels", Some(Value::Null));
        put(&mut bare, "/metadata/managedFields", Some(Value::Null));
        bare
    }] {
        let read = wire::<Deployment>(&object);
        let kept = read.kept.unwrap().unwrap();
        assert_eq!((kept.replicas, kept.version, kept.selector.as_deref()), (1, None, None));
        assert!(kept.rolling && kept.template.containers.is_empty() && kept.trouble.is_none());
    }
    let nothing = json!({"metadata": {"namespace": "prod", "name": "x"}});
    assert_eq!(wire::<Service>(&nothing).kept, Ok(None));
    assert_eq!(wire::<Slice>(&nothing).kept, Ok(None));
    assert_eq!(wire::<Pod>(&nothing).kept, Ok(None));
    assert_eq!(wire::<Deployment>(&json!({})).name, None);
    let bare =
        json!({"metadata": {"namespace": "prod", "name": "p", "uid": "u"}, "spec": null, "status": null});
    let kept = wire::<Pod>(&bare).kept.unwrap().unwrap();
    assert!(kept.address.is_none() && kept.trouble.is_none() && kept.lives);
}

#[test]
fn what_isnt_read_may_have_any_shape() {
    let odd = || json!([{"a": [1.5e300, true, null, "\u{1F600}\n"]}, [[[]]]]);
    let mut object = shop();
    for path in [
        "/more",
        "/metadata/finalizers",
        "/metadata/annotations/else",
        "/spec/strategy",
        "/spec/template/spec/volumes",
        "/spec/template/spec/containers/0/env",
        "/spec/template/spec/containers/0/image",
        "/status/readyReplicas",
    ] {
        put(&mut object, path, Some(odd()));
    }
    let (plain, odd_one) =
        (wire::<Deployment>(&shop()).kept.unwrap(), wire::<Deployment>(&object).kept.unwrap());
    let (mut plain, odd_one) = (plain.unwrap(), odd_one.unwrap());
    assert_ne!(plain.template.hash, odd_one.template.hash);
    plain.template.hash = odd_one.template.hash;
    assert_eq!(plain, odd_one);
    let service_one = with(with(service("s", "shop"), "/spec/sessionAffinity", odd()), "/status", odd());
    assert_eq!(wire::<Service>(&service_one).kept, wire::<Service>(&service("s", "shop")).kept);
    let odd_slice = with(slice("s", "shop", &[("a", "10.1.0.1", true)]), "/endpoints/0/nodeName", odd());
    assert_eq!(
        wire::<Slice>(&odd_slice).kept,
        wire::<Slice>(&slice("s", "shop", &[("a", "10.1.0.1", true)])).kept
    );
    // Of Deployments that don't concern Kaos nothing but their metadata is read.
    let others = with(deployment("other", &json!({})), "/spec", odd());
    assert_eq!(wire::<Deployment>(&others).kept, Ok(None));
}

#[test]
fn what_cant_be_read_says_what_and_whose() {
    for (path, value, said) in [
        ("/spec/replicas", json!("three"), "spec: invalid type: string \"three\", expected i32"),
        ("/spec/template/spec/containers", json!({"a": 1}), "spec.template: invalid type: map"),
        ("/status/conditions", json!(true), "status: invalid type: boolean"),
        ("/metadata/labels", json!({"a": 1}), "metadata: invalid type: integer `1`, expected a string"),
        ("/metadata/managedFields", json!("all"), "metadata.managedFields: invalid type: string"),
        ("/metadata/uid", json!(7), "metadata: invalid type: integer `7`"),
    ] {
        let read = wire::<Deployment>(&with(shop(), path, value));
        let wrong = read.kept.as_ref().unwrap_err();
        assert!(wrong.starts_with(said), "{path}: {wrong}");
        assert_eq!(read.name, Some(("prod".into(), "shop".into())), "{path}");
        assert_eq!(read.version.as_deref(), Some("100"), "{path}");
    }
    let long = wire::<Deployment>(&with(shop(), "/spec/replicas", json!("x".repeat(100_000))));
    assert!(long.kept.unwrap_err().len() < 1000);
    let nameless = wire::<Deployment>(&with(shop(), "/metadata/name", json!(7)));
    assert_eq!(nameless.name, None);
    assert!(nameless.kept.is_err());
}

#[test]
fn a_page_is_read_though_one_of_it_cant_be() {
    let page = json!({"kind": "DeploymentList", "apiVersion": "apps/v1", "metadata": {"resourceVersion": "7"},
                      "items": [shop(), with(shop(), "/spec", json!(3)), deployment("other", &enabled())]});
    let (mut list, mut read) = (List::default(), Vec::new());
    let mut found = |object: Wire<Deployment>| read.push(object.kept.is_ok());
    list.take(page.to_string().as_bytes(), &mut found).unwrap();
    assert_eq!(list.end(&mut found).unwrap().resource_version.as_deref(), Some("7"));
    assert_eq!(read, [true, false, true]);
}

#[test]
fn the_template_changes_with_anything_in_it_and_with_nothing_else() {
    let plain = template(&shop());
    for path in [
        "/spec/template/metadata/annotations",
        "/spec/template/spec/containers/0/image",
        "/spec/template/spec/volumes",
        "/spec/template/unknown",
    ] {
        assert_ne!(template(&with(shop(), path, json!("app:2"))).hash, plain.hash, "{path}");
    }
    for path in ["/spec/replicas", "/metadata/generation", "/status/replicas"] {
        assert_eq!(template(&with(shop(), path, json!(9))), plain, "{path}");
    }
}

#[test]
fn probes_of_every_kind_are_read() {
    let probe = |probe: Value| {
        let sent = with(shop(), "/spec/template/spec/containers/0/readinessProbe", probe);
        let template = template(&sent);
        template.containers[0].readiness.as_ref().unwrap().action.clone()
    };
    assert_eq!(probe(json!({"exec": {"command": ["true"]}})), Action::Exec);
    assert_eq!(probe(json!({"tcpSocket": {}})), Action::Exec);
    assert_eq!(probe(json!({"httpGet": {"port": 70000}})), Action::Exec);
    assert_eq!(
        probe(json!({"grpc": {"port": 9, "service": null}})),
        Action::Grpc { port: 9, service: "".into() }
    );
    let Action::Http { headers, path, tls, host, .. } =
        probe(json!({"httpGet": {"port": "http", "path": "x", "scheme": "HTTPS",
        "host": "", "httpHeaders": [{"name": "Host", "value": "a"}, {"name": "X"}]}}))
    else {
        panic!("no HTTP");
    };
    assert_eq!((&*path, tls, host), ("/x", true, false));
    assert_eq!(*headers, [("Host".into(), "a".into()), ("X".into(), "".into())]);
}

/// `base` with each of `parts` as it is, taken away, null, or one of its values.
fn varied(base: Value, parts: Vec<(&'static str, Value)>) -> impl Strategy<Value = Value> {
    let picks: Vec<_> = parts.iter().map(|(_, values)| 0..values.as_array().unwrap().len() + 3).collect();
    picks.prop_map(move |picks| {
        let mut object = base.clone();
        for (pick, (path, values)) in picks.into_iter().zip(&parts) {
            match pick {
                0 => {}
                1 => put(&mut object, path, None),
                2 => put(&mut object, path, Some(Value::Null)),
                some => put(&mut object, path, Some(values[some - 3].clone())),
            }
        }
        object
    })
}

pub(crate) fn any_deployment() -> impl Strategy<Value = Value> {
    let writer = |manager: &str, time: &str, replicas: bool| {
        let spec = if replicas { json!({"f:replicas": {}}) } else { json!({"f:paused": {}}) };
        json!({"manager": manager, "operation": "Update", "time": time, "subresource": "scale", "fieldsV1": {"f:spec": spec}})
    };
    let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "m\nm"});
    let probes = json!([{"tcpSocket": {"port": 80, "host": "x"}}, {"grpc": {"port": 9}}, {"exec": {"command": ["x"]}},
                        {"httpGet": {"port": 0}, "timeoutSeconds": -1, "successThreshold": 3}]);
    let side = json!({"name": "side", "restartPolicy": "Always", "ports": [{"name": "s", "containerPort": 1, "protocol": "UDP"}]});
    varied(
        deployment("shop", &enabled()),
        vec![
            ("/metadata/generation", json!([3])),
            ("/metadata/resourceVersion", json!(["x"])),
            ("/metadata/creationTimestamp", json!(["2026-02-01T00:00:00Z"])),
            ("/metadata/deletionTimestamp", json!(["2026-02-01T00:00:00Z"])),
            (
                "/metadata/labels",
                json!([{"serving.knative.dev/service": "k"}, {"scaledobject.keda.sh/name": "k"}]),
            ),
            (
                "/metadata/annotations",
                json!([{}, {"kaos.dev/enabled": "true", "a": "1", "kaos.dev/a": "{\"a\": \"\\n\"}"}]),
            ),
            (
                "/metadata/ownerReferences",
                json!([[{"apiVersion": "serving.knative.dev/v1", "kind": "R", "name": "r", "uid": "u"}]]),
            ),
            (
                "/metadata/managedFields",
                json!([
                [writer("a", "2026-01-01T00:00:00Z", true), writer("keda-operator", "2026-01-02T00:00:00Z", true)],
                [writer("a", "2026-01-01T00:00:00Z", true), writer("b", "2026-01-02T00:00:00Z", false)],
                [{"manager": "kaos", "fieldsV1": {"f:spec": {"f:replicas": {}}}}, {"manager": "x"}]]),
            ),
            ("/spec/replicas", json!([0, 5, -1])),
            (
                "/spec/selector",
                json!([{}, {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]),
            ),
            ("/spec/template/metadata", json!([{}, {"labels": {"b": "2", "a": "1"}}])),
            ("/spec/template/spec/initContainers", json!([[side], []])),
            ("/spec/template/spec/readinessGates", json!([[], [{"conditionType": "x"}]])),
            ("/spec/template/spec/containers/0/startupProbe", probes.clone()),
            ("/spec/template/spec/containers/0/readinessProbe", probes),
            (
                "/status",
                json!([{}, {"observedGeneration": 9, "replicas": 2, "updatedReplicas": 1,
                "conditions": [condition("ReplicaFailure", "True", "FailedCreate"), condition("Progressing", "False", "x")]},
                {"observedGeneration": 9, "conditions": [condition("Progressing", "False", "ProgressDeadlineExceeded")]}]),
            ),
        ],
    )
}

pub(crate) fn any_service() -> impl Strategy<Value = Value> {
    varied(
        service("shop", "shop"),
        vec![
            ("/metadata/name", json!(["other"])),
            ("/spec/type", json!(["NodePort", "ExternalName", "LoadBalancer"])),
            ("/spec/clusterIP", json!(["None"])),
            ("/spec/selector", json!([{}, {"z": "1", "a": "2"}])),
            (
                "/spec/ports",
                json!([[], [{"port": 70000}, {"port": 1, "protocol": "UDP"}, {"port": 2, "targetPort": 0},
                {"port": 3, "targetPort": "x", "appProtocol": "kubernetes.io/h2c"}]]),
            ),
        ],
    )
}

pub(crate) fn any_slice() -> impl Strategy<Value = Value> {
    let conditions = json!([{}, {"ready": null, "terminating": true}, {"ready": false}]);
    varied(
        slice("s", "shop", &[("a", "10.1.0.1", true), ("b", "10.1.0.2", false)]),
        vec![
            ("/addressType", json!(["IPv6", "FQDN"])),
            ("/metadata/labels", json!([{}, {"kubernetes.io/service-name": "other"}])),
            (
                "/ports",
                json!([[], [{"port": null}, {"port": 1, "protocol": "SCTP"}, {"name": "x", "port": 5}]]),
            ),
            ("/endpoints/0/conditions", conditions),
            ("/endpoints/0/addresses", json!([[], ["x"], ["127.0.0.1"], ["10.1.0.9", "10.1.0.8"]])),
            (
                "/endpoints/1/targetRef",
                json!([{}, {"kind": "Node", "uid": "u"}, {"kind": "Pod", "namespace": "else", "uid": "u", "name": "n"}]),
            ),
        ],
    )
}

pub(crate) fn any_pod() -> impl Strategy<Value = Value> {
    let unplaced =
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3"});
    varied(
        pod("a", "1", Some("10.1.0.1"), Some("ImagePullBackOff")),
        vec![
            ("/metadata/labels", json!([{}])),
            ("/metadata/deletionTimestamp", json!(["2026-02-01T00:00:00Z"])),
            ("/status/phase", json!(["Failed", "Running"])),
            ("/status/podIP", json!(["x", "169.254.169.254"])),
            ("/status/nominatedNodeName", json!(["", "node"])),
            ("/status/conditions", json!([[], [unplaced], [{"type": "Ready", "status": "True"}]])),
            (
                "/status/containerStatuses/0/state",
                json!([{"waiting": {"reason": "CrashLoopBackOff"}}, {"running": {}}]),
            ),
            ("/status/containerStatuses/0/lastState", json!([{"terminated": {"exitCode": 3}}])),
            (
                "/status/initContainerStatuses",
                json!([[{"name": "i", "image": "x", "state": {"waiting": {"reason": "ErrImagePull", "message": "m"}}}]]),
            ),
        ],
    )
}

/// What is read of `sent` is what is read of that which the library's own type has of it.
fn agrees<K: DeserializeOwned + Serialize, T: Watched + PartialEq + Debug>(
    sent: &Value,
    but: fn(&mut T),
) -> Result<(), TestCaseError> {
    let library: K = serde_json::from_value(sent.clone()).unwrap();
    let (ours, theirs) = (wire::<T>(sent), wire::<T>(&serde_json::to_value(&library).unwrap()));
    let read = |wire: Wire<T>| {
        let mut kept = wire.kept.unwrap();
        kept.iter_mut().for_each(but);
        (wire.name, kept)
    };
    prop_assert_eq!(read(ours), read(theirs));
    Ok(())
}

/// Something that is wrong nearly everywhere.
fn odd() -> impl Strategy<Value = Value> {
    let odd =
        json!([null, true, -1, 1.5, 1e300, "", "x", [], [[]], [null], [{}], {}, {"a": {"b": []}}, u64::MAX]);
    prop::sample::select(odd.as_array().unwrap().clone())
}

/// Every place in `object`.
fn places(object: &Value, at: &str, all: &mut Vec<String>) {
    let within: Vec<(String, &Value)> = match object {
        Value::Object(map) => map.iter().map(|(name, value)| (name.replace('/', "~1"), value)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in within {
        let at = format!("{at}/{name}");
        places(value, &at, all);
        all.push(at);
    }
}

/// `base` with something odd in a few of its places.
fn broken(base: Value) -> impl Strategy<Value = Value> {
    let mut all = Vec::new();
    places(&base, "", &mut all);
    prop::collection::vec((prop::sample::select(all), odd()), 1..4).prop_map(move |breaks| {
        let mut object = base.clone();
        for (at, odd) in breaks {
            if let Some(place) = object.pointer_mut(&at) {
                *place = odd;
            }
        }
        object
    })
}

proptest! {
    #[test]
    fn whatever_is_in_an_object_only_it_suffers(
        (deployment, service, slice, pod) in (
            broken(shop()), broken(service("s", "shop")), broken(slice("s", "shop", &[("a", "10.1.0.1", true)])),
            broken(pod("a", "1", Some("10.1.0.1"), Some("CrashLoopBackOff"))),
        )
    ) {
        // Each is read, or says why not: what can't be read at all would be an error of the whole list.
        prop_assert!(wire::<Deployment>(&deployment).kept.err().is_none_or(|wrong| !wrong.is_empty()));
        prop_assert!(wire::<Service>(&service).kept.err().is_none_or(|wrong| !wrong.is_empty()));
        prop_assert!(wire::<Slice>(&slice).kept.err().is_none_or(|wrong| !wrong.is_empty()));
        prop_assert!(wire::<Pod>(&pod).kept.err().is_none_or(|wrong| !wrong.is_empty()));
    }

    #[test]
    fn the_librarys_types_read_the_same(
        (deployment, service, slice, pod) in (any_deployment(), any_service(), any_slice(), any_pod())
    ) {
        // The text of a template is another one.
        agrees::<apps::v1::Deployment, Deployment>(&deployment, |it| it.template.hash = 0)?;
        agrees::<core::v1::Service, Service>(&service, |_| {})?;
        agrees::<discovery::v1::EndpointSlice, Slice>(&slice, |_| {})?;
        agrees::<core::v1::Pod, Pod>(&pod, |_| {})?;
    }
}
