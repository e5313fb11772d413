//! Whatever comes in whatever order: what was built piece by piece is what is built from nothing.

use kaos_core::condition::Unasked;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::controller::Controller;
use crate::fixture::{Scene, deployment, service, slice};
use crate::part::Part;

/// An object as it is from here on, or that it is gone.
#[derive(Clone, Debug)]
enum Step {
    Put(Value),
    Drop(&'static str, String),
    /// Everything is looked at.
    Publish,
    /// Every list is said again, whole.
    Relist,
}

fn key(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["name"]))
}

fn any_deployment() -> impl Strategy<Value = Value> {
    let host = select(vec![None, Some("a.shop.test"), Some("b.shop.test, a.shop.test")]);
    let kind = select(vec!["Deployment", "StatefulSet"]);
    (select(vec!["one", "two", "three"]), host, any::<bool>(), 1..4_u8, (1..4_u64, kind)).prop_map(
        |(name, host, on, path, (version, kind))| {
            let mut annotations =
                json!({"kaos.dev/enabled": on.to_string(), "kaos.dev/path": format!("/{}", path % 2)});
            if let Some(host) = host {
                annotations["kaos.dev/host"] = json!(host);
            }
            let mut it = deployment(name, &annotations);
            it["metadata"]["resourceVersion"] = json!(version.to_string());
            it["metadata"]["uid"] = json!(format!("{kind}-{name}"));
            it["kind"] = json!(kind);
            it["spec"]["template"]["metadata"]["labels"]["app"] = json!(if path == 3 { "one" } else { name });
            it
        },
    )
}

fn any_service() -> impl Strategy<Value = Value> {
    let kind = select(vec!["ClusterIP", "NodePort", "ExternalName"]);
    (select(vec!["one", "two", "x"]), select(vec!["one", "two", "three"]), kind).prop_map(
        |(name, app, kind)| {
            let mut it = service(name, app);
            it["spec"]["type"] = json!(kind);
            it
        },
    )
}

fn any_scaler() -> impl Strategy<Value = Value> {
    let kind = select(vec!["Deployment", "StatefulSet"]);
    (select(vec!["h", "i"]), kind, select(vec!["one", "two", "x"]), 0..3_u8).prop_map(
        |(name, kind, target, least)| {
            let target = json!({"apiVersion": "apps/v1", "kind": kind, "name": target});
            json!({"kind": "HorizontalPodAutoscaler", "metadata": {"namespace": "prod", "name": name},
                   "spec": {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": 5}})
        },
    )
}

fn any_ingress() -> impl Strategy<Value = Value> {
    let host = select(vec!["", "a.shop.test", "*.shop.test", "elsewhere.test"]);
    let service = select(vec!["one", "two", "x"]);
    (select(vec!["i", "j"]), host, service, 0..4_u8, any::<bool>()).prop_map(
        |(name, host, service, path, ours)| {
            let backend = json!({"service": {"name": service, "port": {"number": if path == 3 { 81 } else { 80 }}}});
            let paths = json!([{"path": format!("/{}", path % 2), "pathType": "Prefix", "backend": backend}]);
            let size = if path == 2 { json!({"nginx.ingress.kubernetes.io/proxy-body-size": "1m"}) } else { json!({}) };
            json!({
                "kind": "Ingress",
                "metadata": {"namespace": "prod", "name": name, "uid": format!("u{name}"), "annotations": size,
                             "creationTimestamp": format!("202{}-01-01T00:00:00Z", 5 + path % 2)},
                "spec": {"ingressClassName": if ours { "kaos" } else { "nginx" }, "defaultBackend": backend,
                         "rules": [{"host": host, "http": {"paths": paths}}]},
            })
        },
    )
}

/// A scene that serves the class `kaos`.
fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.0.state.classes.only = Some("kaos".into());
    scene
}

fn any_slice() -> impl Strategy<Value = Value> {
    let pods = prop::collection::vec(
        (select(vec!["p", "q", "r"]), select(vec!["10.1.0.1", "10.1.0.2"]), any::<bool>()),
        0..3,
    );
    (select(vec!["s", "t"]), select(vec!["one", "two", "x"]), pods)
        .prop_map(|(name, service, pods)| slice(name, service, &pods))
}

fn step() -> impl Strategy<Value = Step> {
    let gone = prop_oneof![
        select(vec!["one", "two", "three"]).prop_map(|name| Step::Drop("Deployment", name.to_owned())),
        select(vec!["one", "two", "three"]).prop_map(|name| Step::Drop("StatefulSet", name.to_owned())),
        select(vec!["h", "i"]).prop_map(|name| Step::Drop("HorizontalPodAutoscaler", name.to_owned())),
        select(vec!["one", "two", "x"]).prop_map(|name| Step::Drop("Service", name.to_owned())),
        select(vec!["s", "t"]).prop_map(|name| Step::Drop("EndpointSlice", name.to_owned())),
        select(vec!["i", "j"]).prop_map(|name| Step::Drop("Ingress", name.to_owned())),
    ];
    prop_oneof![
        3 => any_deployment().prop_map(Step::Put),
        3 => any_service().prop_map(Step::Put),
        3 => any_slice().prop_map(Step::Put),
        3 => any_ingress().prop_map(Step::Put),
        3 => any_scaler().prop_map(Step::Put),
        2 => gone,
        3 => Just(Step::Publish),
        1 => Just(Step::Relist),
    ]
}

fn shown(scene: &mut Scene) -> Value {
    let published = scene.at(1);
    let find = |host: &str, path: &str| {
        let route = published.snapshot.routes.route(host, path, &Unasked)?;
        let at = route.leads.pick(|| 0)?;
        Some(format!("{} {:?}", published.snapshot.workloads[at].id, route.rule))
    };
    let mut routes = Vec::new();
    for host in ["a.shop.test", "b.shop.test", "c.test", "one.prod.example.com", "one.prod", "two.prod.svc"] {
        routes.extend(["/", "/0", "/1"].map(|path| find(host, path)));
    }
    let mut pods: Vec<String> = published
        .entries
        .iter()
        .map(|(id, entry)| format!("{id} {:?} {} {:?}", entry.controller, entry.adopted, entry.mode))
        .collect();
    pods.sort();
    let notes: Vec<String> = published.notes.all.iter().map(|note| format!("{note:?}")).collect();
    let served = format!("{:?} {:?}", published.served, published.notes.objects);
    json!([published.snapshot.workloads, routes, pods, notes, published.notes.invalid, served])
}

proptest! {
    #[test]
    fn piece_by_piece_is_as_from_nothing(steps in prop::collection::vec(step(), 0..40)) {
        let mut scene = scene();
        let mut objects = std::collections::BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(object) => {
                    objects.insert(key(&object), object.clone());
                    scene.put(object);
                }
                Step::Drop(kind, name) => {
                    let at = ("prod".into(), name.as_str().into());
                    match kind {
                        "Deployment" => {
                            scene.0.state.deployments(Controller::Deployment, Part::One(at, None));
                        }
                        "StatefulSet" => {
                            scene.0.state.deployments(Controller::StatefulSet, Part::One(at, None));
                        }
                        "HorizontalPodAutoscaler" => scene.0.state.take_scalers(Part::One(at, None)),
                        "Service" => scene.0.state.take_services(Part::One(at, None)),
                        "Ingress" => scene.0.state.take_ingresses(Part::One(at, None)),
                        _ => scene.0.state.take_slices(Part::One(at, None)),
                    }
                    objects.remove(&(kind.to_owned(), name));
                }
                Step::Publish => drop(scene.at(1)),
                Step::Relist => {
                    scene.relist(objects.values());
                    let published = scene.at(1);
                    prop_assert!(published.snapshot.workloads.windows(2).all(|pair| pair[0].id < pair[1].id));
                }
            }
        }
        let mut fresh = self::scene();
        objects.into_values().for_each(|object| fresh.put(object));
        prop_assert_eq!(shown(&mut scene), shown(&mut fresh));
    }
}
