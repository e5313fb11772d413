//! `kaos adopt --apply` over a real API server: it sets its annotations and nothing else, forces nothing, takes nothing away that it
//! has set before, and needs no right but its user's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::path::Path;
use std::process::Stdio;

use kaos_kubernetes::dialect::{self, Applied, Plan};
use kaos_kubernetes::safety::Scope;
use kube::Client;
use serde_json::{Value, json};
use support::kaos::{apply, apply_as, program};
use support::people::{follow, kind, place, user};
use support::shop;

/// What `kaos adopt` of this kubeconfig says: its exit code, what goes to stdout, and its error.
async fn said(kubeconfig: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(program());
    command.arg("adopt").args(arguments).arg("--kubeconfig").arg(kubeconfig);
    let said = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (said.status.code().unwrap(), text(said.stdout), text(said.stderr))
}

/// The same as JSON; it has to end well.
async fn adopt(kubeconfig: &Path, arguments: &[&str]) -> Value {
    let (code, json, error) = said(kubeconfig, &[arguments, &["-o", "json"]].concat()).await;
    assert_eq!((code, error.as_str()), (0, ""), "{json}");
    serde_json::from_str(&json).unwrap()
}

/// The Deployment `shop`.
async fn found(client: &Client, namespace: &str) -> Value {
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/shop");
    client.request(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap()
}

/// Its annotations of Kaos, as `name=value` without the prefix.
async fn annotations(client: &Client, namespace: &str) -> Vec<String> {
    let found = found(client, namespace).await;
    let all = found["metadata"]["annotations"].as_object().unwrap().iter();
    let ours = all.filter_map(|(name, value)| Some((name.strip_prefix("kaos.dev/")?, value.as_str()?)));
    ours.map(|(name, value)| format!("{name}={value}")).collect()
}

/// Tells KEDA's HTTP add-on of `shop`.
async fn tell(client: &Client, namespace: &str, most: u32) {
    let object = json!({"apiVersion": "http.keda.sh/v1alpha1", "kind": "HTTPScaledObject",
        "metadata": {"name": "shop", "namespace": namespace},
        "spec": {"hosts": ["shop.example.com"], "replicas": {"max": most}, "scaledownPeriod": 90,
            "scaleTargetRef": {"name": "shop", "service": "shop", "port": 80}}});
    apply(client, &object).await;
}

/// What there is to adopt in a namespace, read as the command reads it.
async fn plan(client: &Client, namespace: &str) -> Plan {
    let objects = dialect::gather(client, &Scope::Namespace(namespace.to_owned())).await.unwrap();
    let mut told = dialect::read(&objects, "kaos-system", |_| true);
    assert_eq!((told.plans.len(), told.left.len()), (1, 0));
    told.plans.remove(0)
}

#[tokio::test]
async fn annotations_are_set_as_they_are_told_and_nothing_else_is_touched() {
    let (plane, client, namespace, _) = place("adopt").await;
    for (version, name) in [
        ("http.keda.sh/v1alpha1", "HTTPScaledObject"),
        ("keda.sh/v1alpha1", "ScaledObject"),
        ("traefik.io/v1alpha1", "Middleware"),
    ] {
        kind(&client, version, name).await;
    }
    shop(&client, &namespace, 1, json!({})).await;
    tell(&client, &namespace, 7).await;
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    let lists = [
        rule("apps", "deployments", &["list"]),
        rule("", "services", &["list"]),
        rule("http.keda.sh", "httpscaledobjects", &["list"]),
    ];
    let sets = [&lists[..], &[rule("apps", "deployments", &["get", "patch"])]].concat();
    let reader = user(plane, &client, &namespace, "reads", json!(lists)).await;
    let writer = user(plane, &client, &namespace, "sets", json!(sets)).await;

    let before = found(&client, &namespace).await;
    looks(&client, &namespace, &writer).await;
    kaos_testbed::eventually("who may only read is told so", async || {
        let (code, page, error) = said(&reader, &["-n", &namespace, "--apply"]).await;
        (code == 1 && error.is_empty() && page.contains("NOT SET") && page.contains("403")).then_some(())
    })
    .await;

    let answer = adopt(&writer, &["deployment/shop", "-n", &namespace, "--apply"]).await;
    assert_eq!(answer["workloads"][0]["applied"]["result"], "set");
    let set = ["enabled=true", "host=shop.example.com", "idle-timeout=1m30s", "max-scale=7"];
    assert_eq!(annotations(&client, &namespace).await, set);
    let after = found(&client, &namespace).await;
    // The generation counts annotations of a Deployment, too.
    assert_eq!(after["spec"], before["spec"]);
    let books = after["metadata"]["managedFields"].as_array().unwrap();
    let ours = books.iter().find(|entry| entry["manager"] == dialect::MANAGER).unwrap();
    assert_eq!((&ours["operation"], ours["fieldsV1"].as_object().unwrap().len()), (&json!("Apply"), 1));
    assert_eq!(ours["fieldsV1"]["f:metadata"].as_object().unwrap().len(), 1, "{ours:#}");

    // Again it is so already; what has changed there changes here; what is told no more stays.
    let answer = adopt(&writer, &["-n", &namespace, "--apply"]).await;
    assert_eq!(answer["workloads"][0]["applied"]["result"], "unchanged");
    tell(&client, &namespace, 9).await;
    adopt(&writer, &["-n", &namespace, "--apply"]).await;
    assert!(annotations(&client, &namespace).await.contains(&"max-scale=9".to_owned()));
    follow(&client, &format!("kubectl delete httpscaledobject shop -n {namespace}")).await;
    let label = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": namespace, "labels": {
            "com.openfaas.scale.zero": "true", "com.openfaas.scale.zero-duration": "20m", "com.openfaas.scale.max": "9"}}});
    apply_as(&client, "openfaas", &label).await;
    adopt(&writer, &["-n", &namespace, "--apply"]).await;
    let set = ["enabled=true", "host=shop.example.com", "idle-timeout=20m", "max-scale=9"];
    assert_eq!(annotations(&client, &namespace).await, set);

    stays_theirs(&client, &namespace, &writer).await;
    let user = format!("system:serviceaccount:{namespace}:sets");
    let verbs: Vec<String> =
        plane.audit(|entry| entry.user.username == user).into_iter().map(|entry| entry.verb).collect();
    assert!(verbs.iter().all(|verb| ["list", "get", "patch"].contains(&verb.as_str())), "{verbs:?}");
}

/// A look changes nothing.
async fn looks(client: &Client, namespace: &str, writer: &Path) {
    let before = found(client, namespace).await;
    let answer = kaos_testbed::eventually("the rights are in force", async || {
        let (code, json, _) = said(writer, &["-n", namespace, "-o", "json"]).await;
        serde_json::from_str::<Value>(&json)
            .ok()
            .filter(|answer| code == 0 && answer["workloads"][0].is_object())
    })
    .await;
    assert_eq!(answer["workloads"][0]["applied"], Value::Null);
    assert_eq!(
        found(client, namespace).await["metadata"]["resourceVersion"],
        before["metadata"]["resourceVersion"]
    );
    let unseen = answer["not_looked_at"].as_array().unwrap();
    let unseen: Vec<&str> = unseen.iter().map(|one| one["resource"].as_str().unwrap()).collect();
    for resource in ["scaledobjects.keda.sh", "statefulsets.apps", "middlewares.traefik.io"] {
        assert!(unseen.contains(&resource), "{resource}: {unseen:?}");
    }
}

/// What somebody else sets is theirs from then on.
async fn stays_theirs(client: &Client, namespace: &str, writer: &Path) {
    let theirs = format!("kubectl annotate deployment shop -n {namespace} kaos.dev/idle-timeout=5m");
    follow(client, &theirs).await;
    let answer = adopt(writer, &["-n", namespace, "--apply"]).await;
    let stays =
        answer["workloads"][0]["remarks"].as_array().unwrap().iter().filter(|one| one["verdict"] == "stays");
    assert_eq!(stays.count(), 1, "{answer:#}");
    assert!(annotations(client, namespace).await.contains(&"idle-timeout=5m".to_owned()));
}

#[tokio::test]
async fn what_others_have_set_meanwhile_is_said_and_not_forced() {
    let (_, client, namespace, _) = place("conflict").await;
    shop(&client, &namespace, 1, json!({})).await;
    let osiris = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": namespace, "annotations": {
            "osiris.dm.gg/enableScaling": "true", "osiris.dm.gg/metricsCheckInterval": "600"}}});
    apply_as(&client, "helm", &osiris).await;
    let plan = plan(&client, &namespace).await;
    let mut theirs = osiris.clone();
    theirs["metadata"]["annotations"] = json!({"kaos.dev/idle-timeout": "3m"});
    apply_as(&client, "somebody", &theirs).await;
    let applied = dialect::apply(&client, &plan).await;
    let Applied::Refused(why) = &applied else { panic!("{applied:?}") };
    assert!(
        why.contains("kaos.dev/idle-timeout is somebody's") && why.contains("nothing is forced"),
        "{why}"
    );
    assert_eq!(annotations(&client, &namespace).await, ["idle-timeout=3m"], "all or nothing");

    // Another object under the same name is none that was looked at.
    follow(&client, &format!("kubectl delete deployment shop -n {namespace}")).await;
    kaos_testbed::eventually("it is gone", async || {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/shop");
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        client.request::<Value>(request).await.is_err().then_some(())
    })
    .await;
    let gone = dialect::apply(&client, &plan).await;
    assert!(matches!(&gone, Applied::Refused(why) if why.contains("404")), "{gone:?}");
    follow(&client, &format!("kubectl delete service shop -n {namespace}")).await;
    shop(&client, &namespace, 1, json!({})).await;
    let other = dialect::apply(&client, &plan).await;
    assert!(matches!(&other, Applied::Refused(why) if why.contains("look again")), "{other:?}");
}

#[tokio::test]
async fn keda_is_out_of_the_books_once_its_steps_are_done() {
    let (_, client, namespace, _) = place("books").await;
    shop(&client, &namespace, 0, json!({})).await;
    let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/shop/scale?fieldManager=keda");
    let request = http::Request::patch(path).header("content-type", "application/merge-patch+json");
    let scale = json!({"spec": {"replicas": 1}}).to_string().into_bytes();
    client.request::<Value>(request.body(scale).unwrap()).await.unwrap();
    let label = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "shop", "namespace": namespace, "annotations": {"osiris.dm.gg/enableScaling": "yes"}}});
    apply_as(&client, "helm", &label).await;
    let scales = |plan: &Plan| -> Vec<String> {
        let all = plan.steps.iter().flat_map(|step| step.paste.lines());
        all.filter(|line| line.starts_with("kubectl scale")).map(str::to_owned).collect()
    };
    let lines = scales(&plan(&client, &namespace).await);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        follow(&client, line).await;
    }
    assert_eq!(scales(&plan(&client, &namespace).await), [""; 0]);
    let found = found(&client, &namespace).await;
    assert_eq!(found["spec"]["replicas"], 1);
}

#[tokio::test]
async fn what_is_made_of_a_service_of_knative_is_taken_as_it_is_printed() {
    let (_, client, namespace, kubeconfig) = place("knative").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let service = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {"name": "shop", "namespace": namespace},
        "spec": {"template": {
            "metadata": {"annotations": {"autoscaling.knative.dev/max-scale": "3"}},
            "spec": {"containerConcurrency": 4, "containers": [{"image": "registry.local/answer:1"}]}}}});
    std::fs::write(file.path(), service.to_string()).unwrap();
    let (code, yaml, error) =
        said(&kubeconfig, &["-f", &file.path().display().to_string(), "-o", "yaml"]).await;
    assert_eq!((code, error.as_str()), (0, ""));
    for object in
        serde_saphyr::from_multiple::<Value>(&yaml).unwrap().into_iter().filter(|one| !one.is_null())
    {
        apply_as(&client, dialect::MANAGER, &object).await;
    }
    assert_eq!(
        annotations(&client, &namespace).await,
        ["container-concurrency=4", "enabled=true", "max-scale=3"]
    );
    let container = &found(&client, &namespace).await["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (&container["env"][0]["value"], &container["readinessProbe"]["tcpSocket"]["port"]),
        (&json!("8080"), &json!(8080))
    );
    let path = format!("/api/v1/namespaces/{namespace}/services/shop-app");
    let front: Value = client.request(http::Request::get(path).body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!(front["spec"]["ports"][0]["targetPort"], 8080);
}
