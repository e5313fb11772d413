//! Annotations of ingress-nginx: what is taken, what is said of the rest, and that nothing wrong opens anything.

use kaos_core::condition::Unasked;
use kaos_core::rule::Rule;
use serde_json::json;

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
    assert!(read.https_only && !read.https_if_certified);
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
    assert!(path("/a", &closed, false).is_err());
}

#[test]
fn the_usual_patterns_are_recognised_and_no_other_is_run() {
    let rewriting = |target: &str| tuning(&[("rewrite-target", target)]).0;
    let cut = |length, by: &str| Some(Rewrite::Prefix { length, by: by.to_owned() });
    for (target, written, prefix, rewrite) in [
        ("/$2", "/api(/|$)(.*)", "/api", cut(4, "/")),
        ("/v1/$2", "/api(/|$)(.*)", "/api", cut(4, "/v1/")),
        ("/$1", "/api/?(.*)", "/api", cut(4, "/")),
        ("/$1", "/api/(.*)", "/api", cut(4, "/")),
        ("/base/$1", "/(.*)", "/", cut(0, "/base/")),
        ("/$1", "/a.b(.*)", "/a.b", cut(4, "/")),
        ("/", "/api", "/api", Some(Rewrite::Whole("/".to_owned()))),
        ("/x", "/api(/|$)(.*)", "/api", Some(Rewrite::Whole("/x".to_owned()))),
    ] {
        assert_eq!(path(written, &rewriting(target), true), Ok((prefix.into(), rewrite)), "{written}");
    }
    for (target, written) in [
        ("/$1", "/api(/|$)(.*)"),
        ("/$2/$1", "/api(/|$)(.*)"),
        ("/$1", "/api"),
        ("/$1", "/(a+)+/(.*)"),
        ("/$2", "/api|/b(/|$)(.*)"),
        ("/$1", "/api/([0-9]+)"),
    ] {
        assert!(path(written, &rewriting(target), true).is_err(), "{target} {written}");
    }
    // Where nothing says that it is a pattern it is what it is.
    assert_eq!(path("/a(b)", &tuning(&[]).0, false), Ok(("/a(b)".into(), None)));
    assert!(path("/a(b)", &tuning(&[("use-regex", "true")]).0, false).is_err());
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
        assert_eq!((rule.https_only, rule.rewrite.as_ref().map(Rewrite::length)), (https, Some(4)), "{host}");
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
