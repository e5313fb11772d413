//! `kaos adopt` over files, one for each of those whose words it reads. Over a real API server: `tests/testbed/tests/adopt.rs`.

#![cfg(feature = "kubernetes")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::{kaos, said};

/// Runs `kaos adopt` in an empty folder.
fn adopt(arguments: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    said(&kaos(dir.path()).arg("adopt").args(arguments).output().unwrap())
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/adopt/{name}.yaml", env!("CARGO_MANIFEST_DIR"))
}

/// What it says of a fixture, as JSON.
fn read(name: &str) -> Value {
    let (code, json, errors) = adopt(&["-f", &fixture(name), "-o", "json"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    serde_json::from_str(&json).unwrap()
}

fn workload<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer["workloads"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()
}

/// The annotations of one Deployment, without `kaos.dev/`; that it is opted in goes without saying.
fn annotations(workload: &Value) -> BTreeMap<&str, &str> {
    let all = workload["annotations"].as_array().unwrap().iter();
    let mut all: BTreeMap<&str, &str> = all
        .map(|line| {
            (
                line["name"].as_str().unwrap().strip_prefix("kaos.dev/").unwrap(),
                line["value"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(all.remove("enabled"), Some("true"));
    all
}

/// The remarks with this verdict: where each stands, after the object's name, and why.
fn remarks<'a>(workload: &'a Value, verdict: &str) -> Vec<(&'a str, &'a str)> {
    let all = workload["remarks"].as_array().unwrap().iter().filter(|one| one["verdict"] == verdict);
    all.map(|one| (one["from"].as_str().unwrap(), one["why"].as_str().unwrap())).collect()
}

/// All commands, in order.
fn commands(workload: &Value) -> Vec<&str> {
    let steps = workload["steps"].as_array().unwrap().iter();
    steps.flat_map(|step| step["paste"].as_str().unwrap().lines()).collect()
}

#[track_caller]
fn stand_at(remarks: &[(&str, &str)], places: &[&str]) {
    let at: Vec<&str> = remarks.iter().map(|(from, _)| *from).collect();
    assert_eq!(at, places);
}

#[test]
fn what_an_http_scaled_object_says_is_said() {
    let answer = read("keda");
    let shop = workload(&answer, "shop");
    assert_eq!(shop["sources"], serde_json::json!(["HTTPScaledObject/shop"]));
    let all = annotations(shop);
    assert_eq!(
        all.into_iter().collect::<Vec<_>>(),
        [
            ("host", "shop.example.com,*.shop.example.com"),
            ("idle-timeout", "5m"),
            ("max-scale", "10"),
            ("metric", "rps"),
            ("queue-timeout", "20s"),
            ("response-start-timeout", "1m30s"),
            ("target", "100"),
            ("target-utilization-percentage", "100"),
        ]
    );
    let none = remarks(shop, "no-equal");
    let at = |field: &str| format!("HTTPScaledObject/shop spec.{field}");
    stand_at(&none, &[&at("headers"), &at("initialCooldownPeriod"), &at("coldStartTimeoutFailoverRef")]);
    // What Kaos finds by itself isn't written.
    let same: Vec<&str> = remarks(shop, "same").into_iter().map(|(from, _)| from).collect();
    for field in
        ["replicas.min", "scalingMetric.requestRate.window", "scaleTargetRef.service", "scaleTargetRef.port"]
    {
        assert!(same.contains(&at(field).as_str()), "{field}: {same:?}");
    }
    assert_eq!(
        commands(shop),
        [
            "kaos adopt deployment/shop -n prod --apply",
            "kubectl annotate httpscaledobject/shop scaledobject/shop -n prod autoscaling.keda.sh/paused=true --overwrite",
            "kubectl scale deployment shop -n prod --current-replicas=0 --replicas=1",
            "kubectl patch scaledobject shop -n prod --type=merge -p '{\"spec\":{\"advanced\":{\"restoreToOriginalReplicaCount\":false}}}'",
            "kubectl delete httpscaledobject shop -n prod",
            "kaos check deployment/shop -n prod",
        ]
    );
}

#[test]
fn a_route_and_the_scaled_object_that_asks_for_it_are_one() {
    let answer = read("keda");
    let cart = workload(&answer, "cart");
    assert_eq!(cart["sources"], serde_json::json!(["InterceptorRoute/cart", "ScaledObject/cart"]));
    assert_eq!(
        annotations(cart).into_iter().collect::<Vec<_>>(),
        [
            ("activation-scale", "2"),
            ("host", "cart.example.com"),
            ("idle-timeout", "10m"),
            ("max-scale", "100"),
            ("no-wake-paths", "/healthz=200"),
            ("path", "/api"),
            ("request-timeout", "30s"),
            ("scale-down-delay", "2m"),
            ("target", "20"),
            ("target-utilization-percentage", "100"),
        ]
    );
    let none = remarks(cart, "no-equal");
    stand_at(
        &none,
        &[
            "InterceptorRoute/cart spec.timeouts.readiness",
            "InterceptorRoute/cart spec.staticRoutes[1]",
            "ScaledObject/cart spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.policies",
            "ScaledObject/cart spec.triggers[1]",
        ],
    );
    assert!(none[3].1.starts_with("cpu: Kaos scales by requests alone"), "{none:?}");
    // Neither is left over, nor is one of them taken away before the other lets go.
    let commands = commands(cart);
    let place = |part: &str| commands.iter().position(|command| command.contains(part)).unwrap();
    assert!(place("autoscaling.keda.sh/paused=true") < place("delete interceptorroute cart"));
    assert!(place("restoreToOriginalReplicaCount") < place("delete scaledobject cart"));
}

#[test]
fn what_is_no_work_of_kaos_is_left_and_why() {
    let answer = read("keda");
    let left: Vec<(&str, &str)> = answer["left"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["object"].as_str().unwrap(), one["why"].as_str().unwrap()))
        .collect();
    assert_eq!(
        left,
        [
            ("HTTPScaledObject/db", "Kaos scales Deployments, no StatefulSet"),
            ("ScaledObject/worker", "KEDA scales worker by kafka, not by requests: leave it to KEDA"),
        ]
    );
}

#[test]
fn a_service_of_knative_becomes_a_deployment_of_ones_own() {
    let answer = read("knative");
    let hello = workload(&answer, "hello");
    assert_eq!(
        annotations(hello).into_iter().collect::<Vec<_>>(),
        [
            ("container-concurrency", "50"),
            ("host", "hello.example.com"),
            ("idle-timeout", "5m"),
            ("max-scale", "30"),
            ("min-scale", "1"),
            ("protocol", "h2c"),
            ("request-timeout", "2m"),
            ("target", "20"),
            ("target-utilization-percentage", "80"),
        ]
    );
    let (from, why) = remarks(hello, "refused")[0];
    assert!(from.ends_with("autoscaling.knative.dev/window") && why.contains("6s to 1h"), "{from}: {why}");
    stand_at(&remarks(hello, "no-equal"), &["Knative Service/hello spec.traffic"]);
    let [deployment, service] = hello["make"].as_array().unwrap().as_slice() else { panic!("{hello:#}") };
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["readinessProbe"]["httpGet"]["port"], 9000);
    assert!(
        container["env"].as_array().unwrap().contains(&serde_json::json!({"name": "PORT", "value": "9000"}))
    );
    assert_eq!(deployment["spec"]["template"]["spec"]["containerConcurrency"], Value::Null);
    assert_eq!(service["metadata"]["name"], "hello-app");
    assert_eq!(service["spec"]["ports"][0]["appProtocol"], "kubernetes.io/h2c");
    assert!(commands(hello)[0].contains("-o yaml | kubectl apply --server-side"), "{hello:#}");
}

#[test]
fn what_kaos_reads_of_knative_by_itself_is_not_written_again() {
    let answer = read("knative");
    let plain = workload(&answer, "plain");
    // What stands in the pod template isn't read; a first size above Kaos's bound comes with Knative's.
    let all: Vec<_> = annotations(plain).into_iter().collect();
    assert_eq!(all, [("initial-scale", "12"), ("max-scale", "0"), ("window", "30s")]);
    stand_at(
        &remarks(plain, "same"),
        &["autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/target"],
    );
}

#[test]
fn labels_of_openfaas_are_read() {
    let answer = read("openfaas");
    let all = annotations(workload(&answer, "resize")).into_iter().collect::<Vec<_>>();
    assert_eq!(
        all,
        [
            ("activation-scale", "2"),
            ("idle-timeout", "10m"),
            ("max-scale", "15"),
            ("target", "10"),
            ("target-utilization-percentage", "95"),
        ]
    );
    let crunch = workload(&answer, "crunch");
    assert_eq!(
        annotations(crunch).into_iter().collect::<Vec<_>>(),
        [("max-scale", "20"), ("min-scale", "1")]
    );
    let none = remarks(crunch, "no-equal");
    let at = |name: &str| format!("Deployment/crunch com.openfaas.scale.{name}");
    stand_at(&none, &[&at("type"), &at("factor"), "Deployment/crunch"]);
}

#[test]
fn a_group_of_sablier_is_read_with_the_session_of_its_middleware() {
    let answer = read("sablier");
    let front = workload(&answer, "front");
    let all: Vec<_> = annotations(front).into_iter().collect();
    assert_eq!(all, [("idle-timeout", "15m"), ("wake-with", "back")]);
    assert_eq!(annotations(workload(&answer, "back"))["wake-with"], "front");
    let none: Vec<&str> = remarks(front, "no-equal").into_iter().map(|(from, _)| from).collect();
    assert!(none.contains(&"Deployment/front sablier.running-hours"), "{none:?}");
    assert!(none.contains(&"Middleware/sablier-demo spec.plugin.sablier.dynamic"), "{none:?}");
    assert_eq!(answer["left"][0]["object"], "StatefulSet/db");
    assert!(commands(front).contains(&"kubectl label deployment front -n lab sablier.enable-"), "{front:#}");
}

#[test]
fn annotations_of_osiris_are_read_on_all_three_kinds_of_objects() {
    let answer = read("osiris");
    let wiki = workload(&answer, "wiki");
    let all = annotations(wiki);
    for (name, value) in [
        ("activation-scale", "2"),
        ("host", "wiki.example.com,docs.example.com"),
        ("idle-timeout", "10m"),
        ("no-wake-paths", "/healthz=200,/metrics=200"),
        ("port", "8080"),
        ("wake-with", "search"),
    ] {
        assert_eq!(all.get(name), Some(&value), "{name}: {all:?}");
    }
    // The Service gets the selector back that Osiris has taken away.
    let selects =
        "kubectl patch service wiki -n tools --type=merge -p '{\"spec\":{\"selector\":{\"app\":\"wiki\"}}}'";
    assert!(commands(wiki).contains(&selects), "{wiki:#}");
    let note = remarks(wiki, "note");
    assert!(note.iter().any(|(_, why)| why.contains("no Service selects its pods")), "{note:?}");
}

#[test]
fn people_get_a_difference_with_reasons_and_the_order_of_things() {
    let (code, page, errors) = adopt(&["-f", &fixture("keda"), "shop", "-n", "prod"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    let lines: Vec<&str> = page.lines().collect();
    for line in [
        "prod/shop, by HTTPScaledObject/shop",
        "+   kaos.dev/enabled: \"true\"                               opts in",
        "+   kaos.dev/idle-timeout: \"5m\"                            HTTPScaledObject/shop spec.scaledownPeriod",
        "Has no equal:",
        "        Kaos goes by host and path: it takes requests without these headers too",
        "Kaos does so anyway:",
        "        kaos.dev/service = \"shop\": Kaos finds it by itself",
        "  2. KEDA leaves the count as it is; requests go on as they do",
        "Nothing was changed: --apply sets the annotations, -o yaml prints them as patches.",
    ] {
        assert!(lines.contains(&line), "{line}\nisn't in\n{page}");
    }
    assert!(!page.contains("prod/cart"), "{page}");
}

#[test]
fn what_is_kept_in_git_is_one_patch_for_each() {
    for (name, workloads) in
        [("keda", vec!["cart", "shop"]), ("knative", vec!["hello", "hello-app", "plain"])]
    {
        let (code, yaml, errors) = adopt(&["-f", &fixture(name), "-o", "yaml"]);
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        let all: Vec<Value> = serde_saphyr::from_multiple(&yaml).unwrap();
        let names: Vec<&str> = all.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect();
        assert_eq!(names, workloads, "{yaml}");
        let answer = read(name);
        for patch in all.iter().filter(|object| object["kind"] == "Deployment") {
            let said = &patch["metadata"]["annotations"];
            let plan = workload(&answer, patch["metadata"]["name"].as_str().unwrap());
            let lines = plan["annotations"].as_array().unwrap();
            assert_eq!(said.as_object().unwrap().len(), lines.len());
            assert!(lines.iter().all(|line| said[line["name"].as_str().unwrap()] == line["value"]), "{yaml}");
            // Nothing else of a Deployment that is there.
            let made = !plan["make"].as_array().unwrap().is_empty();
            assert_eq!(patch.get("spec").is_some(), made, "{yaml}");
        }
    }
    let (_, yaml, _) = adopt(&["-f", &fixture("keda"), "-o", "yaml"]);
    assert!(yaml.contains("# no-equal: HTTPScaledObject/shop spec.headers: Kaos goes by host"), "{yaml}");
}

#[test]
fn which_are_meant_is_said_as_everywhere() {
    let keda = fixture("keda");
    let names = |arguments: &[&str]| -> Vec<String> {
        let (code, json, errors) = adopt(&[&["-f", keda.as_str(), "-o", "json"], arguments].concat());
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{arguments:?}");
        let answer: Value = serde_json::from_str(&json).unwrap();
        let all = answer["workloads"].as_array().unwrap().iter();
        all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["-l", "team=web"]), ["shop"]);
    assert_eq!(names(&["-l", "app in (cart,shop),team!=web"]), ["cart"]);
    assert_eq!(names(&["prod/cart"]), ["cart"]);
    assert!(names(&["-n", "elsewhere"]).is_empty());
    // There is one, and nobody has told anything of it.
    assert!(names(&["deployment/worker", "-n", "prod"]).is_empty());
}

#[test]
fn what_cannot_be_found_out_is_2_and_says_why() {
    let keda = fixture("keda");
    for (arguments, part) in [
        (&["-f", keda.as_str(), "--apply"][..], "cannot be used with"),
        (&["-f", &keda, "deployment/absent"], "there is no Deployment default/absent"),
        (&["-f", &keda, "-l", "a b"], "allowed is a label selector such as app=shop"),
        (&["-f", "absent.yaml"], "absent.yaml: can't be read"),
        (&["-o", "table"], "possible values: text, json, yaml"),
    ] {
        let (code, page, errors) = adopt(arguments);
        assert_eq!((code, page.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(errors.contains(part), "{arguments:?}: {errors}");
    }
}
