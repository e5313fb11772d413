//! What comes of annotations that are said: what stays, what is refused, what is ours, and how the other lets go.

use serde_json::{Value, json};

use super::plan::Plan;
use super::remark::Verdict;
use super::{MANAGER, Told, read};
use crate::safety::Objects;
use crate::safety::testing::{object, service, shop, wrote};

/// An HTTPScaledObject of `prod/shop`.
fn told(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["scaleTargetRef"] = json!({"name": "shop", "service": "shop", "port": 80});
    object("http.keda.sh/v1alpha1", "HTTPScaledObject", "shop", &spec)
}

fn all(objects: impl IntoIterator<Item = Value>) -> Told {
    let mut taken = Objects::default();
    for object in objects {
        taken.take(object, "default").unwrap();
    }
    read(&taken, "kaos-system", |_| true)
}

fn plan(objects: impl IntoIterator<Item = Value>) -> Plan {
    let Told { mut plans, left } = all(objects);
    assert!(plans.len() == 1 && left.is_empty(), "{plans:#?} {left:#?}");
    plans.remove(0)
}

fn value<'p>(plan: &'p Plan, name: &str) -> Option<&'p str> {
    plan.lines.iter().find(|line| line.name == format!("kaos.dev/{name}")).map(|line| line.value.as_str())
}

fn why(plan: &Plan, verdict: Verdict) -> Vec<&str> {
    plan.remarks.iter().filter(|one| one.verdict == verdict).map(|one| one.why.as_str()).collect()
}

fn commands(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().flat_map(|step| step.paste.lines()).collect()
}

#[test]
fn what_somebody_has_said_stays_and_what_an_earlier_run_has_set_follows() {
    let object =
        told(&json!({"hosts": ["shop.example.com"], "replicas": {"max": 30}, "scaledownPeriod": 60}));
    let mut deployment = shop();
    deployment["metadata"]["annotations"] =
        json!({"kaos.dev/enabled": "true", "kaos.dev/max-scale": "5", "kaos.dev/idle-timeout": "2m"});
    let stays = plan([deployment.clone(), service(), object.clone()]);
    assert_eq!((value(&stays, "max-scale"), value(&stays, "idle-timeout")), (None, None));
    assert_eq!(why(&stays, Verdict::Stays).len(), 2);
    // The same by the API server's books.
    let fields = json!({"f:metadata": {"f:annotations": {".": {}, "f:kaos.dev/max-scale": {}}}});
    let books = json!([{"manager": MANAGER, "operation": "Apply", "fieldsV1": fields}]);
    deployment["metadata"]["managedFields"] = books;
    let ours = plan([deployment, service(), object]);
    let line = ours.lines.iter().find(|line| line.name == "kaos.dev/max-scale").unwrap();
    assert_eq!((line.before.as_deref(), line.value.as_str(), line.changes()), (Some("5"), "30", true));
    assert_eq!((value(&ours, "idle-timeout"), why(&ours, Verdict::Stays).len()), (None, 1));
    assert!(!ours.lines[0].changes(), "it is opted in already");
}

#[test]
fn what_kaos_does_not_allow_is_said_and_the_rest_stands() {
    let spec = json!({
        "hosts": ["shop.example.com", "a b"], "pathPrefixes": ["shop"], "replicas": {"min": 4, "max": 2},
        "scaledownPeriod": 0, "scalingMetric": {"concurrency": {"targetValue": 7}},
    });
    let plan = plan([shop(), service(), told(&spec)]);
    let names: Vec<&str> = plan.lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "kaos.dev/enabled",
            "kaos.dev/max-scale",
            "kaos.dev/target",
            "kaos.dev/target-utilization-percentage"
        ]
    );
    let refused = why(&plan, Verdict::Refused);
    for part in [
        "kaos.dev/host",
        "kaos.dev/path",
        "min-scale (4) must not be above max-scale (2)",
        "a duration, 1s to 24h",
    ] {
        assert!(refused.iter().any(|why| why.contains(part)), "{part}: {refused:#?}");
    }
}

#[test]
fn an_annotation_that_is_wrong_already_is_named() {
    let mut deployment = shop();
    deployment["metadata"]["annotations"] = json!({"kaos.dev/windo": "1m"});
    let plan = plan([deployment, service(), told(&json!({"hosts": ["shop.example.com"]}))]);
    assert!(why(&plan, Verdict::Refused)[0].contains("did you mean kaos.dev/window?"), "{:#?}", plan.remarks);
    assert_eq!(value(&plan, "host"), Some("shop.example.com"));
}

#[test]
fn of_two_that_say_otherwise_the_first_counts_and_the_other_is_named() {
    let mut deployment = shop();
    deployment["metadata"]["labels"] =
        json!({"com.openfaas.scale.max": "4", "com.openfaas.scale.zero": "true"});
    let object = told(&json!({"hosts": ["shop.example.com"], "replicas": {"max": 30}}));
    let plan = plan([deployment, service(), object]);
    assert_eq!(plan.sources, ["HTTPScaledObject/shop", "Deployment/shop com.openfaas.scale.…"]);
    assert_eq!(value(&plan, "max-scale"), Some("30"));
    assert!(why(&plan, Verdict::Stays)[0].contains("\"4\""), "{:#?}", plan.remarks);
}

#[test]
fn a_service_and_a_port_are_said_where_kaos_would_take_others() {
    let other = |name: &str, port: u16| {
        object(
            "v1",
            "Service",
            name,
            &json!({"selector": {"app": "shop"}, "ports": [{"port": port, "targetPort": 8080}]}),
        )
    };
    let mut object = told(&json!({"hosts": ["shop.example.com"]}));
    object["spec"]["scaleTargetRef"] = json!({"name": "shop", "service": "side", "port": 81});
    let said = plan([shop(), service(), other("side", 81), object.clone()]);
    assert_eq!((value(&said, "service"), value(&said, "port")), (Some("side"), Some("81")));
    // One that leads elsewhere.
    object["spec"]["scaleTargetRef"]["service"] = "elsewhere".into();
    let refused = plan([shop(), service(), object]);
    assert_eq!((value(&refused, "service"), value(&refused, "port")), (None, None));
    assert!(why(&refused, Verdict::Refused)[0].contains("allowed is shop"), "{:#?}", refused.remarks);
}

#[test]
fn the_count_leaves_the_books_of_keda_before_it_is_gone() {
    let object = told(&json!({"hosts": ["shop.example.com"]}));
    let scales = |deployment: Value| -> Vec<String> {
        let plan = plan([deployment, service(), object.clone()]);
        let all = commands(&plan).into_iter().filter(|command| command.contains("kubectl scale"));
        all.map(|command| command.rsplit_once(" -n prod ").unwrap().1.to_owned()).collect()
    };
    assert!(scales(shop()).is_empty(), "it runs, and KEDA never wrote its count");
    let mut keda = shop();
    keda["metadata"]["managedFields"] = json!([wrote("keda", "scale")]);
    assert_eq!(scales(keda), ["--replicas=3", "--replicas=2"]);
    let mut asleep = shop();
    asleep["spec"]["replicas"] = 0.into();
    assert_eq!(scales(asleep), ["--replicas=1"]);
    let mut written = shop();
    written["metadata"].as_object_mut().unwrap().remove("managedFields");
    assert_eq!(scales(written), ["--current-replicas=0 --replicas=1"]);
}

#[test]
fn a_second_look_says_the_same_while_keda_lets_go() {
    let spec = json!({"hosts": ["shop.example.com"], "replicas": {"max": 3}});
    let mut paused = told(&spec);
    paused["metadata"]["annotations"] = json!({"autoscaling.keda.sh/paused": "true"});
    let (first, second) = (plan([shop(), service(), told(&spec)]), plan([shop(), service(), paused]));
    assert_eq!(first.lines, second.lines);
}

#[test]
fn a_scaled_object_that_an_http_scaled_object_has_made_is_not_read_twice() {
    let mut made = object(
        "keda.sh/v1alpha1",
        "ScaledObject",
        "shop",
        &json!({"scaleTargetRef": {"name": "shop"}, "maxReplicaCount": 9,
            "triggers": [{"type": "external-push", "metadata": {"httpScaledObject": "shop"}}]}),
    );
    made["metadata"]["ownerReferences"] = json!([{"kind": "HTTPScaledObject", "name": "shop"}]);
    let http = told(&json!({"hosts": ["shop.example.com"], "replicas": {"max": 3}}));
    let plan = plan([shop(), service(), http.clone(), made.clone()]);
    assert_eq!((plan.sources.len(), value(&plan, "max-scale")), (1, Some("3")));
    // One of the user's own says how, where the other was told to make none.
    made["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    let mut skips = http;
    skips["metadata"]["annotations"] = json!({"httpscaledobject.keda.sh/skip-scaledobject-creation": "true"});
    let plan = self::plan([shop(), service(), skips, made]);
    assert_eq!((plan.sources.len(), value(&plan, "max-scale")), (2, Some("9")));
}

#[test]
fn what_knative_owns_is_left_to_it() {
    let mut deployment = shop();
    deployment["metadata"]["name"] = "hello-00001-deployment".into();
    deployment["metadata"]["labels"] = json!({"serving.knative.dev/service": "hello"});
    deployment["spec"]["template"]["metadata"]["annotations"] =
        json!({"autoscaling.knative.dev/target": "5"});
    let knative = object(
        "serving.knative.dev/v1",
        "Service",
        "hello",
        &json!({"template": {
            "metadata": {"annotations": {"autoscaling.knative.dev/target": "5"}},
            "spec": {"containers": [{"image": "registry.example.com/hello:1"}]},
        }}),
    );
    let plan = plan([deployment, service(), knative]);
    assert_eq!((plan.workload.name(), plan.make.len()), ("hello", 2));
    assert_eq!(value(&plan, "target"), Some("5"));
    let probe = plan.make[0].pointer("/spec/template/spec/containers/0/readinessProbe/tcpSocket/port");
    assert_eq!(probe, Some(&json!(8080)), "as Knative probes what says nothing");
}

#[test]
fn nothing_is_said_of_what_nobody_was_told_about() {
    let Told { plans, left } = all([shop(), service()]);
    assert!(plans.is_empty() && left.is_empty());
    let gone = all([told(&json!({"hosts": ["shop.example.com"]}))]);
    assert_eq!((gone.plans.len(), gone.left[0].why.as_str()), (0, "there is no Deployment shop"));
}
