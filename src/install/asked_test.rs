//! What is added where others ask: other proxies, and autoscalers.

use serde_json::{Value, json};

use super::tests::{documents, install_at, of_kind};
use super::{external, gate, manifests};
use crate::cli::cluster::DOMAIN;

/// Nothing else is changed, and whom a load balancer sends doesn't get there.
#[test]
fn other_proxies_ask_at_a_service_of_its_own_from_where_they_may() {
    let text = gate::with(&manifests(&install_at("serverless", DOMAIN, None)), "serverless");
    let mut all = documents(&text);
    let policy = all.pop().unwrap();
    let service = all.pop().unwrap();
    for one in [&service, &policy] {
        assert_eq!(one["metadata"]["name"], "kaos-gate");
        assert_eq!(one["metadata"]["namespace"], "serverless");
    }
    let proxy = of_kind(&all, "Deployment").into_iter().find(|one| one["metadata"]["name"] == "kaos-proxy");
    let variables = &proxy.unwrap()["spec"]["template"]["spec"]["containers"][0]["env"];
    let listens = variables.as_array().unwrap().iter().find(|one| one["name"] == "KAOS_LISTEN_GATE").unwrap();
    let port: u16 = listens["value"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(service["spec"]["ports"], json!([{"name": "http", "port": 80, "targetPort": port}]));
    let from = json!([{"namespaceSelector": {"matchLabels": {"kaos.dev/gate": "true"}}}]);
    assert_eq!(policy["spec"]["ingress"], json!([{"from": from, "ports": [{"port": port}]}]));
    let pods = proxy.unwrap()["spec"]["template"]["metadata"]["labels"].clone();
    assert_eq!(
        (&service["spec"]["selector"], &policy["spec"]["podSelector"]["matchLabels"]),
        (&pods_of(&pods), &pods_of(&pods))
    );
    let without = text.replacen(&gate::listens(), "", 1);
    all = documents(&without);
    all.truncate(all.len() - 2);
    assert_eq!(all, documents(&manifests(&install_at("serverless", DOMAIN, None))));
}

/// The labels by which proxies are found.
fn pods_of(labels: &Value) -> Value {
    let name = |key: &str| labels[key].clone();
    json!({"app.kubernetes.io/name": name("app.kubernetes.io/name"),
           "app.kubernetes.io/component": name("app.kubernetes.io/component")})
}

/// Nothing else is changed, and the port is open to whoever reaches it: the certificate tells who asks.
#[test]
fn autoscalers_ask_through_the_api_server() {
    let text = external::with(&manifests(&install_at("serverless", DOMAIN, None)), "serverless");
    let mut all = documents(&text);
    let [api, service, policy, binding] = all.split_off(all.len() - 4).try_into().unwrap();
    assert_eq!(api["metadata"]["name"], "v1beta1.external.metrics.k8s.io");
    let at =
        |one: &Value| json!({"name": one["metadata"]["name"], "namespace": one["metadata"]["namespace"]});
    assert_eq!((&api["spec"]["service"], at(&policy)), (&at(&service), at(&service)));
    assert_eq!(service["metadata"]["namespace"], "serverless");
    let autoscaler = of_kind(&all, "Deployment")
        .into_iter()
        .find(|one| one["metadata"]["name"] == "kaos-autoscaler")
        .unwrap();
    let variables = &autoscaler["spec"]["template"]["spec"]["containers"][0]["env"];
    let is = |one: &&Value| one["name"] == "KAOS_LISTEN_EXTERNAL_METRICS";
    let listens = variables.as_array().unwrap().iter().find(is).unwrap();
    let port: u16 = listens["value"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!(service["spec"]["ports"], json!([{"name": "https", "port": 443, "targetPort": port}]));
    assert_eq!(policy["spec"]["ingress"], json!([{"ports": [{"port": port}]}]));
    let pods = pods_of(&autoscaler["spec"]["template"]["metadata"]["labels"]);
    assert_eq!((&service["spec"]["selector"], &policy["spec"]["podSelector"]["matchLabels"]), (&pods, &pods));
    // Where the API server keeps what it is known by.
    assert_eq!(
        (&binding["metadata"]["namespace"], &binding["metadata"]["name"]),
        (&json!("kube-system"), &json!("kaos-external-metrics.serverless"))
    );
    assert_eq!(binding["roleRef"]["name"], "extension-apiserver-authentication-reader");
    let account = autoscaler["spec"]["template"]["spec"]["serviceAccountName"].clone();
    assert_eq!(
        binding["subjects"],
        json!([{"kind": "ServiceAccount", "name": account, "namespace": "serverless"}])
    );
    let without = text.replacen(&external::listens(), "", 1);
    all = documents(&without);
    all.truncate(all.len() - 4);
    assert_eq!(all, documents(&manifests(&install_at("serverless", DOMAIN, None))));
}
