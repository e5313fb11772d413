//! How the API server is known, from one that does as told.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::fake::Fake;
use crate::front::Front;

fn object(version: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data, "metadata": {
        "namespace": "kube-system", "name": "extension-apiserver-authentication", "resourceVersion": version}})
}

async fn next(fronts: &mut watch::Receiver<Option<Front>>) -> Option<Front> {
    timeout(Duration::from_secs(120), fronts.changed()).await.expect("in time").unwrap();
    fronts.borrow_and_update().clone()
}

#[tokio::test(start_paused = true)]
async fn it_is_followed_by_its_name() {
    let fake = Fake::new();
    let mut fronts = Front::follow(&fake.client());
    assert_eq!(next(&mut fronts).await, None);
    fake.until_asked("configmaps?&watch=true", 1).await;
    let by_name = "fieldSelector=metadata.name%3Dextension-apiserver-authentication";
    assert_eq!(fake.asked("/api/v1/namespaces/kube-system/configmaps?"), fake.asked(by_name));
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    for (version, said, read) in [
        ("1", json!("[\"front-proxy-client\", \"other\"]"), names(&["front-proxy-client", "other"])),
        ("2", json!("[]"), names(&[])),
        ("3", Value::Null, names(&[])),
    ] {
        let data = json!({"client-ca-file": "other", "requestheader-client-ca-file": "PEM",
            "requestheader-allowed-names": said});
        fake.say("configmaps", if version == "1" { "ADDED" } else { "MODIFIED" }, &object(version, &data));
        let front = next(&mut fronts).await.unwrap();
        assert_eq!((front.authorities.as_str(), Some(front.names)), ("PEM", read), "{said}");
    }
    // An API server that passes nothing on says nothing of it.
    fake.say("configmaps", "MODIFIED", &object("4", &json!({"client-ca-file": "other"})));
    assert_eq!(next(&mut fronts).await, None);
}

#[tokio::test(start_paused = true)]
async fn what_cant_be_read_stays_as_it_was() {
    let fake = Fake::new();
    let good = json!({"requestheader-client-ca-file": "PEM"});
    fake.have("configmaps", vec![object("1", &good)]);
    let mut fronts = Front::follow(&fake.client());
    assert!(next(&mut fronts).await.is_some());
    fake.until_asked("configmaps?&watch=true", 1).await;
    let bad = json!({"requestheader-client-ca-file": "OTHER", "requestheader-allowed-names": "front"});
    fake.say("configmaps", "MODIFIED", &object("2", &bad));
    let better = json!({"requestheader-client-ca-file": "NEW"});
    fake.say("configmaps", "MODIFIED", &object("3", &better));
    let mut seen = Vec::new();
    while seen.last().map(String::as_str) != Some("NEW") {
        seen.extend(next(&mut fronts).await.map(|front| front.authorities));
    }
    assert_eq!(seen, ["NEW"]);
}
