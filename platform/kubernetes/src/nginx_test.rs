//! Annotations of ingress-nginx: what is taken, what is said of the rest, and that nothing wrong opens anything.

use kaos_core::condition::Unasked;
use kaos_core::rule::Rule;
use serde_json::{Map, Value, json};

use super::*;
use crate::fixture::{Scene, deployment};

fn tuning(annotations: &[(&str, &str)]) -> (Tuning, Vec<(Kind, String)>) {
    let pairs: Pairs =
        annotations.iter().map(|(name, value)| (format!("{PREFIX}{name}").into(), (*value).into())).collect();
    let mut notes = Vec::new();
    (read(&pairs, &mut notes), notes)
}

#[test]
fn what_is_known_is_taken_and_all_else_is_named_at_once() {
    let (read, notes) = tuning(&[
        ("force-ssl-redirect", "true"),
        ("proxy-body-size", "8m"),
        ("proxy-read-timeout", "600"),
        ("proxy-send-timeout", "5s"),
        ("backend-protocol", "grpc"),
        ("whitelist-source-range", "10.0.0.0/8, 192.0.2.1"),
        ("configuration-snippet", "x"),
        ("canary", "true"),
    ]);
    let policy = read.limits.over(&Policy::default()).unwrap();
    assert_eq!((read.https_only, read.https_if_certified), (true, None));
    assert_eq!((policy.max_request_body, policy.protocol), (8 << 20, Protocol::H2c));
    let long = Duration::from_secs(600);
    assert_eq!((policy.response_start_timeout, policy.stream_idle_timeout), (long, long));
    assert_eq!(read.allowed.unwrap().len(), 2);
    let [(Kind::Unsupported, text)] = &*notes else { panic!("{notes:?}") };
    assert!(text.ends_with(&format!("{PREFIX}configuration-snippet, {PREFIX}canary")), "{text}");
    assert_eq!(tuning(&[]).0.limits.over(&Policy::default()), None);
}

#[test]
fn what_isnt_allowed_is_said_and_opens_nothing() {
    for (name, value) in [
        ("force-ssl-redirect", "yes"),
        ("ssl-redirect", ""),
        ("proxy-body-size", "8mb"),
        ("proxy-body-size", "-1"),
        ("proxy-body-size", "99999999999999g"),
        ("proxy-body-size", "ü"),
        ("proxy-read-timeout", "0"),
        ("proxy-connect-timeout", "1m"),
        ("backend-protocol", "HTTPS"),
        ("backend-protocol", "FCGI"),
        ("cors-max-age", "-1"),
        ("cors-allow-methods", "GET;"),
        ("cors-allow-headers", "a b\r\nx"),
        ("cors-allow-origin", "example.com"),
        ("cors-allow-origin", "https://*"),
        ("rewrite-target", "$1"),
        ("rewrite-target", "/a b"),
        ("rewrite-target", "/%00"),
        ("whitelist-source-range", "10.0.0.0/33"),
        ("allowlist-source-range", " "),
    ] {
        let (_, notes) = tuning(&[(name, value)]);
        let [(Kind::Invalid, text)] = &*notes else { panic!("{name} {value}: {notes:?}") };
        assert!(text.starts_with(&format!("{PREFIX}{name} = ")) && text.contains("allowed is"), "{text}");
    }
    let (closed, _) = tuning(&[
        ("whitelist-source-range", "10.0.0.0/8,x"),
        ("enable-cors", "true"),
        ("cors-allow-origin", "x"),
        ("rewrite-target", "x"),
    ]);
    assert_eq!(closed.allowed.as_deref(), Some(&[][..]));
    assert_eq!(closed.cors.clone().unwrap().granted("https://a.test"), None);
    assert_eq!(closed.rewrite.as_deref(), Some(""), "which no path becomes");
}

/// An Ingress of host `a.shop.test` with these annotations and paths, all to the same Service.
fn ingress(name: &str, annotations: &[(&str, &str)], paths: &[(&str, &str)]) -> Value {
    let annotations: Map<String, Value> =
        annotations.iter().map(|(name, value)| (format!("{PREFIX}{name}"), json!(value))).collect();
    let backend = json!({"service": {"name": "shop", "port": {"number": 80}}});
    let path = |(path, kind): &(&str, &str)| json!({"path": path, "pathType": kind, "backend": backend});
    let paths: Vec<Value> = paths.iter().map(path).collect();
    json!({
        "kind": "Ingress", "metadata": {"namespace": "prod", "name": name, "uid": name, "annotations": annotations},
        "spec": {"ingressClassName": "kaos", "rules": [{"host": "a.shop.test", "http": {"paths": paths}}]},
    })
}

/// What each of these paths of `a.shop.test` becomes on its way; `None`: it is no route's.
fn becomes(ingresses: &[Value], paths: &[&str]) -> Vec<Option<String>> {
    let mut scene = Scene::shop(&json!({"kaos.dev/enabled": "true"}));
    scene.0.state.classes.only = Some("kaos".into());
    ingresses.iter().for_each(|ingress| scene.put(ingress.clone()));
    let published = scene.at(1);
    let becomes = |path: &&str| {
        let route = published.snapshot.routes.route("a.shop.test", path, &Unasked)?;
        let rewrite = route.rule.as_ref().and_then(|rule| rule.rewrite.clone());
        Some(rewrite.map_or_else(|| (*path).to_owned(), |rewrite| rewrite.path(path)))
    };
    paths.iter().map(becomes).collect()
}

#[test]
fn paths_are_rewritten_by_what_their_patterns_have_matched() {
    for (target, written, path, becoming) in [
        ("/$2", "/api(/|$)(.*)", "/api", Some("/")),
        ("/$2", "/api(/|$)(.*)", "/api/a/b", Some("/a/b")),
        ("/v1/$2", "/api(/|$)(.*)", "/API/a", Some("/v1/a")),
        ("/$2", "/api(/|$)(.*)", "/apis", None),
        ("/$1", "/api/?(.*)", "/apis", Some("/s")),
        ("/base/$1", "/(.*)", "/x", Some("/base/x")),
        ("/$2/$1", "/([a-z]+)/([0-9]+)", "/item/12", Some("/12/item")),
        ("/$3", "/a(b)", "/ab", Some("/")),
        ("/new", "/old", "/older/x", Some("/new")),
        ("/same", "/same", "/same/x", Some("/same/x")),
        ("x", "/a", "/a", None),
        ("/$1", "/(?=a)(.*)", "/a", None),
    ] {
        let one = ingress("one", &[("rewrite-target", target)], &[(written, "Prefix")]);
        assert_eq!(becomes(&[one], &[path]), [becoming.map(str::to_owned)], "{target} {written} {path}");
    }
}

#[test]
fn one_pattern_makes_patterns_of_all_the_paths_of_its_host() {
    let plain = ingress("plain", &[], &[("/only", "Exact"), ("/app", "Prefix")]);
    let asked = ["/only", "/only/x", "/ONLY", "/app", "/apple"];
    let there = |ingresses: &[Value]| -> Vec<bool> {
        becomes(ingresses, &asked).iter().map(Option::is_some).collect()
    };
    assert_eq!(there(std::slice::from_ref(&plain)), [true, false, false, true, false]);
    let pattern = ingress("pattern", &[("use-regex", "true")], &[("/v[0-9]+", "ImplementationSpecific")]);
    assert_eq!(there(&[plain.clone(), pattern]), [true; 5]);
    // A target that is the path itself rewrites nothing.
    let same = ingress("same", &[("rewrite-target", "/x")], &[("/x", "Prefix")]);
    assert_eq!(there(&[plain, same]), [true, false, false, true, false]);
}

#[test]
fn without_a_pattern_what_is_implementation_specific_is_whatever_begins_so() {
    let one = ingress("one", &[], &[("/app", "ImplementationSpecific")]);
    let there: Vec<bool> =
        becomes(&[one], &["/app", "/apple", "/App", "/ap"]).iter().map(Option::is_some).collect();
    assert_eq!(there, [true, true, false, false]);
}

/// What the routes of `published` say of this host and path.
fn rule(scene: &mut Scene, host: &str, path: &str) -> Option<Rule> {
    let published = scene.at(1);
    published.snapshot.routes.route(host, path, &Unasked).unwrap().rule.as_deref().cloned()
}

#[test]
fn what_annotations_ask_for_is_said_by_the_routes_of_their_ingress_alone() {
    let size = |size: &str| json!({"kaos.dev/enabled": "true", "kaos.dev/max-request-body": size});
    let mut scene = Scene::shop(&size("7340032"));
    scene.0.state.classes.only = Some("kaos".into());
    let backend = json!({"service": {"name": "shop", "port": {"number": 80}}});
    let paths = json!([{"path": "/api(/|$)(.*)", "pathType": "ImplementationSpecific", "backend": backend}]);
    let named = |name: &str| format!("{PREFIX}{name}");
    scene.put(json!({
        "kind": "Ingress",
        "metadata": {"namespace": "prod", "name": "front", "uid": "u", "annotations": {
            named("ssl-redirect"): "true", named("proxy-read-timeout"): "9", named("rewrite-target"): "/$2"}},
        "spec": {
            "ingressClassName": "kaos",
            "rules": [
                {"host": "a.shop.test", "http": {"paths": paths}},
                {"host": "b.shop.test", "http": {"paths": paths}},
                {"host": "*.shop.test", "http": {"paths": paths}},
            ],
            "tls": [{"secretName": "one", "hosts": ["a.shop.test", "*.shop.test"]}],
        },
    }));
    for (host, https) in [("a.shop.test", true), ("b.shop.test", true), ("c.shop.test", true)] {
        let rule = rule(&mut scene, host, "/api/x").unwrap();
        let becomes = rule.rewrite.as_ref().map(|rewrite| rewrite.path("/api/x"));
        assert_eq!((rule.https_only, becomes.as_deref()), (https, Some("/x")), "{host}");
    }
    assert_eq!(rule(&mut scene, "shop.prod.example.com", "/api/x"), None, "its own host is its own");
    let limits = |rule: Option<Rule>| {
        let policy = rule.unwrap().policy.unwrap();
        (policy.response_start_timeout.as_secs(), policy.max_request_body >> 20)
    };
    assert_eq!(limits(rule(&mut scene, "a.shop.test", "/api")), (9, 7));
    // What the workload says of the rest is what it says now.
    scene.put(deployment("shop", &size("5242880")));
    assert_eq!(limits(rule(&mut scene, "a.shop.test", "/api")), (9, 5));
}
