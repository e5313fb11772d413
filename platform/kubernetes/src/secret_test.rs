//! Secrets by name, from an API server that does as told: the real one is in `tests/testbed`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::fake::Fake;
use crate::secret::{Secret, SecretName, Secrets};

/// `chain` and `key` in base64.
const CHAIN: &str = "Y2hhaW4=";
const KEY: &str = "a2V5";

fn object(version: &str, kind: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "data": data,
        "metadata": {"namespace": "shops", "name": "cert", "resourceVersion": version}})
}

fn tls(version: &str) -> Value {
    object(version, "kubernetes.io/tls", &json!({"tls.crt": CHAIN, "tls.key": KEY, "ca.crt": CHAIN}))
}

fn watch(fake: &Fake) -> Secrets {
    Secrets::watch(&fake.client(), &[SecretName { namespace: "shops".into(), name: "cert".into() }])
}

async fn next(secrets: &mut Secrets) -> Option<Secret> {
    let (at, secret) = timeout(Duration::from_secs(120), secrets.next()).await.expect("in time");
    assert_eq!(at, 0);
    secret
}

/// The version of the next.
async fn version(secrets: &mut Secrets) -> Option<String> {
    next(secrets).await.map(|secret| secret.version().to_owned())
}

#[tokio::test(start_paused = true)]
async fn one_is_followed_by_its_name_from_nothing_to_nothing() {
    let fake = Fake::new();
    let mut secrets = watch(&fake);
    assert_eq!(version(&mut secrets).await, None);
    fake.until_asked("secrets?&watch=true", 1).await;
    let by_name = "fieldSelector=metadata.name%3Dcert";
    assert_eq!(fake.asked("/api/v1/namespaces/shops/secrets?"), fake.asked(by_name));
    fake.say("secrets", "ADDED", &tls("8"));
    let secret = next(&mut secrets).await.unwrap();
    assert_eq!((secret.version(), secret.pair()), ("8", Ok((&b"chain"[..], &b"key"[..]))));
    fake.say("secrets", "MODIFIED", &tls("9"));
    assert_eq!(version(&mut secrets).await.as_deref(), Some("9"));
    fake.say("secrets", "DELETED", &tls("10"));
    assert_eq!(version(&mut secrets).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_says_nothing() {
    let fake = Fake::new();
    fake.have("secrets", vec![tls("8")]);
    let mut secrets = watch(&fake);
    assert_eq!(version(&mut secrets).await.as_deref(), Some("8"));
    fake.until_asked("secrets?&watch=true", 1).await;
    fake.down(true);
    fake.until_asked("secrets?&watch=true", 5).await;
    fake.down(false);
    fake.until_asked("secrets?&watch=true", 7).await;
    fake.say("secrets", "MODIFIED", &tls("9"));
    assert_eq!(version(&mut secrets).await.as_deref(), Some("9"), "and nothing before");
}

#[tokio::test(start_paused = true)]
async fn a_right_that_comes_later_is_used_then() {
    let fake = Fake::new();
    fake.have("secrets", vec![tls("8")]);
    fake.refuse("secrets", 403);
    assert_eq!(version(&mut watch(&fake)).await.as_deref(), Some("8"));
    assert_eq!(fake.asked("&limit="), 2);
}

/// What `object` lacks.
async fn lacks(object: Value) -> String {
    let fake = Fake::new();
    fake.have("secrets", vec![object]);
    let secret = next(&mut watch(&fake)).await.unwrap();
    let wrong = secret.pair().unwrap_err();
    assert!(!format!("{wrong} {secret:?}").contains(KEY), "{wrong} {secret:?}");
    wrong
}

#[tokio::test(start_paused = true)]
async fn what_one_lacks_is_said() {
    let typed = |data: Value| object("8", "kubernetes.io/tls", &data);
    let opaque = object("8", "Opaque", &json!({"tls.crt": CHAIN, "tls.key": KEY}));
    assert_eq!(lacks(opaque).await, "its type is Opaque; allowed is kubernetes.io/tls");
    for (data, wrong) in [
        (json!({"tls.key": KEY}), "it has nothing under tls.crt"),
        (json!({"tls.crt": CHAIN, "tls.key": ""}), "it has nothing under tls.key"),
        (json!({"tls.crt": CHAIN}), "it has nothing under tls.key"),
        (json!(null), "it has nothing under tls.crt"),
        (json!({"tls.crt": CHAIN, "tls.key": format!("{KEY}%")}), "it can't be read"),
        (json!(KEY), "it can't be read"),
    ] {
        assert_eq!(lacks(typed(data)).await, wrong);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_key_is_shown() {
    let fake = Fake::new();
    fake.have("secrets", vec![tls("8")]);
    let shown = format!("{:?}", next(&mut watch(&fake)).await.unwrap());
    assert_eq!(shown, "Secret { version: \"8\", kind: \"kubernetes.io/tls\", .. }");
}
