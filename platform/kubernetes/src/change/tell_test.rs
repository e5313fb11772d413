//! Objects are told what there is to be said of them: when they say something else, and never in a loop.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::testing::cluster::Stage;
use crate::kept::Stand;
use crate::note::Object;
use crate::status::{Fact, Say, Status, Wanted};

fn status(of: Object, version: &str, told: &Value, say: Say) -> Arc<[Status]> {
    let stand = Stand {
        uid: "u-front".into(),
        created: 1,
        generation: 3,
        version: version.into(),
        status: told.to_string().into(),
    };
    Arc::from([Status { wanted: Wanted::new(of, &("shop".into(), "front".into()), say), stand }])
}

fn points(all: &[&str]) -> Say {
    Say::Points(all.iter().map(|at| Box::from(*at)).collect())
}

fn ingress(version: &str, told: &[&str], say: &[&str]) -> Arc<[Status]> {
    let told: Vec<Value> = told.iter().map(|at| json!({"ip": at})).collect();
    status(Object::Ingress, version, &json!({"loadBalancer": {"ingress": told}}), points(say))
}

/// What was written so far.
fn written(stage: &Stage) -> Vec<Value> {
    const PATHS: [&str; 2] = [
        "PATCH /apis/networking.k8s.io/v1/namespaces/shop/ingresses/front/status",
        "PATCH /apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/front/status",
    ];
    let seen = stage.log.all().into_iter().filter(|seen| PATHS.contains(&&*seen.line()));
    seen.map(|seen| seen.body).collect()
}

#[tokio::test(start_paused = true)]
async fn an_ingress_is_told_where_requests_come_in_and_that_no_more_often_than_needed() {
    let stage = Stage::kept(1).await;
    let front = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/front";
    stage.objects.lock().unwrap().put(front, json!({"metadata": {"uid": "u-front"}}));
    stage.statuses.send_replace(ingress("1", &[], &[]));
    sleep(Duration::from_secs(60)).await;
    assert!(written(&stage).is_empty(), "there is nothing to be told yet");
    let both = ["192.0.2.1", "lb.test"];
    stage.statuses.send_replace(ingress("1", &[], &both));
    stage.comes("it is told", |stage| written(stage).len() == 1).await;
    let expected = json!({"metadata": {"uid": "u-front"}, "status": {"loadBalancer": {"ingress": [
        {"ip": "192.0.2.1"}, {"hostname": "lb.test"}]}}});
    assert_eq!(written(&stage), [expected]);
    // Somebody else writes there, as soon as we have.
    stage.statuses.send_replace(ingress("2", &["10.0.0.9"], &both));
    sleep(Duration::from_secs(20)).await;
    assert_eq!(written(&stage).len(), 1);
    stage.comes("it is told again", |stage| written(stage).len() == 2).await;
    let told = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb.test"}]}});
    stage.statuses.send_replace(status(Object::Ingress, "3", &told, points(&both)));
    sleep(Duration::from_secs(600)).await;
    assert_eq!(written(&stage).len(), 2, "it says so by now");
    stage.statuses.send_replace(ingress("3", &[], &["192.0.2.2"]));
    stage.comes("it is told of the new address", |stage| written(stage).len() == 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_route_is_told_beside_what_others_say() {
    let stage = Stage::kept(1).await;
    let parent = json!({"name": "front", "sectionName": "http"});
    let say = || {
        let facts =
            vec![Fact::is("Accepted", "Accepted"), Fact::isnt("ResolvedRefs", "BackendNotFound", "why")];
        Say::Route(vec![(serde_json::from_value(parent.clone()).unwrap(), facts)])
    };
    let of = |kind: &str, status: &str, since: &str| {
        json!({"type": kind, "status": status, "reason": "x", "message": "", "observedGeneration": 1,
               "lastTransitionTime": since})
    };
    let others = json!({"parentRef": {"name": "other"}, "controllerName": "other.test/x", "conditions": []});
    let old = "2020-01-01T00:00:00Z";
    let ours = json!({"parentRef": parent, "controllerName": "kaos.dev/gateway", "conditions": [
        of("Accepted", "True", old), of("ResolvedRefs", "True", old), of("Odd", "True", old)]});
    let gone = json!({"parentRef": {"name": "gone"}, "controllerName": "kaos.dev/gateway", "conditions": []});
    let told = json!({"parents": [gone, others, ours]});
    stage.statuses.send_replace(status(Object::HttpRoute, "7", &told, say()));
    stage.comes("it is told", |stage| written(stage).len() == 1).await;
    let body = written(&stage).pop().unwrap();
    assert_eq!(body["metadata"], json!({"uid": "u-front", "resourceVersion": "7"}));
    let parents = body["status"]["parents"].as_array().unwrap();
    assert_eq!((parents.len(), &parents[0]), (2, &others));
    let conditions = parents[1]["conditions"].as_array().unwrap();
    let facts =
        conditions.iter().map(|fact| (fact["type"].as_str().unwrap(), fact["status"].as_str().unwrap()));
    assert_eq!(facts.collect::<Vec<_>>(), [("Accepted", "True"), ("ResolvedRefs", "False"), ("Odd", "True")]);
    assert_eq!(conditions[0]["lastTransitionTime"], old);
    assert_ne!(conditions[1]["lastTransitionTime"], old);
    assert_eq!((&conditions[0]["observedGeneration"], &conditions[1]["message"]), (&json!(3), &json!("why")));
    // Once it says so nothing is written, whatever its version.
    stage.statuses.send_replace(status(Object::HttpRoute, "8", &body["status"], say()));
    sleep(Duration::from_secs(600)).await;
    assert_eq!(written(&stage).len(), 1);
    // Nor where there is nothing to say, and nothing to take back.
    let nothing = status(Object::HttpRoute, "9", &Value::Null, Say::Route(Vec::new()));
    stage.statuses.send_replace(nothing);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(written(&stage).len(), 1);
}
