//! Who decides on the count, by objects that target the Deployment and by the names in the API server's books.

use serde_json::{Value, json};

use super::finding::{Topic, Verdict};
use super::objects::{Objects, Unseen};
use super::testing::{examined, found, object, one, paste, service, shop, told, wrote};

fn written_by(manager: &str, subresource: &str) -> Vec<Value> {
    let mut shop = shop();
    shop["metadata"]["managedFields"] = json!([wrote("kubectl-create", ""), wrote(manager, subresource)]);
    vec![shop, service()]
}

const ARGO: &str = "\
spec:
  ignoreDifferences:
    - group: apps
      kind: Deployment
      name: shop
      namespace: prod
      jsonPointers: [/spec/replicas]
  syncPolicy:
    syncOptions: [RespectIgnoreDifferences=true]";

#[test]
fn argo_cd_is_known_by_its_name_and_told_to_leave_the_count_alone() {
    let mut objects = written_by("argocd-controller", "");
    objects[0]["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
        json!("webshop:apps/Deployment:prod/shop");
    let all = found(objects.clone());
    assert_eq!(told(&all), ["unsafe argo-cd"]);
    let finding = one(&all, "argo-cd");
    assert_eq!(finding.found, "argocd-controller writes it, last at 2026-11-01T00:00:00Z");
    assert_eq!(finding.fix.as_ref().unwrap().say, "add to the Application webshop");
    assert_eq!(paste(&all, "argo-cd"), ARGO);

    // As it was told, it is fine; with half of it, the other half is missing.
    let snippet = json!({
        "ignoreDifferences": [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}],
        "syncPolicy": {"syncOptions": ["CreateNamespace=true", "RespectIgnoreDifferences=true"]},
    });
    let mut application = object("argoproj.io/v1alpha1", "Application", "webshop", &snippet);
    application["metadata"]["namespace"] = json!("argocd");
    objects.push(application.clone());
    let all = found(objects.clone());
    assert_eq!((told(&all).len(), one(&all, "argo-cd").verdict), (0, Verdict::Fine));
    application["spec"]["syncPolicy"] = json!({"automated": {}});
    objects.push(application);
    assert_eq!(
        paste(&found(objects), "argo-cd"),
        "spec:\n  syncPolicy:\n    syncOptions: [RespectIgnoreDifferences=true]"
    );
}

#[test]
fn who_applies_it_from_git_without_owning_the_count_is_asked_about() {
    let mut shop = shop();
    shop["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
        json!("webshop:apps/Deployment:prod/shop");
    let all = found(vec![shop.clone(), service()]);
    assert_eq!((one(&all, "argo-cd").verdict, paste(&all, "argo-cd")), (Verdict::Question, ARGO));
    shop["metadata"]["annotations"] = json!({});
    shop["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!("apps");
    assert_eq!(one(&found(vec![shop.clone(), service()]), "flux").verdict, Verdict::Question);
    shop["metadata"]["labels"] = json!({"scaledobject.keda.sh/name": "shop"});
    assert_eq!(told(&found(vec![shop, service()])), ["unsafe keda"]);
}

#[test]
fn flux_is_known_by_its_names() {
    let mut objects = written_by("kustomize-controller", "");
    objects[0]["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!("apps");
    objects[0]["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/namespace"] = json!("flux-system");
    let all = found(objects);
    assert_eq!(told(&all), ["unsafe flux"]);
    assert!(
        one(&all, "flux").fix.as_ref().unwrap().say.ends_with("add to the Kustomization flux-system/apps"),
        "{all:#?}"
    );
    assert!(
        paste(&all, "flux").ends_with("        - op: remove\n          path: /spec/replicas"),
        "{all:#?}"
    );

    let mut objects = written_by("helm-controller", "");
    objects[0]["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"] = json!("shop");
    objects[0]["metadata"]["labels"]["helm.toolkit.fluxcd.io/namespace"] = json!("prod");
    assert_eq!(one(&found(objects.clone()), "flux").verdict, Verdict::Question);
    let ignore = json!([{"paths": ["/spec/replicas"], "target": {"kind": "Deployment"}}]);
    for (drift, verdict) in [
        (json!({}), Verdict::Fine),
        (json!({"mode": "warn"}), Verdict::Fine),
        (json!({"mode": "enabled"}), Verdict::Unsafe),
        (json!({"mode": "enabled", "ignore": ignore}), Verdict::Fine),
    ] {
        let release =
            object("helm.toolkit.fluxcd.io/v2", "HelmRelease", "shop", &json!({"driftDetection": drift}));
        let all = found(objects.iter().cloned().chain([release]).collect());
        assert_eq!(one(&all, "flux").verdict, verdict, "{drift}");
    }
}

#[test]
fn other_writers_are_told_by_how_often_they_write() {
    for (manager, subresource, verdict) in [
        ("helm", "", Verdict::Fine),
        ("Terraform", "", Verdict::Fine),
        ("HashiCorp", "", Verdict::Fine),
        ("pulumi-kubernetes", "", Verdict::Fine),
        ("kubectl-client-side-apply", "", Verdict::Fine),
        ("kubectl", "scale", Verdict::Fine),
        ("kube-controller-manager", "scale", Verdict::Fine),
        ("nightly-script", "", Verdict::Question),
    ] {
        let all = found(written_by(manager, subresource));
        let told = all.iter().find(|one| one.fact == "writer" && one.found.starts_with(manager)).unwrap();
        assert_eq!(told.verdict, verdict, "{manager}");
    }
    // Kaos's own hand is no news.
    assert!(found(written_by("kaos", "scale")).iter().all(|one| !one.found.starts_with("kaos ")));
    assert_eq!(told(&found(written_by("keda", "scale"))), ["unsafe keda"]);
}

#[test]
fn an_autoscaler_that_may_not_be_listed_is_seen_by_what_it_wrote() {
    let mut objects = Objects::default();
    written_by("kube-controller-manager", "scale")
        .into_iter()
        .for_each(|one| objects.take(one, "prod").unwrap());
    let resource = "horizontalpodautoscalers.autoscaling".to_owned();
    objects.miss(Unseen { resource, why: "forbidden".into(), absent: false, topic: Topic::Count });
    assert_eq!(told(&examined(&objects)), ["unsafe hpa"]);
}

#[test]
fn autoscalers_that_target_it_are_named_with_their_bounds() {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"});
    let bounds = json!({"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 8});
    let hpa = object("autoscaling/v2", "HorizontalPodAutoscaler", "shop", &bounds);
    let all = found(vec![shop(), service(), hpa.clone()]);
    assert_eq!(told(&all), [""; 0], "it is handed over to");
    assert_eq!(one(&all, "hpa").found, "2 to 8 replicas");
    assert!(one(&all, "hpa").why.contains("Kaos does 0 ↔ 1"), "{all:#?}");
    let mut zero = hpa.clone();
    zero["spec"]["minReplicas"] = json!(0);
    let all = found(vec![shop(), service(), zero.clone()]);
    assert_eq!(told(&all), ["unsafe hpa"]);
    assert_eq!(paste(&all, "hpa"), "kubectl patch hpa shop -n prod -p '{\"spec\":{\"minReplicas\":1}}'");
    let by_load = |workload: &str| {
        let mut zero = zero.clone();
        let metric = json!({"name": "kaos_load", "selector": {"matchLabels": {"workload": workload}}});
        zero["spec"]["metrics"] = json!([{"type": "External", "external": {"metric": metric}}]);
        found(vec![shop(), service(), zero])
    };
    assert_eq!(told(&by_load("cart")), ["unsafe hpa"]);
    let all = by_load("shop");
    assert_eq!(told(&all), [""; 0]);
    assert!(one(&all, "hpa").why.contains("by the load that Kaos tells it"), "{all:#?}");
    for (kind, name) in [("StatefulSet", "shop"), ("Deployment", "cart")] {
        let mut other = hpa.clone();
        other["spec"]["scaleTargetRef"] = json!({"kind": kind, "name": name});
        assert_eq!(told(&found(vec![shop(), service(), other])), [""; 0]);
    }

    // What KEDA made is told once, by the object that people wrote; where that isn't seen, by its name.
    let mut made = hpa;
    made["metadata"]["ownerReferences"] = json!([{"kind": "ScaledObject", "name": "shop"}]);
    let all = found(vec![shop(), service(), made.clone()]);
    assert_eq!(one(&all, "keda").found, "ScaledObject/shop");
    let web = json!({"scaleTargetRef": {"name": "shop"}, "maxReplicaCount": 5, "triggers": [{"type": "prometheus"}]});
    let all = found(vec![shop(), service(), made, object("keda.sh/v1alpha1", "ScaledObject", "shop", &web)]);
    assert_eq!(told(&all), ["unsafe keda"]);
    assert!(paste(&all, "keda").ends_with("kaos.dev/max-scale=5 --overwrite"), "{all:#?}");
}

#[test]
fn what_keda_scales_by_tells_what_to_do() {
    let queue = json!({"scaleTargetRef": {"name": "shop"}, "triggers": [{"type": "kafka"}, {"type": "cpu"}]});
    let all = found(vec![shop(), service(), object("keda.sh/v1alpha1", "ScaledObject", "shop", &queue)]);
    assert!(
        one(&all, "keda").why.starts_with("KEDA scales it by kafka: work that comes by no request"),
        "{all:#?}"
    );
    assert_eq!(one(&all, "keda").fix.as_ref().unwrap().say, "leave it to KEDA");
    let mut paused = object("keda.sh/v1alpha1", "ScaledObject", "shop", &queue);
    paused["metadata"]["annotations"] = json!({"autoscaling.keda.sh/paused": "true"});
    assert_eq!(told(&found(vec![shop(), service(), paused])), [""; 0]);
    for target in
        [json!({"name": "shop", "service": "shop"}), json!({"deployment": "shop", "service": "shop"})]
    {
        let http = json!({"hosts": ["shop.example.com"], "scaleTargetRef": target, "replicas": {"min": 0, "max": 4}});
        let all = found(vec![
            shop(),
            service(),
            object("http.keda.sh/v1alpha1", "HTTPScaledObject", "shop", &http),
        ]);
        assert_eq!(told(&all), ["unsafe keda"]);
        assert_eq!(
            paste(&all, "keda").lines().collect::<Vec<_>>(),
            [
                "kubectl delete httpscaledobject shop -n prod",
                "kubectl annotate deployment shop -n prod kaos.dev/max-scale=4 --overwrite",
                "kubectl annotate deployment shop -n prod kaos.dev/host=shop.example.com --overwrite",
            ]
        );
    }
}

#[test]
fn a_manifest_without_books_is_judged_by_its_labels() {
    let bare = |change: fn(&mut Value)| {
        let mut shop = shop();
        shop["metadata"].as_object_mut().unwrap().remove("managedFields");
        change(&mut shop);
        found(vec![shop, service()])
    };
    assert_eq!(one(&bare(|_| {}), "manifest").verdict, Verdict::Question);
    let all = bare(|shop| drop(shop["spec"].as_object_mut().unwrap().remove("replicas")));
    assert!(all.iter().all(|one| one.fact != "manifest"));
    let all = bare(|shop| shop["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] = json!("apps"));
    assert_eq!(told(&all), ["unsafe flux"]);
    let all = bare(|shop| {
        shop["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] =
            json!("shop:apps/Deployment:prod/shop");
    });
    assert_eq!(told(&all), ["unsafe argo-cd"]);
}

#[test]
fn what_somebody_elses_controller_owns_is_asked_about() {
    let owned = |version: &str, kind: &str| {
        let mut shop = shop();
        shop["metadata"]["ownerReferences"] =
            json!([{"apiVersion": version, "kind": kind, "name": "shop", "controller": true}]);
        found(vec![shop, service()])
    };
    let all = owned("example.com/v1", "Shop");
    assert_eq!(one(&all, "operator").verdict, Verdict::Question);
    let at =
        "kubectl annotate deployment shop -n prod kaos.dev/scale-target=example.com/v1/Shop/shop --overwrite";
    assert_eq!(paste(&all, "operator"), at);
    let all = owned("serving.knative.dev/v1", "Revision");
    assert_eq!(told(&all), ["unsafe knative"]);
    assert!(all.iter().all(|one| one.fact != "operator"));
}

#[test]
fn of_a_scale_target_its_controller_is_asked_about_and_its_autoscaler_is_handed_over_to() {
    let mut deployment = shop();
    deployment["metadata"]["annotations"] =
        json!({"kaos.dev/enabled": "true", "kaos.dev/scale-target": "example.com/v1/Search/front"});
    deployment["metadata"]["managedFields"] = json!([wrote("search-operator", "")]);
    let target = json!({"apiVersion": "example.com/v1", "kind": "Search", "name": "front"});
    let bounds = json!({"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 8});
    let hpa = object("autoscaling/v2", "HorizontalPodAutoscaler", "front", &bounds);
    let all = found(vec![deployment, service(), hpa]);
    assert_eq!(told(&all), [""; 0]);
    assert_eq!(one(&all, "scale-target").found, "example.com/v1/Search/front");
    assert_eq!(one(&all, "hpa").verdict, Verdict::Fine);
    assert!(all.iter().all(|one| one.fact != "writer"), "who passes it on writes it");
}
