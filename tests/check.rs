//! `kaos check` over files. Over a real API server: `tests/testbed/tests/check.rs`.

#![cfg(feature = "kubernetes")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;
use support::{kaos, said};

const SHOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/check/shop.yaml");
const CART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/check/cart.yaml");

/// Runs `kaos check` in an empty folder.
fn check(arguments: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    said(&kaos(dir.path()).arg("check").args(arguments).output().unwrap())
}

#[test]
fn a_deployment_is_judged_by_the_files_it_comes_from() {
    let (code, page, errors) = check(&["-f", SHOP]);
    assert_eq!((code, errors.as_str()), (Some(1), ""));
    let lines: Vec<&str> = page.lines().collect();
    assert_eq!(
        lines[0],
        "prod/shop: 4 things make sleeping unsafe, 2 make waking slow; 3 questions only you can answer"
    );
    for line in [
        "unsafe    Service/shop spec.type: LoadBalancer",
        "            kubectl patch service shop -n prod -p '{\"spec\":{\"type\":\"ClusterIP\"}}'",
        "unsafe    Ingress/front spec.rules[0].http.paths[0].backend.service: shop.example.com goes to Service/shop",
        "            kubectl patch ingress front -n prod --type=merge -p '{\"spec\":{\"ingressClassName\":\"kaos\"}}'",
        "            # kubectl annotate deployment shop -n prod kaos.dev/host=shop.example.com --overwrite",
        "fine      HorizontalPodAutoscaler/shop spec.scaleTargetRef: 1 to 6 replicas: it decides from one up; \
         Kaos does 0 ↔ 1, and the knobs that size it have no effect",
        "          fix: add to the Application webshop:",
        "                  jsonPointers: [/spec/replicas]",
        "unsafe    PersistentVolumeClaim/uploads spec.accessModes: ReadWriteOnce",
        "slow      Deployment/shop spec.template.spec.containers[].readinessProbe: none",
        "          seen: container web has KAFKA_BROKERS",
        "fine      stop: replicas get the time to finish",
        "Only what is in the files was looked at.",
    ] {
        assert!(lines.contains(&line), "{line}\nisn't in\n{page}");
    }
}

#[test]
fn programs_get_the_same_as_json() {
    let (code, json, _) = check(&["-f", SHOP, "-o", "json"]);
    assert_eq!(code, Some(1));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["not_looked_at"], serde_json::json!([]));
    let shop = &json["workloads"][0];
    assert_eq!(
        (&shop["namespace"], &shop["name"], &shop["verdict"]),
        (&"prod".into(), &"shop".into(), &"unsafe".into())
    );
    let findings = shop["findings"].as_array().unwrap();
    let hpa = findings.iter().find(|one| one["fact"] == "hpa").unwrap();
    let members: Vec<&str> = hpa.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["fact", "field", "fix", "found", "object", "topic", "verdict", "why"]);
    assert_eq!((&hpa["topic"], &hpa["verdict"]), (&"count".into(), &"fine".into()));
    let open = findings.iter().find(|one| one["object"] == "Service/shop").unwrap();
    assert!(open["fix"]["paste"].as_str().unwrap().starts_with("kubectl patch service shop"), "{open}");
}

#[test]
fn several_are_a_line_each_and_one_of_them_can_be_named() {
    let (code, page, _) = check(&["-f", SHOP, "-f", CART]);
    assert_eq!(code, Some(1));
    let rows: Vec<Vec<&str>> = page.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "SLEEP", "UNSAFE", "SLOW", "QUESTIONS", "BECAUSE"]);
    assert_eq!(rows[1][..5], ["prod/shop", "unsafe", "4", "2", "3"]);
    assert_eq!(rows[2][..5], ["default/cart", "fine", "0", "0", "3"]);
    for named in [&["cart"][..], &["deployment/cart"], &["default/cart"], &["-n", "default"]] {
        let (code, page, errors) = check(&[&["-f", SHOP, "-f", CART], named].concat());
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        assert!(page.starts_with("default/cart: nothing seen makes sleeping unsafe; 3 questions"), "{page}");
    }
    let (_, page, _) = check(&["-f", CART, "-n", "test"]);
    assert!(page.starts_with("test/cart:"), "{page}");
}

#[test]
fn files_come_from_stdin_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = kaos(dir.path())
        .args(["check", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&std::fs::read(CART).unwrap()).unwrap();
    let (code, page, errors) = said(&child.wait_with_output().unwrap());
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(page.starts_with("default/cart:"), "{page}");
}

#[test]
fn what_cannot_be_found_out_is_2_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).display().to_string()
    };
    let (wrong, other) = (file("a.yaml", "a: b: c\n"), file("b.yaml", "name: shop\n"));
    let absent = dir.path().join("absent").display().to_string();
    let folder = dir.path().display().to_string();
    for (arguments, part) in [
        (&["-f", wrong.as_str()][..], "a.yaml: not YAML: "),
        (&["-f", &other], "b.yaml: document 1: no object of Kubernetes: it has no kind or no apiVersion"),
        (&["-f", &absent], "absent: can't be read: "),
        (&["-f", &folder], "can't be read: "),
        (&["-f", CART, "deployment/shop"], "there is no Deployment default/shop"),
        (&["daemonset/db"], "Kaos scales Deployments and StatefulSets, no daemonset"),
        (&["statefulset/db", "-f", SHOP], "there is no StatefulSet default/db"),
        (&["--all-namespaces", "shop"], "cannot be used with"),
        (&["Shop"], "allowed is deployment/NAME"),
    ] {
        let (code, page, errors) = check(arguments);
        assert_eq!((code, page.as_str()), (Some(2), ""), "{arguments:?}: {errors}");
        assert!(errors.contains(part), "{arguments:?}: {errors}");
    }
    let (code, _, errors) = check(&["--kubeconfig", "nowhere"]);
    assert!(code == Some(78) && errors.contains("nowhere"), "{errors}");
    let away = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a", "users": [{ "name": "a", "user": {} }],
        "contexts": [{ "name": "a", "context": { "cluster": "a", "user": "a" } }],
        "clusters": [{ "name": "a", "cluster": { "server": "http://127.0.0.1:1" } }],
    });
    let kubeconfig = file("kubeconfig", &away.to_string());
    let (code, _, errors) = check(&["--kubeconfig", &kubeconfig]);
    assert!(code == Some(2) && errors.contains("the API server can't be asked"), "{errors}");
}

#[test]
fn of_no_deployment_there_is_nothing_to_say() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("service.yaml");
    std::fs::write(&file, "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\n").unwrap();
    let (code, page, _) = check(&["-f", file.to_str().unwrap()]);
    assert_eq!((code, page.lines().next()), (Some(0), Some("no Deployment is there")));
}
