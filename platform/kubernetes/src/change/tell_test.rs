//! Ingresses are told where requests come in: when they say something else, and never in a loop.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::testing::cluster::Stage;
use crate::serve::Served;

fn served(told: &[&str]) -> Arc<[Served]> {
    Arc::from([Served {
        namespace: "shop".into(),
        name: "front".into(),
        uid: "u-front".into(),
        created: 1,
        told: told.iter().map(|at| Box::from(*at)).collect(),
        certificates: Box::default(),
    }])
}

fn points(all: &[&str]) -> Arc<[Box<str>]> {
    all.iter().map(|at| Box::from(*at)).collect()
}

/// What was written so far.
fn written(stage: &Stage) -> Vec<Value> {
    const PATH: &str = "PATCH /apis/networking.k8s.io/v1/namespaces/shop/ingresses/front/status";
    stage.log.all().into_iter().filter(|seen| seen.line() == PATH).map(|seen| seen.body).collect()
}

#[tokio::test(start_paused = true)]
async fn an_ingress_is_told_where_requests_come_in_and_that_no_more_often_than_needed() {
    let stage = Stage::kept(1).await;
    stage.served.send_replace(served(&[]));
    sleep(Duration::from_secs(60)).await;
    assert!(written(&stage).is_empty(), "there is nothing to be told yet");
    stage.entry.send_replace(points(&["192.0.2.1", "lb.test"]));
    stage.comes("it is told", |stage| written(stage).len() == 1).await;
    let expected = json!({"metadata": {"uid": "u-front"}, "status": {"loadBalancer": {"ingress": [
        {"ip": "192.0.2.1"}, {"hostname": "lb.test"}]}}});
    assert_eq!(written(&stage), [expected]);
    // Somebody else writes there, as soon as we have.
    stage.served.send_replace(served(&["10.0.0.9"]));
    sleep(Duration::from_secs(20)).await;
    assert_eq!(written(&stage).len(), 1);
    stage.comes("it is told again", |stage| written(stage).len() == 2).await;
    stage.served.send_replace(served(&["192.0.2.1", "lb.test"]));
    sleep(Duration::from_secs(600)).await;
    assert_eq!(written(&stage).len(), 2, "it says so by now");
    stage.entry.send_replace(points(&["192.0.2.2"]));
    stage.comes("it is told of the new address", |stage| written(stage).len() == 3).await;
    stage.entry.send_replace(points(&[]));
    sleep(Duration::from_secs(600)).await;
    let last = written(&stage).pop().unwrap();
    assert_eq!(last["status"]["loadBalancer"]["ingress"], json!([{"ip": "192.0.2.2"}]));
}
