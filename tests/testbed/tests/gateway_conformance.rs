//! Gateway API's own conformance suite against Kaos: all that it has for what the GatewayClass says it can do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::path::PathBuf;
use std::process::Stdio;

use k8s_openapi::api::core::v1::Service;
use kaos_testbed::{Behaviour, ControlPlane, Kubelet, eventually, gateway_conformance};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use support::kaos::{Kaos, apply, gateway_api, gateway_class, install, printed, program};

/// The namespaces in which the suite has its backends.
const NAMESPACES: [&str; 3] =
    ["gateway-conformance-infra", "gateway-conformance-app-backend", "gateway-conformance-web-backend"];
/// The last number of the address by which requests come in.
const ADDRESS: u8 = 252;

#[tokio::test]
async fn the_conformance_suite_of_gateway_api_passes() {
    let plane = ControlPlane::shared().await;
    let client = plane.client(plane.admin()).await.unwrap();
    let suite = gateway_conformance().unwrap();
    let behaviour = Behaviour { program: Some(PathBuf::from(suite.get_program())), ..Behaviour::default() };
    let mut kubelets = Vec::new();
    for namespace in NAMESPACES {
        kubelets.push(Kubelet::start(plane, namespace, behaviour.clone()).await.unwrap());
    }
    gateway_api(&client).await;
    gateway_class(&client).await;
    let system = plane.namespace("kaos").await.unwrap();
    install(&client, printed(&program(), &["--namespace", &system, "--tls"])).await;
    let address = kubelets[0].address(ADDRESS).unwrap();
    let services: Api<Service> = Api::namespaced(client.clone(), &system);
    let reached = Patch::Merge(json!({"spec": {"externalIPs": [address]}}));
    services.patch("kaos-proxy", &PatchParams::default(), &reached).await.unwrap();
    // Whoever owns the suite's namespaces gives the right to its Secrets.
    let meta = json!({"name": "secrets"});
    apply(
        &client,
        &json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta,
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]}],
        }),
    )
    .await;
    let subject = |name: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": system});
    apply(
        &client,
        &json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "secrets"},
            "subjects": [subject("kaos-proxy"), subject("kaos-autoscaler")],
        }),
    )
    .await;
    let flags = vec![format!("--listen-tls={address}:443")];
    let _kaos = Kaos::start_at(plane, system, (address, 80).into(), flags).await;

    let report = plane.kubeconfig(plane.admin()).unwrap().with_extension("report.yaml");
    let log = report.with_extension("log");
    let mut suite = tokio::process::Command::from(suite);
    suite.args(["-gateway-class=kaos", "-conformance-profiles=GATEWAY-HTTP", "-test.v", "-test.timeout=0"]);
    suite.args(["-organization=kaos", "-project=kaos", "-url=https://kaos.dev", "-contact=@kaos"]);
    suite.args(["-version=test", "-cleanup-base-resources=false"]).arg("-report-output").arg(&report);
    // One of its tests, for who looks into it.
    suite.args(std::env::var("KAOS_CONFORMANCE_TEST").ok().map(|name| format!("-run-test={name}")));
    let out = std::fs::File::create(&log).unwrap();
    suite.stdin(Stdio::null()).stderr(out.try_clone().unwrap()).stdout(out);
    suite.env("KUBECONFIG", plane.kubeconfig(plane.admin()).unwrap()).env_remove("HOST").kill_on_drop(true);
    let ended = suite.status().await.unwrap();
    let said = std::fs::read_to_string(&log).unwrap();
    let failed: Vec<&str> = said.lines().filter(|line| line.trim_start().starts_with("--- FAIL")).collect();
    let passed = said.lines().filter(|line| line.trim_start().starts_with("--- PASS")).count();
    if let Ok(copy) = std::env::var("KAOS_CONFORMANCE_REPORT") {
        std::fs::copy(&report, &copy).unwrap();
        std::fs::copy(&log, format!("{copy}.log")).unwrap();
    }
    assert!(ended.success() && failed.is_empty() && passed > 0, "{ended}: {failed:#?}");
    eventually("there is a report", async || std::fs::read_to_string(&report).ok()).await;
}
