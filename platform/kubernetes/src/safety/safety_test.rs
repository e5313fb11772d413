//! Each rule by objects as people have them: what is found, where, and what mends it.

use serde_json::{Value, json};

use super::finding::{Topic, Verdict};
use super::objects::{Objects, Unseen};
use super::testing::{POD, WEB, beside, examined, found, object, one, paste, service, shop, told, with};

#[test]
fn of_a_sound_deployment_only_questions_are_left() {
    let all = found(beside([]));
    assert_eq!(told(&all), [""; 0], "{all:#?}");
    let questions = all.iter().filter(|one| one.verdict == Verdict::Question).map(|one| one.fact);
    assert_eq!(questions.collect::<Vec<_>>(), ["works-unasked", "remembers", "called-inside"]);
    for topic in Topic::CLEAR {
        assert!(all.iter().any(|one| one.topic == topic && one.verdict == Verdict::Fine), "{topic:?}");
    }
    assert!(one(&all, "works-unasked").found.is_empty());
}

#[test]
fn what_was_not_seen_is_not_said_to_be_fine() {
    let mut objects = Objects::default();
    beside([]).into_iter().for_each(|one| objects.take(one, "prod").unwrap());
    let unseen =
        |absent| Unseen { resource: "x".into(), why: "forbidden".into(), absent, topic: Topic::WaysIn };
    let fine = |objects: &Objects| {
        examined(objects).iter().any(|one| one.topic == Topic::WaysIn && one.verdict == Verdict::Fine)
    };
    objects.miss(unseen(true));
    assert!(fine(&objects), "there can't be any");
    objects.miss(unseen(false));
    assert!(!fine(&objects));
}

/// Objects, the one fact of them that matters with its verdict, where it is found, and a part of what is to be pasted.
type Case = (Vec<Value>, &'static str, &'static str, &'static str);

fn proves(cases: impl IntoIterator<Item = Case>) {
    for (objects, expected, place, pasted) in cases {
        let all = found(objects);
        assert_eq!(told(&all), [expected], "{all:#?}");
        let finding = one(&all, expected.split(' ').nth(1).unwrap());
        assert_eq!(format!("{} {}", finding.object, finding.field), place);
        let fix = finding.fix.as_ref().unwrap();
        let paste = &fix.paste;
        assert!(paste.contains(pasted) && paste.is_empty() == pasted.is_empty(), "{expected}: {paste}");
        assert!(!fix.say.is_empty() && !finding.why.is_empty() && !finding.found.is_empty(), "{finding:?}");
    }
}

/// The sound Deployment, and its Service with a change.
fn service_as(change: Value) -> Vec<Value> {
    let mut service = service();
    let Value::Object(change) = change else { panic!("{change}") };
    service["spec"].as_object_mut().unwrap().extend(change);
    vec![shop(), service]
}

#[test]
fn services_that_lead_past_kaos_or_nowhere() {
    proves([
        (
            service_as(json!({"type": "LoadBalancer"})),
            "unsafe service-open",
            "Service/shop spec.type",
            r#"kubectl patch service shop -n prod -p '{"spec":{"type":"ClusterIP"}}'"#,
        ),
        (
            service_as(json!({"externalIPs": ["192.0.2.1"]})),
            "unsafe external-ips",
            "Service/shop spec.externalIPs",
            r#""path":"/spec/externalIPs""#,
        ),
        (
            service_as(
                json!({"ports": [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "grpc", "port": 9000}]}),
            ),
            "unsafe port-other",
            "Service/shop spec.ports[1]",
            "",
        ),
        (
            service_as(
                json!({"ports": [{"name": "http", "port": 80, "targetPort": "http"}, {"port": 80, "protocol": "UDP"}]}),
            ),
            "unsafe port-other",
            "Service/shop spec.ports[1]",
            "",
        ),
        (
            vec![shop()],
            "unsafe no-way",
            "Deployment/shop ",
            "kubectl expose deployment shop -n prod --port=80 --target-port=8080",
        ),
        (
            service_as(json!({"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]})),
            "unsafe no-way",
            "Deployment/shop ",
            "kaos.dev/port=1",
        ),
    ]);
}

#[test]
fn ports_of_nodes_and_policies_that_keep_kaos_out() {
    let policy = json!({"podSelector": {}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "front"}}}]}]});
    let policy = beside([object("networking.k8s.io/v1", "NetworkPolicy", "deny", &policy)]);
    proves([
        (
            with(&format!("{WEB}/ports/0"), json!({"name": "http", "containerPort": 8080, "hostPort": 8080})),
            "unsafe host-port",
            "Deployment/shop spec.template.spec.containers[0].ports[0].hostPort",
            r#"[{"op":"remove","path":"/spec/template/spec/containers/0/ports/0/hostPort"}]"#,
        ),
        (
            with(&format!("{POD}/hostNetwork"), json!(true)),
            "unsafe host-network",
            "Deployment/shop spec.template.spec.hostNetwork",
            "remove",
        ),
        (
            policy,
            "unsafe network-policy",
            "NetworkPolicy/deny spec.ingress",
            "kubernetes.io/metadata.name\":\"kaos-system",
        ),
    ]);
}

#[test]
fn volumes_that_one_replica_alone_can_have() {
    let volume = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    let mut claimed = with(&format!("{POD}/volumes"), volume);
    claimed.push(object("v1", "PersistentVolumeClaim", "data", &json!({"accessModes": ["ReadWriteOnce"]})));
    proves([
        (
            claimed,
            "unsafe volume-single",
            "PersistentVolumeClaim/data spec.accessModes",
            "kaos.dev/max-scale=1",
        ),
        (
            with("/spec/strategy/type", json!("Recreate")),
            "unsafe recreate",
            "Deployment/shop spec.strategy.type",
            "kaos.dev/max-scale=1",
        ),
        (
            with(
                &format!("{POD}/volumes"),
                json!([{"name": "work", "ephemeral": {"volumeClaimTemplate": {}}}]),
            ),
            "slow volume-per-pod",
            "Deployment/shop spec.template.spec.volumes[0]",
            "",
        ),
    ]);
}

#[test]
fn what_makes_waking_slow() {
    let mut latest = with(&format!("{WEB}/imagePullPolicy"), Value::Null);
    latest[0].pointer_mut(WEB).unwrap()["image"] = json!("shop");
    let init = json!([{"name": "migrate", "image": "shop:1"}, {"name": "mesh", "restartPolicy": "Always"}]);
    proves([
        (
            with(&format!("{WEB}/imagePullPolicy"), json!("Always")),
            "slow image-pull",
            "Deployment/shop spec.template.spec.containers[0].imagePullPolicy",
            "IfNotPresent",
        ),
        (
            latest,
            "slow image-pull",
            "Deployment/shop spec.template.spec.containers[0].imagePullPolicy",
            "IfNotPresent",
        ),
        (
            with(&format!("{WEB}/readinessProbe"), Value::Null),
            "slow no-readiness",
            "Deployment/shop spec.template.spec.containers[].readinessProbe",
            r#"{"name":"web","readinessProbe":{"periodSeconds":1,"tcpSocket":{"port":8080}}}"#,
        ),
        (
            with(
                &format!("{WEB}/readinessProbe"),
                json!({"exec": {"command": ["true"]}, "initialDelaySeconds": 20}),
            ),
            "slow slow-probe",
            "Deployment/shop spec.template.spec.containers[0].readinessProbe",
            "",
        ),
        (
            with(&format!("{POD}/initContainers"), init),
            "slow init-containers",
            "Deployment/shop spec.template.spec.initContainers",
            "",
        ),
    ]);
}

#[test]
fn a_delay_before_the_first_probe_counts_only_where_no_proxy_can_try_it() {
    let probe = json!({"httpGet": {"path": "/", "port": 8080}, "initialDelaySeconds": 30});
    let all = found(with(&format!("{WEB}/readinessProbe"), probe));
    assert_eq!((one(&all, "initial-delay").verdict, told(&all).len()), (Verdict::Fine, 0));
    let probe = json!({"exec": {"command": ["true"]}, "periodSeconds": 1});
    assert_eq!(told(&found(with(&format!("{WEB}/readinessProbe"), probe))), [""; 0]);
}

#[test]
fn time_to_finish_is_measured_by_what_requests_are_allowed() {
    let mut short = with("/metadata/annotations/x", json!(""));
    short[0]["metadata"]["annotations"]["kaos.dev/request-timeout"] = json!("2m");
    let all = found(short);
    assert_eq!(told(&all), ["unsafe grace-short"]);
    assert!(paste(&all, "grace-short").contains("\"value\":130"), "{all:#?}");
    let all = found(with(&format!("{POD}/terminationGracePeriodSeconds"), json!(1)));
    assert_eq!(one(&all, "grace-short").verdict, Verdict::Question);
    let route = json!({"rules": [{"backendRefs": [{"name": "shop"}], "timeouts": {"request": "10m"}}], "parentRefs": [{"name": "kaos"}]});
    let gateway =
        object("gateway.networking.k8s.io/v1", "Gateway", "kaos", &json!({"gatewayClassName": "kaos"}));
    let all = found(beside([object("gateway.networking.k8s.io/v1", "HTTPRoute", "shop", &route), gateway]));
    assert!(
        one(&all, "grace-short").why.contains("600 s (spec.rules[0].timeouts.request of HTTPRoute/shop)"),
        "{all:#?}"
    );
}

#[test]
fn questions_say_what_makes_one_ask() {
    let mut objects =
        with(&format!("{WEB}/command"), json!(["sh", "-c", "exec /usr/bin/celery -A shop worker"]));
    objects[0].pointer_mut(WEB).unwrap()["env"] = json!([{"name": "KAFKA_BROKERS", "value": "kafka:9092"}]);
    objects[0].pointer_mut(POD).unwrap()["volumes"] = json!([{"name": "cache", "emptyDir": {}}]);
    objects[1]["spec"]["sessionAffinity"] = json!("ClientIP");
    let all = found(objects);
    assert_eq!(
        one(&all, "works-unasked").found,
        "container web runs /usr/bin/celery; container web has KAFKA_BROKERS"
    );
    assert_eq!(one(&all, "remembers").found, "emptyDir cache; Service/shop keeps clients to one pod");
    let harmless = with(
        &format!("{WEB}/args"),
        json!(["--workers", "4", "--worker-class", "uvicorn.workers.UvicornWorker"]),
    );
    assert!(one(&found(harmless), "works-unasked").found.is_empty());
}

#[test]
fn annotations_are_read_as_kaos_reads_them() {
    let all = found(
        with("/metadata/annotations/x", json!(""))
            .into_iter()
            .map(|mut one| {
                if one["kind"] == "Deployment" {
                    one["metadata"]["annotations"]["kaos.dev/max-scal"] = json!("1");
                }
                one
            })
            .collect(),
    );
    assert_eq!(told(&all), ["unsafe annotation"]);
    let mut accepted = beside([]);
    accepted[0]["metadata"]["annotations"]["kaos.dev/accept-risks"] = json!("bypass");
    accepted[1]["spec"]["type"] = json!("NodePort");
    let all = found(accepted);
    assert_eq!((told(&all).len(), one(&all, "service-open").verdict), (0, Verdict::Fine));
}

#[test]
fn objects_of_any_shape_are_survived() {
    let odd = [json!(null), json!([]), json!("x"), json!(-1), json!({"a": [{}]})];
    for value in &odd {
        for place in [
            "/metadata/annotations",
            "/metadata/managedFields",
            "/metadata/ownerReferences",
            "/spec/strategy",
            WEB,
            "/spec/template",
        ] {
            let mut one = shop();
            *one.pointer_mut(place).unwrap_or(&mut json!(null)) = value.clone();
            let _ = found(vec![one, service()]);
        }
        let mut one = service();
        one["spec"] = value.clone();
        let others =
            ["Ingress", "NetworkPolicy"].map(|kind| object("networking.k8s.io/v1", kind, "odd", value));
        let more = object("autoscaling/v2", "HorizontalPodAutoscaler", "odd", value);
        let _ = found([shop(), one, more].into_iter().chain(others).collect());
    }
    let mut objects = Objects::default();
    for wrong in
        [json!(null), json!({}), json!({"kind": "Deployment"}), json!({"kind": "A", "apiVersion": "v1"})]
    {
        assert!(objects.take(wrong, "prod").is_err());
    }
    objects.take(json!({"kind": "List", "apiVersion": "v1", "items": [shop(), service()]}), "prod").unwrap();
    assert_eq!((objects.count("Deployment"), objects.count("Service")), (1, 1));
}
