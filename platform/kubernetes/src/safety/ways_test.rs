//! Other ways in, by objects as people have them: routes, callers, and policies that let nobody in.

use serde_json::{Value, json};

use super::finding::Verdict;
use super::testing::{POD, WEB, beside, found, object, one, paste, told, with};

#[test]
fn requests_that_go_past_kaos_are_told_with_the_host_that_is_to_be_claimed() {
    let rule = |host: &str, service: &str| json!({"host": host, "http": {"paths": [{"path": "/", "backend": {"service": {"name": service, "port": {"number": 80}}}}]}});
    let spec = json!({"ingressClassName": "nginx", "rules": [rule("cart.example.com", "cart"), rule("shop.example.com", "shop")]});
    let all = found(beside([object("networking.k8s.io/v1", "Ingress", "front", &spec)]));
    assert_eq!(told(&all), ["unsafe route"]);
    let finding = one(&all, "route");
    assert_eq!(
        (finding.object.as_str(), finding.field.as_str()),
        ("Ingress/front", "spec.rules[1].http.paths[0].backend.service")
    );
    assert_eq!(finding.found, "shop.example.com goes to Service/shop");
    let lines: Vec<&str> = paste(&all, "route").lines().collect();
    assert_eq!(
        lines[0],
        r#"kubectl patch ingress front -n prod --type=merge -p '{"spec":{"ingressClassName":"kaos"}}'"#
    );
    // Whoever pastes all of it does the first alone.
    assert!(lines.len() == 5 && lines[1..].iter().all(|line| line.starts_with("# ")), "{lines:?}");
    assert!(lines[2].starts_with("# kubectl create service externalname kaos-proxy -n prod"), "{lines:?}");
    assert!(lines[3].contains(r#""path":"/spec/rules/1/http/paths/0/backend/service""#), "{lines:?}");
    assert_eq!(
        lines[4],
        "# kubectl annotate deployment shop -n prod kaos.dev/host=shop.example.com --overwrite"
    );

    let mut old = object("networking.k8s.io/v1", "Ingress", "front", &spec);
    old["metadata"]["annotations"] = json!({"kubernetes.io/ingress.class": "nginx"});
    let class =
        object("networking.k8s.io/v1", "IngressClass", "edge", &json!({"controller": "kaos.dev/ingress"}));
    let patch = r#"-p '{"metadata":{"annotations":{"kubernetes.io/ingress.class":null}},"spec":{"ingressClassName":"edge"}}'"#;
    let all = found(beside([old, class]));
    assert!(paste(&all, "route").lines().next().unwrap().ends_with(patch), "{all:#?}");

    let ours = json!({"ingressClassName": "kaos", "rules": [rule("shop.example.com", "shop")]});
    assert_eq!(told(&found(beside([object("networking.k8s.io/v1", "Ingress", "front", &ours)]))), [""; 0]);

    let mut asking = object("networking.k8s.io/v1", "Ingress", "front", &spec);
    let url = "http://kaos-gate.kaos-system.svc.cluster.local/_kaos/gate/original-url";
    asking["metadata"]["annotations"] = json!({"nginx.ingress.kubernetes.io/auth-url": url});
    let all = found(beside([asking.clone()]));
    assert_eq!(told(&all), ["unsafe route"]);
    assert!(one(&all, "route").why.contains("503 before it asks"), "{all:#?}");
    let to_service = "nginx.ingress.kubernetes.io/service-upstream";
    assert_eq!(
        paste(&all, "route"),
        format!("kubectl annotate ingress front -n prod {to_service}=true --overwrite")
    );
    asking["metadata"]["annotations"][to_service] = json!("true");
    assert_eq!(told(&found(beside([asking]))), [""; 0], "it is asked, and asleep too");

    for (class, controller, default, own) in [
        ("kaos", "somebody.else/ingress", "false", false),
        ("edge", "kaos.dev/ingress", "false", true),
        ("", "kaos.dev/ingress", "true", true),
        ("", "kaos.dev/ingress", "false", false),
    ] {
        let mut spec = ours.clone();
        spec["ingressClassName"] = if class.is_empty() { Value::Null } else { json!(class) };
        let name = if class.is_empty() { "edge" } else { class };
        let mut of = object("networking.k8s.io/v1", "IngressClass", name, &json!({"controller": controller}));
        of["metadata"]["annotations"] = json!({"ingressclass.kubernetes.io/is-default-class": default});
        let ingress = object("networking.k8s.io/v1", "Ingress", "front", &spec);
        assert_eq!(told(&found(beside([ingress, of]))).is_empty(), own, "{class} {controller}");
    }

    let parents = json!([{"name": "edge"}]);
    let spec = json!({"parentRefs": parents, "hostnames": ["shop.example.com"], "rules": [{"backendRefs": [{"name": "shop", "port": 80}]}]});
    let route = object("gateway.networking.k8s.io/v1", "HTTPRoute", "shop", &spec);
    let gateway = |class: &str| {
        object("gateway.networking.k8s.io/v1", "Gateway", "edge", &json!({"gatewayClassName": class}))
    };
    let all = found(beside([route.clone(), gateway("nginx")]));
    assert!(paste(&all, "route").contains("\"kind\":\"ReferenceGrant\""), "{all:#?}");
    assert_eq!(told(&found(beside([route, gateway("kaos")]))), [""; 0]);
}

#[test]
fn routes_of_other_makers_and_of_other_namespaces_are_ways_in_too() {
    for (version, kind, spec) in [
        (
            "traefik.io/v1alpha1",
            "IngressRoute",
            json!({"routes": [{"services": [{"name": "shop", "port": 80}]}]}),
        ),
        (
            "route.openshift.io/v1",
            "Route",
            json!({"host": "shop.example.com", "to": {"kind": "Service", "name": "shop"}}),
        ),
        (
            "projectcontour.io/v1",
            "HTTPProxy",
            json!({"virtualhost": {"fqdn": "shop.example.com"}, "routes": [{"services": [{"name": "shop"}]}]}),
        ),
        (
            "networking.istio.io/v1",
            "VirtualService",
            json!({"hosts": ["shop"], "http": [{"route": [{"destination": {"host": "shop.prod.svc.cluster.local"}}]}]}),
        ),
        ("http.keda.sh/v1beta1", "InterceptorRoute", json!({"target": {"service": "shop", "port": 80}})),
        (
            "gateway.networking.k8s.io/v1",
            "GRPCRoute",
            json!({"rules": [{"backendRefs": [{"name": "shop"}]}]}),
        ),
    ] {
        assert_eq!(told(&found(beside([object(version, kind, "way", &spec)]))), ["unsafe route"], "{kind}");
    }
    let mut far = object(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        "far",
        &json!({"rules": [{"backendRefs": [{"name": "shop", "namespace": "prod"}]}]}),
    );
    far["metadata"]["namespace"] = json!("edge");
    assert_eq!(one(&found(beside([far])), "route").object, "edge/HTTPRoute/far");
    let elsewhere = json!({"rules": [{"backendRefs": [{"name": "shop", "namespace": "test"}, {"name": "shop", "kind": "ServiceImport"}]}]});
    assert_eq!(
        told(&found(beside([object("gateway.networking.k8s.io/v1", "HTTPRoute", "shop", &elsewhere)]))),
        [""; 0]
    );
}

#[test]
fn who_calls_the_service_inside_the_cluster_is_named_without_what_may_be_secret() {
    let pod = |env: Value| json!({"template": {"spec": {"containers": [{"name": "web", "env": env}]}}});
    let front = object(
        "apps/v1",
        "Deployment",
        "front",
        &pod(json!([
            {"name": "SHOP_URL", "value": "http://user:secret@shop:80/api"}, {"name": "APP", "value": "shop"}
        ])),
    );
    let cron = json!({"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"args": ["curl shop.prod.svc/tick"]}]}}}}});
    let nightly = object("batch/v1", "CronJob", "nightly", &cron);
    let mut map = object("v1", "ConfigMap", "nginx", &Value::Null);
    map["data"] = json!({"nginx.conf": "location / { proxy_pass http://shop; }"});
    let all = found(beside([front, nightly, map]));
    let callers: Vec<(&str, &str)> =
        all.iter().filter(|one| one.fact == "caller").map(|one| (&*one.object, &*one.field)).collect();
    assert_eq!(
        callers,
        [
            ("Deployment/front", "env[SHOP_URL]"),
            ("CronJob/nightly", "args"),
            ("ConfigMap/nginx", "data[nginx.conf]")
        ]
    );
    assert!(!format!("{all:?}").contains("secret"), "{all:#?}");
    assert!(all.iter().all(|one| one.fact != "called-inside"), "it isn't asked what is known");
    let itself = with(&format!("{WEB}/env"), json!([{"name": "OWN_URL", "value": "http://shop"}]));
    assert_eq!(told(&found(itself)), [""; 0]);
}

#[test]
fn what_lets_kaos_in_or_only_one_run_is_no_trouble() {
    let kaos = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kaos-system"}}});
    let spec = json!({"podSelector": {"matchLabels": {"app": "shop"}}, "ingress": [{"from": [kaos]}]});
    let other = json!({"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": ["Ingress"]});
    let out = json!({"podSelector": {}, "policyTypes": ["Egress"]});
    let policies = [("in", spec), ("other", other), ("out", out)];
    let policies = policies.map(|(name, spec)| object("networking.k8s.io/v1", "NetworkPolicy", name, &spec));
    assert_eq!(told(&found(beside(policies))), [""; 0]);

    let mut single = with("/spec/strategy/type", json!("Recreate"));
    single[0]["metadata"]["annotations"]["kaos.dev/max-scale"] = json!("1");
    single[0].pointer_mut(POD).unwrap()["volumes"] =
        json!([{"persistentVolumeClaim": {"claimName": "data"}}]);
    single.push(object("v1", "PersistentVolumeClaim", "data", &json!({"accessModes": ["ReadWriteOncePod"]})));
    assert_eq!(told(&found(single)), ["slow volume-attached"]);

    let mut shared =
        with(&format!("{POD}/volumes"), json!([{"persistentVolumeClaim": {"claimName": "data"}}]));
    let all = found(shared.clone());
    assert_eq!(one(&all, "claim-unknown").verdict, Verdict::Question);
    shared.push(object("v1", "PersistentVolumeClaim", "data", &json!({"accessModes": ["ReadWriteMany"]})));
    assert_eq!(told(&found(shared)), [""; 0]);
}
