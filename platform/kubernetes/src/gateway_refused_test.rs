//! From Gateways and HTTPRoutes to routes and conditions: what isn't there, what isn't allowed, and how it is said.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::fixture::{Scene, service};
use crate::gateway_test::{
    ACCEPTED, GET, GROUP, RESOLVED, found, gateway, http, line, object, of_route, route, said, scene, to,
};
use crate::note::Object;
use crate::picture::Published;
use crate::secret::SecretName;
use crate::status::Say;

#[test]
fn what_may_not_be_referred_to_is_an_error_and_said() {
    let mut scene = scene();
    scene.put(gateway(json!([
        {"name": "http", "port": 80, "protocol": "HTTP"},
        {"name": "https", "port": 443, "protocol": "HTTPS", "hostname": "a.shop.test",
         "tls": {"certificateRefs": [{"name": "cert", "namespace": "certs"}]}},
    ])));
    let mut elsewhere = service("far", "far");
    elsewhere["metadata"]["namespace"] = json!("other");
    scene.put(elsewhere);
    let far = |weight: u32| json!({"name": "far", "namespace": "other", "port": 80, "weight": weight});
    let rules = json!([
        {"backendRefs": [far(1)]},
        {"matches": [{"path": {"value": "/both"}}], "backendRefs": [far(1), {"name": "web", "port": 80, "weight": 3}]},
        {"matches": [{"path": {"value": "/kind"}}], "backendRefs": [{"kind": "Bucket", "name": "b"}]},
    ]);
    scene.put(route("app", 1, &["a.shop.test"], rules));
    let published = scene.at(1);
    for (path, leads) in [("/", "nowhere"), ("/both", "web:80"), ("/kind", "nowhere")] {
        assert_eq!(found(&published, GET, "a.shop.test", path).as_deref(), Some(leads), "{path}");
    }
    assert_eq!(of_route(&published, "app"), [ACCEPTED, "ResolvedRefs false RefNotPermitted"]);
    let listener = |published: &Published| match said(published, Object::Gateway, "front") {
        Say::Gateway { listeners, .. } => [1, 2].map(|at| line(&listeners[1].facts[at])),
        _ => panic!("not a gateway"),
    };
    assert_eq!(listener(&published), ["Programmed false Invalid", "ResolvedRefs false RefNotPermitted"]);

    let grant = |kind: &str, to: Value, namespace: &str| {
        let from = json!([{"group": GROUP, "kind": kind, "namespace": "prod"}]);
        let mut grant = object("ReferenceGrant", namespace, kind, 1, json!({"from": from, "to": [to]}));
        grant["metadata"]["name"] = json!(kind.to_lowercase());
        grant
    };
    scene.put(grant("HTTPRoute", json!({"group": "", "kind": "Service", "name": "far"}), "other"));
    scene.put(grant("Gateway", json!({"group": "", "kind": "Secret"}), "certs"));
    let published = scene.at(2);
    assert_eq!(found(&published, GET, "a.shop.test", "/").as_deref(), Some("far:80"));
    assert_eq!(found(&published, GET, "a.shop.test", "/both").as_deref(), Some("far:80 web:80"));
    assert_eq!(of_route(&published, "app"), [ACCEPTED, "ResolvedRefs false InvalidKind"]);
    assert_eq!(listener(&published), ["Programmed true Programmed", RESOLVED]);

    // Where Secrets are judged nothing is said before, and what is wrong then.
    let secret = SecretName { namespace: "certs".into(), name: "cert".into() };
    let judge = |scene: &mut Scene, known: BTreeMap<SecretName, Result<(), String>>| {
        scene.0.state.verdicts = Some(Arc::new(known));
        scene.0.state.rerouted = true;
    };
    judge(&mut scene, BTreeMap::new());
    assert!(!scene.at(3).statuses.iter().any(|status| status.wanted.of == Object::Gateway));
    judge(&mut scene, BTreeMap::from([(secret.clone(), Err("it isn't there".to_owned()))]));
    let published = scene.at(4);
    assert_eq!(
        listener(&published),
        ["Programmed false Invalid", "ResolvedRefs false InvalidCertificateRef"]
    );
    assert_eq!(published.served[0].certificates[0].0, secret, "it is followed all the same");
}

#[test]
fn what_there_isnt_is_refused_and_nothing_of_the_route_is_done() {
    let whole = json!({"backendRefs": to("web")});
    let with = |part: Value| {
        let mut rule = whole.clone();
        rule.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
        rule
    };
    let filter =
        |kind: &str, field: &str, said: Value| with(json!({"filters": [{"type": kind, field: said}]}));
    let path = |kind: &str, path: &str| json!({"matches": [{"path": {"type": kind, "value": path}}]});
    for (rule, why) in [
        (with(path("RegularExpression", "/a.*")), "rules[1].matches[0].path.type RegularExpression"),
        (with(json!({"timeouts": {"request": "1s"}})), "rules[1].timeouts: Kaos doesn't have it"),
        (with(json!({"retry": {}})), "rules[1].retry"),
        (with(json!({"matches": [{"cookies": []}]})), "rules[1].matches[0].cookies"),
        (
            with(
                json!({"matches": [{"headers": [{"type": "RegularExpression", "name": "a", "value": "b"}]}]}),
            ),
            "rules[1].matches[0].headers[0].type",
        ),
        (filter("RequestMirror", "requestMirror", json!({})), "rules[1].filters[0].type RequestMirror"),
        (filter("CORS", "cors", json!({})), "rules[1].filters[0].type CORS"),
        (
            filter(
                "RequestHeaderModifier",
                "requestHeaderModifier",
                json!({"set": [{"name": "Host", "value": "x"}]}),
            ),
            "rules[1].filters[0].requestHeaderModifier.set[0].name host",
        ),
        (
            filter("RequestHeaderModifier", "requestHeaderModifier", json!({"remove": ["x_forwarded_for"]})),
            "rules[1].filters[0].requestHeaderModifier.remove[0].name x_forwarded_for",
        ),
        (
            filter(
                "ResponseHeaderModifier",
                "responseHeaderModifier",
                json!({"add": [{"name": "a", "value": "b\r\nc"}]}),
            ),
            "rules[1].filters[0].responseHeaderModifier.add[0].value",
        ),
        (
            filter("RequestRedirect", "requestRedirect", json!({"statusCode": 305})),
            "rules[1].filters[0].requestRedirect.statusCode 305",
        ),
        (
            filter(
                "URLRewrite",
                "urlRewrite",
                json!({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/a b"}}),
            ),
            "rules[1].filters[0].urlRewrite.path \"/a b\"",
        ),
        (
            json!({"backendRefs": [{"name": "web", "port": 80, "filters": [{"type": "RequestMirror"}]}]}),
            "rules[1].backendRefs[0].filters",
        ),
    ] {
        let mut scene = scene();
        scene.put(gateway(http()));
        scene.put(route("app", 1, &["a.shop.test"], json!([whole, rule])));
        let published = scene.at(1);
        assert_eq!(found(&published, GET, "a.shop.test", "/"), None, "{why}");
        let Say::Route(parents) = said(&published, Object::HttpRoute, "app") else { panic!("not a route") };
        let fact = &parents[0].1[0];
        assert_eq!((fact.is, fact.reason), (false, "UnsupportedValue"), "{why}");
        assert!(fact.message.starts_with(why), "{}: {why}", fact.message);
    }
}

#[test]
fn who_may_attach_and_which_hosts_are_had() {
    let mut scene = scene();
    let selected = json!({"namespaces": {"from": "Selector", "selector": {
        "matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]}}});
    scene.put(gateway(json!([{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": selected}])));
    scene.put(route("app", 1, &["a.shop.test"], json!([{"backendRefs": to("web")}])));
    assert_eq!(of_route(&scene.at(1), "app")[0], "Accepted false NotAllowedByListeners");
    let space =
        |team: &str| json!({"kind": "Namespace", "metadata": {"name": "prod", "labels": {"team": team}}});
    scene.put(space("b"));
    assert_eq!(of_route(&scene.at(2), "app")[0], ACCEPTED);
    scene.put(space("c"));
    assert_eq!(of_route(&scene.at(3), "app")[0], "Accepted false NotAllowedByListeners");

    scene.put(gateway(http()));
    scene.put(route("app", 1, &["elsewhere.test"], json!([{"backendRefs": to("web")}])));
    let published = scene.at(4);
    assert_eq!(of_route(&published, "app")[0], "Accepted false HostNotAllowed");
    assert_eq!(found(&published, GET, "elsewhere.test", "/"), None);
}

#[test]
fn a_route_that_comes_to_too_many_hosts_is_not_accepted_and_named_twice_it_counts_once() {
    let mut scene = scene();
    let front = |name: String, first: usize| {
        let listener = |at| json!({"name": format!("l{at}"), "port": 80, "protocol": "HTTP", "hostname": format!("h{at}.shop.test")});
        let listeners: Vec<Value> = (first..first + 64).map(listener).collect();
        object("Gateway", "prod", &name, 0, json!({"gatewayClassName": "kaos", "listeners": listeners}))
    };
    let mut parents = Vec::new();
    for at in 0..5 {
        scene.put(front(format!("front-{at}"), at * 64));
        parents.push(json!({"name": format!("front-{at}")}));
    }
    parents.insert(1, json!({"name": "front-0", "sectionName": "l7"}));
    let rules = json!([{"backendRefs": to("web")}]);
    scene.put(object("HTTPRoute", "prod", "all", 1, json!({"parentRefs": parents, "rules": rules})));
    let published = scene.at(1);
    let Say::Route(parents) = said(&published, Object::HttpRoute, "all") else { panic!("not a route") };
    let accepted: Vec<bool> = parents.iter().map(|(_, facts)| facts[0].is).collect();
    assert_eq!(accepted, [true, true, true, true, true, false]);
    assert!(parents[5].1[0].message.contains("320 hosts: allowed are 256"), "{:?}", parents[5].1);
    let Say::Gateway { listeners, .. } = said(&published, Object::Gateway, "front-0") else {
        panic!("not a gateway")
    };
    assert!(listeners.iter().all(|listener| listener.attached == 1));
    for (at, leads) in [(7, Some("web:80")), (255, Some("web:80")), (256, None)] {
        assert_eq!(found(&published, GET, &format!("h{at}.shop.test"), "/").as_deref(), leads, "{at}");
    }
}
