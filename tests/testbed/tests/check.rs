//! `kaos check` over a real API server: whoever owns a count is named, by the server's own books and by real objects; what it
//! says to paste mends what it found; and it needs no right but its user's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::path::Path;
use std::process::Stdio;

use kaos_testbed::{ControlPlane, eventually};
use kube::Client;
use serde_json::{Value, json};
use support::kaos::{apply, apply_as, program};
use support::people::{follow, kind, place, user};
use support::scene::{Scene, sleepy};
use support::shop;

/// What `kaos check` of this kubeconfig says: its exit code, its answer, and its error.
async fn check(kubeconfig: &Path, arguments: &[&str]) -> (i32, Value, String) {
    let mut command = tokio::process::Command::new(program());
    command.arg("check").args(arguments).args(["-o", "json", "--kubeconfig"]).arg(kubeconfig);
    let said = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let json = serde_json::from_slice(&said.stdout).unwrap_or_default();
    (said.status.code().unwrap(), json, String::from_utf8(said.stderr).unwrap())
}

/// The facts about `name` that make it unsafe, each with what is to be pasted.
fn unsafe_of(answer: &Value, name: &str) -> Vec<(String, String)> {
    let all = answer["workloads"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    let found = all["findings"].as_array().unwrap().iter().filter(|one| one["verdict"] == "unsafe");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    found.map(|one| (text(&one["fact"]), text(&one["fix"]["paste"]))).collect()
}

/// A Deployment and its Service, applied by `manager`.
async fn deploy(
    client: &Client,
    namespace: &str,
    name: &str,
    manager: &str,
    adjust: impl FnOnce(&mut Value),
) {
    let labels = json!({"app": name});
    let probe = json!({"httpGet": {"path": "/healthz", "port": "http"}});
    let container = json!({"name": "web", "image": "registry.local/answer:1", "readinessProbe": probe,
        "ports": [{"containerPort": 8080, "name": "http"}]});
    let mut deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}});
    adjust(&mut deployment);
    apply_as(client, manager, &deployment).await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]}});
    apply(client, &service).await;
}

#[tokio::test]
async fn whoever_decides_on_a_count_is_named_and_gone_once_it_is_told_to_leave_it() {
    let (_, client, namespace, kubeconfig) = place("owners").await;
    kind(&client, "keda.sh/v1alpha1", "ScaledObject").await;
    let tracked = |deployment: &mut Value| {
        deployment["metadata"]["annotations"] =
            json!({"argocd.argoproj.io/tracking-id": "webshop:apps/Deployment:x/argo"});
    };
    deploy(&client, &namespace, "argo", "argocd-controller", tracked).await;
    let labelled = |deployment: &mut Value| {
        deployment["metadata"]["labels"] = json!({"kustomize.toolkit.fluxcd.io/name": "apps"});
    };
    deploy(&client, &namespace, "flux", "kustomize-controller", labelled).await;
    for name in ["hpa", "keda", "plain"] {
        deploy(&client, &namespace, name, "kubectl-create", |_| {}).await;
    }
    let target = |name: &str| json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name});
    apply(
        &client,
        &json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "hpa", "namespace": namespace},
        "spec": {"scaleTargetRef": target("hpa"), "minReplicas": 2, "maxReplicas": 5}}),
    )
    .await;
    apply(
        &client,
        &json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
        "metadata": {"name": "keda", "namespace": namespace},
        "spec": {"scaleTargetRef": {"name": "keda"}, "maxReplicaCount": 5, "triggers": [{"type": "cpu"}]}}),
    )
    .await;

    let (code, answer, _) = check(&kubeconfig, &["-n", &namespace]).await;
    assert_eq!(code, 1, "{answer:#}");
    for (name, fact) in [("argo", "argo-cd"), ("flux", "flux"), ("hpa", "hpa"), ("keda", "keda")] {
        let found = unsafe_of(&answer, name);
        assert_eq!(
            found.iter().map(|(fact, _)| fact.as_str()).collect::<Vec<_>>(),
            [fact],
            "{name}: {answer:#}"
        );
    }
    assert!(unsafe_of(&answer, "plain").is_empty(), "{answer:#}");
    let unseen = answer["not_looked_at"].as_array().unwrap();
    let unseen: Vec<&str> = unseen.iter().map(|one| one["resource"].as_str().unwrap()).collect();
    assert!(unseen.contains(&"httproutes.gateway.networking.k8s.io"), "{unseen:?}");
    assert!(
        !unseen.iter().any(|one| one.starts_with("scaledobjects") || one.starts_with("horizontal")),
        "{unseen:?}"
    );

    // What is to be pasted is pasted; the controllers are told what snippets say, and apply without the count.
    for name in ["hpa", "keda"] {
        for line in unsafe_of(&answer, name)[0].1.lines() {
            follow(&client, line).await;
        }
    }
    for (name, manager) in [("argo", "argocd-controller"), ("flux", "kustomize-controller")] {
        deploy(&client, &namespace, name, manager, |deployment| {
            deployment["spec"].as_object_mut().unwrap().remove("replicas");
        })
        .await;
    }
    eventually("nobody else decides any more", async || {
        let (code, answer, _) = check(&kubeconfig, &["-n", &namespace]).await;
        (code == 0).then_some(answer)
    })
    .await;
}

#[tokio::test]
async fn what_is_to_be_pasted_closes_the_other_ways_in() {
    let (_, client, namespace, kubeconfig) = place("ways").await;
    deploy(&client, &namespace, "open", "kubectl-create", |deployment| {
        let pod = &mut deployment["spec"]["template"]["spec"];
        pod["containers"][0]["ports"][0]["hostPort"] = json!(18080);
        pod["containers"][0]["imagePullPolicy"] = json!("Always");
        deployment["spec"]["strategy"] = json!({"type": "Recreate"});
    })
    .await;
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "open", "namespace": namespace},
        "spec": {"type": "LoadBalancer", "externalIPs": ["192.0.2.1"]}});
    apply_as(&client, "kubectl-edit", &service).await;
    let ingress = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "front", "namespace": namespace},
        "spec": {"defaultBackend": {"service": {"name": "open", "port": {"number": 80}}}}});
    apply(&client, &ingress).await;
    let (code, answer, _) = check(&kubeconfig, &["deployment/open", "-n", &namespace]).await;
    assert_eq!(code, 1);
    let found = unsafe_of(&answer, "open");
    let mut facts: Vec<&str> = found.iter().map(|(fact, _)| fact.as_str()).collect();
    facts.sort_unstable();
    assert_eq!(facts, ["external-ips", "host-port", "recreate", "route", "service-open"], "{answer:#}");
    let all = answer["workloads"][0]["findings"].as_array().unwrap();
    let slow = all.iter().find(|one| one["fact"] == "image-pull").unwrap();
    let pastes = found.iter().map(|(_, paste)| paste.as_str());
    for line in pastes.chain(slow["fix"]["paste"].as_str()).flat_map(str::lines) {
        follow(&client, line).await;
    }
    let (_, answer, _) = check(&kubeconfig, &["open", "-n", &namespace]).await;
    assert_eq!(unsafe_of(&answer, "open"), [], "{answer:#}");
    let findings = answer["workloads"][0]["findings"].as_array().unwrap();
    assert!(findings.iter().all(|one| one["fact"] != "image-pull"), "{answer:#}");
}

#[tokio::test]
async fn it_needs_no_right_but_its_users_and_says_what_they_lack() {
    let (plane, client, namespace, _) = place("rights").await;
    shop(&client, &namespace, 1, json!({})).await;
    let rule = |group: &str, resource: &str, verb: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
    let lists = json!([rule("apps", "deployments", "list"), rule("", "services", "list")]);
    let lists = user(plane, &client, &namespace, "lists", lists).await;
    let gets = json!([rule("apps", "deployments", "get"), rule("", "services", "list")]);
    let gets = user(plane, &client, &namespace, "gets", gets).await;
    let nothing = user(plane, &client, &namespace, "nothing", json!([])).await;
    let named: &[&str] = &["deployment/shop", "-n", &namespace];
    for kubeconfig in [&lists, &gets] {
        let (code, answer) = eventually("the rights are in force", async || {
            let (code, answer, _) = check(kubeconfig, named).await;
            answer.is_object().then_some((code, answer))
        })
        .await;
        assert_eq!(code, 0, "{answer:#}");
        let unseen = answer["not_looked_at"].as_array().unwrap();
        let hpas =
            unseen.iter().find(|one| one["resource"] == "horizontalpodautoscalers.autoscaling").unwrap();
        assert_eq!((&hpas["why"], &hpas["installed"]), (&json!("forbidden"), &json!(true)));
        let findings = answer["workloads"][0]["findings"].as_array().unwrap();
        let fine = findings.iter().any(|one| one["topic"] == "count" && one["fact"] == "nothing-found");
        assert!(!fine, "what wasn't looked at isn't fine: {answer:#}");
    }
    for arguments in [named, &["-n", &namespace], &["-A"]] {
        let (code, answer, error) = check(&nothing, arguments).await;
        assert!(code == 2 && answer.is_null() && error.contains("403"), "{arguments:?}: {code} {error}");
    }
    let (code, _, error) = check(&lists, &["cart", "-n", &namespace]).await;
    assert!(code == 2 && error.contains(&format!("there is no Deployment {namespace}/cart")), "{error}");
    let user = format!("system:serviceaccount:{namespace}:lists");
    let asked = plane.audit(|entry| entry.user.username == user);
    assert!(!asked.is_empty() && asked.iter().all(|entry| entry.verb == "list"), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gitops_controller_that_keeps_writing_is_named_by_check_and_by_an_event() {
    let scene = Scene::start(ControlPlane::shared().await, "gitops", 1, 1).await;
    scene.deploy("shop", 1, sleepy(), |_, _| {}).await;
    scene.answers("shop").await;
    let sync = async {
        loop {
            scene.wanted("shop", 0).await;
            eventually("its pods are gone", async || {
                support::pods(&scene.client, &scene.namespace).await.is_empty().then_some(())
            })
            .await;
            let count = json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "shop", "namespace": scene.namespace}, "spec": {"replicas": 1}});
            apply_as(&scene.client, "argocd-controller", &count).await;
        }
    };
    let told = eventually("the Event says who", async || {
        scene.told("shop").await.into_iter().find(|(reason, _)| reason == "ReplicasContested")
    });
    let told = tokio::select! {
        told = told => told,
        () = sync => unreachable!("it has no end"),
    };
    assert!(told.1.contains("argocd-controller") && told.1.contains("ignoreDifferences"), "{told:?}");
    let kubeconfig = scene.plane.kubeconfig(scene.plane.admin()).unwrap();
    let (code, answer, _) = check(&kubeconfig, &["shop", "-n", &scene.namespace]).await;
    let facts: Vec<String> = unsafe_of(&answer, "shop").into_iter().map(|(fact, _)| fact).collect();
    assert_eq!((code, facts), (1, vec!["argo-cd".to_owned()]), "{answer:#}");
}
