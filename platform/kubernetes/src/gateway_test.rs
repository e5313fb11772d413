//! From Gateways and HTTPRoutes to routes and conditions: what is attached, and what leads where.

use std::sync::Arc;

use kaos_core::condition::{Asked, Condition};
use kaos_core::route::Leads;
use serde_json::{Value, json};

use crate::entry::Entrance;
use crate::fixture::{Scene, enabled, service, slice};
use crate::note::Object;
use crate::picture::Published;
use crate::status::{Fact, Say};

pub(crate) const GROUP: &str = "gateway.networking.k8s.io";

pub(crate) fn object(kind: &str, namespace: &str, name: &str, minute: u32, spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind,
        "metadata": {"namespace": namespace, "name": name, "uid": format!("uid-{name}"), "resourceVersion": "1",
                     "generation": 1, "creationTimestamp": format!("2026-01-01T00:{minute:02}:00Z")},
    });
    object["spec"] = spec;
    object
}

fn class(controller: &str) -> Value {
    json!({"kind": "GatewayClass", "metadata": {"name": "kaos", "uid": "c"}, "spec": {"controllerName": controller}})
}

pub(crate) fn gateway(listeners: Value) -> Value {
    let mut spec = json!({"gatewayClassName": "kaos"});
    spec["listeners"] = listeners;
    object("Gateway", "prod", "front", 0, spec)
}

/// A route that is attached to `front`.
pub(crate) fn route(name: &str, minute: u32, hosts: &[&str], rules: Value) -> Value {
    attached(name, minute, json!({"name": "front"}), hosts, rules)
}

fn attached(name: &str, minute: u32, parent: Value, hosts: &[&str], rules: Value) -> Value {
    let mut spec = json!({"hostnames": hosts});
    (spec["parentRefs"], spec["rules"]) = (Value::Array(vec![parent]), rules);
    object("HTTPRoute", "prod", name, minute, spec)
}

pub(crate) fn to(service: &str) -> Value {
    json!([{"name": service, "port": 80}])
}

pub(crate) fn http() -> Value {
    json!([{"name": "http", "port": 80, "protocol": "HTTP"}])
}

/// `shop` adopted, `web` not, and Kaos's class; requests come in by 80 and 443.
pub(crate) fn scene() -> Scene {
    let mut scene = Scene::shop(&enabled());
    scene.put(slice("shop-1", "shop", &[("shop-a", "10.1.0.1", true)]));
    scene.put(service("web", "web"));
    scene.put(slice("web-1", "web", &[("web-a", "10.1.0.2", true)]));
    scene.put(class("kaos.dev/gateway"));
    scene.0.state.take_entrance(Some(Entrance {
        addresses: Arc::from(["192.0.2.1".into()]),
        http: Some(80),
        https: Some(443),
    }));
    scene
}

/// A request: whether it came over TLS, its method, its one field and its one parameter.
#[derive(Clone, Copy)]
pub(crate) struct Request(bool, &'static str, (&'static str, &'static str), (&'static str, &'static str));

pub(crate) const GET: Request = Request(false, "GET", ("", ""), ("", ""));

impl Asked for Request {
    fn is_secure(&self) -> bool {
        self.0
    }

    fn meets(&self, condition: &Condition) -> bool {
        let is = |all: &[(Box<str>, Box<str>)], has: (&str, &str)| {
            all.iter().all(|(name, value)| (&**name, &**value) == has)
        };
        condition.method.as_deref().is_none_or(|method| method == self.1)
            && is(&condition.headers, self.2)
            && is(&condition.query, self.3)
    }
}

/// Where a request goes: a workload's name, `nowhere`, or what is divided between; `None`: no route.
pub(crate) fn found(published: &Published, request: Request, host: &str, path: &str) -> Option<String> {
    let name = |at: usize| published.snapshot.workloads[at].id.name().to_owned();
    let route = published.snapshot.routes.route(host, path, &request)?;
    Some(match &route.leads {
        Leads::To(at) => name(*at),
        Leads::Among(split) => split.workloads().map(name).collect::<Vec<_>>().join(" "),
        Leads::Nowhere => "nowhere".to_owned(),
    })
}

pub(crate) fn said(published: &Published, of: Object, name: &str) -> Say {
    let all = published.statuses.iter();
    let found = all.into_iter().find(|status| (status.wanted.of, &*status.wanted.name.1) == (of, name));
    (*found.unwrap_or_else(|| panic!("nothing is said of {name}")).wanted.say).clone()
}

pub(crate) fn line(fact: &Fact) -> String {
    format!("{} {} {}", fact.kind, fact.is, fact.reason)
}

/// What is said of the route `name`, of its first parent.
pub(crate) fn of_route(published: &Published, name: &str) -> [String; 2] {
    let Say::Route(parents) = said(published, Object::HttpRoute, name) else { panic!("not a route") };
    [0, 1].map(|at| line(&parents[0].1[at]))
}

pub(crate) const ACCEPTED: &str = "Accepted true Accepted";
pub(crate) const RESOLVED: &str = "ResolvedRefs true ResolvedRefs";

#[test]
fn matches_lead_where_gateway_api_says() {
    let mut scene = scene();
    scene.put(gateway(http()));
    let path = |kind: &str, value: &str| json!({"type": kind, "value": value});
    let header = |value: &str| json!([{"name": "Version", "value": value}]);
    let rules = json!([
        {"matches": [{"path": path("PathPrefix", "/")}, {"path": path("Exact", "/one")}], "backendRefs": to("web")},
        {"matches": [{"path": path("PathPrefix", "/v2")}, {"headers": header("two")}], "backendRefs": to("shop")},
        {"matches": [{"method": "POST"}], "filters": [{"type": "RequestRedirect", "requestRedirect": {}}]},
        {"matches": [{"queryParams": [{"name": "q", "value": "1"}]}], "backendRefs": to("shop")},
    ]);
    scene.put(route("app", 1, &["a.shop.test"], rules));
    let published = scene.at(1);
    let two = ("version", "two");
    for (request, at, leads) in [
        (GET, "/", "web:80"),
        (GET, "/v2/x", "shop"),
        (Request(false, "GET", two, ("", "")), "/", "shop"),
        (Request(false, "GET", two, ("", "")), "/one", "web:80"),
        (Request(false, "POST", two, ("", "")), "/x", "nowhere"),
        (Request(false, "PUT", ("", ""), ("q", "1")), "/x", "shop"),
    ] {
        assert_eq!(found(&published, request, "a.shop.test", at).as_deref(), Some(leads), "{at}");
    }
    assert_eq!(found(&published, Request(true, "GET", ("", ""), ("", "")), "a.shop.test", "/"), None);
    assert_eq!(of_route(&published, "app"), [ACCEPTED, RESOLVED]);
    let redirect =
        published.snapshot.routes.route("a.shop.test", "/x", &Request(false, "POST", ("", ""), ("", "")));
    let redirect = redirect.unwrap().rule.as_ref().unwrap().redirect.clone().unwrap();
    assert_eq!((redirect.status, redirect.listener), (302, Some(80)));
}

#[test]
fn what_is_attached_to_one_listener_is_for_its_requests_alone() {
    let mut scene = scene();
    let tls = json!({"certificateRefs": [{"name": "cert"}]});
    scene.put(gateway(json!([
        {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.shop.test"},
        {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "a.shop.test", "tls": tls},
        {"name": "odd", "port": 81, "protocol": "HTTP"},
        {"name": "tcp", "port": 80, "protocol": "TCP"},
    ])));
    let section = |name: &str| json!({"name": "front", "sectionName": name});
    let redirect = json!({"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}});
    scene.put(attached("plain", 1, section("http"), &[], json!([{"filters": [redirect]}])));
    scene.put(attached("secure", 2, section("https"), &[], json!([{"backendRefs": to("web")}])));
    scene.put(attached("odd", 3, section("odd"), &["b.shop.test"], json!([{"backendRefs": to("web")}])));
    scene.put(attached("none", 4, section("x"), &[], json!([])));
    scene.put(attached("port", 5, json!({"name": "front", "port": 443}), &["b.shop.test"], json!([])));
    let published = scene.at(1);
    let secure = Request(true, "GET", ("", ""), ("", ""));
    for (request, host, leads) in [
        (GET, "a.shop.test", Some("nowhere")),
        (GET, "x.b.shop.test", Some("nowhere")),
        (secure, "a.shop.test", Some("web:80")),
        (secure, "b.shop.test", None),
    ] {
        assert_eq!(found(&published, request, host, "/").as_deref(), leads, "{host}");
    }
    for (name, reason) in [
        ("plain", ACCEPTED),
        ("secure", ACCEPTED),
        ("odd", "Accepted false NoMatchingParent"),
        ("none", "Accepted false NoMatchingParent"),
        ("port", "Accepted false NoMatchingListenerHostname"),
    ] {
        assert_eq!(of_route(&published, name)[0], reason, "{name}");
    }
    let Say::Gateway { addresses, facts, listeners } = said(&published, Object::Gateway, "front") else {
        panic!("not a gateway")
    };
    assert_eq!(
        (&*addresses, line(&facts[0])),
        (&["192.0.2.1".into()][..], "Accepted true ListenersNotValid".into())
    );
    let lines: Vec<(u32, String)> = listeners.iter().map(|one| (one.attached, line(&one.facts[0]))).collect();
    let expected = ["true Accepted", "true Accepted", "false PortUnavailable", "false UnsupportedProtocol"];
    // What isn't accepted isn't counted.
    let expected = [1, 1, 0, 0].into_iter().zip(expected.map(|fact| format!("Accepted {fact}")));
    assert_eq!(lines, expected.collect::<Vec<_>>());
    let certificates = &published.served[0].certificates;
    assert_eq!(
        (certificates[0].0.to_string(), certificates[0].1[0].to_string()),
        ("prod/cert".into(), "a.shop.test".into())
    );
    // The class is another controller's: nothing is left.
    scene.put(json!({"kind": "GatewayClass", "metadata": {"name": "kaos"}, "spec": {"controllerName": "x"}}));
    let published = scene.at(2);
    assert_eq!(found(&published, GET, "a.shop.test", "/"), None);
    assert!(published.statuses.is_empty() && published.served.is_empty());
}

#[test]
fn the_older_has_a_host_and_path_be_it_an_ingress_or_a_route() {
    let mut scene = scene();
    scene.put(gateway(http()));
    scene.put(json!({"kind": "IngressClass", "metadata": {"name": "kaos"}, "spec": {"controller": "kaos.dev/ingress"}}));
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let rules = json!([{"host": "a.shop.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]);
    let mut ingress =
        object("Ingress", "prod", "old", 2, json!({"ingressClassName": "kaos", "rules": rules}));
    ingress["apiVersion"] = json!("networking.k8s.io/v1");
    scene.put(ingress);
    scene.put(route("new", 3, &["a.shop.test"], json!([{"backendRefs": to("shop")}])));
    let published = scene.at(1);
    assert_eq!(found(&published, GET, "a.shop.test", "/").as_deref(), Some("web:80"));
    assert_eq!(of_route(&published, "new")[0], ACCEPTED, "it is attached, whatever it has");
    let told: Vec<String> = published
        .notes
        .objects
        .iter()
        .map(|note| format!("{:?} {}: {}", note.of, note.name, note.text))
        .collect();
    assert_eq!(
        told,
        ["HttpRoute new: a.shop.test/ is Ingress prod/old's, which is older: claim another host or path"]
    );
    // An older route takes what it asks for, and leaves what comes over TLS to nobody: the Ingress asks for both.
    let mut older = route("new", 1, &["a.shop.test"], json!([{"backendRefs": to("shop")}]));
    older["metadata"]["uid"] = json!("another");
    scene.put(older);
    let published = scene.at(2);
    assert_eq!(found(&published, GET, "a.shop.test", "/").as_deref(), Some("shop"));
    // The adopted workload's own host, by the route and by its annotations: both have it.
    scene.put(route("own", 4, &["shop.prod.example.com"], json!([{"backendRefs": to("shop")}])));
    let published = scene.at(3);
    for secure in [false, true] {
        let request = Request(secure, "GET", ("", ""), ("", ""));
        assert_eq!(found(&published, request, "shop.prod.example.com", "/").as_deref(), Some("shop"));
    }
    assert!(!published.notes.objects.iter().any(|note| &*note.name == "own"));
}

#[test]
fn a_status_that_changes_makes_no_routes_again() {
    let mut scene = scene();
    scene.put(gateway(http()));
    let mut app = route("app", 1, &["a.shop.test"], json!([{"backendRefs": to("web")}]));
    scene.put(app.clone());
    let before = scene.at(1);
    app["status"] = json!({"parents": []});
    app["metadata"]["resourceVersion"] = json!("2");
    scene.put(app);
    assert!(scene.0.state.has_changed());
    let after = scene.at(2);
    assert!(Arc::ptr_eq(&before.snapshot.routes, &after.snapshot.routes));
    let stand = |published: &Published| {
        let found = published.statuses.iter().find(|status| status.wanted.of == Object::HttpRoute).unwrap();
        (found.stand.version.clone(), found.wanted.say.clone())
    };
    let ((_, say), (version, same)) = (stand(&before), stand(&after));
    assert_eq!((&*version, Arc::ptr_eq(&say, &same)), ("2", true));
}
