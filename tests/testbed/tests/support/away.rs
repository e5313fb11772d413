//! The API server away for a while, under warm load through every proxy.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use kaos_testbed::eventually;
use serde_json::{Value, json};
use tokio::time::{Instant, interval, sleep};

use super::crossing::lowers;
use super::kaos::Part;
use super::scene::{Scene, within};

/// What came of it.
#[derive(Debug, Default)]
pub struct Away {
    pub warm: usize,
    pub failed: Vec<String>,
    /// From the API server's return until each part showed a count that was written then.
    pub fresh: Vec<(String, Duration)>,
    /// From its return until it had the write that wakes the sleeping Deployment; none if that came before it was ready.
    pub woken: Duration,
    /// From then until a replica had an address: the cluster's own controllers have their pauses. None if there was one.
    pub placed: Duration,
    /// From its return until the request was answered.
    pub cold: Duration,
}

/// Stops the API server for `span` while requests for `warm` go through each proxy, `rate` a second each; halfway one comes for
/// `cold`, which sleeps. Everything goes on until all of it is over.
pub async fn away(scene: &Scene<'_>, warm: &str, cold: &str, span: Duration, rate: u32) -> Away {
    let (over, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load =
        join_all((0..scene.kaos.proxies.len()).map(|proxy| steady(scene, proxy, warm, rate, &over, &sent)));
    let cold_name = cold;
    let outage = async {
        eventually("load is on", async || (sent.load(Ordering::Relaxed) > 20).then_some(())).await;
        scene.plane.stop_api_server();
        let (cold, back) = tokio::join!(waiting(scene, cold, span / 2), async {
            sleep(span).await;
            scene.plane.start_api_server().await.unwrap();
            let (back, at) = (Instant::now(), Timestamp::now());
            (back, at, fresh(scene, warm, back).await)
        });
        over.store(true, Ordering::Relaxed);
        let (back, at, fresh) = back;
        (cold.saturating_duration_since(back), [woken(scene, at), placed(scene, cold_name, at)], fresh)
    };
    let (failed, (cold, [woken, placed], fresh)) = tokio::join!(load, outage);
    Away {
        warm: sent.into_inner(),
        failed: failed.into_iter().flatten().collect(),
        fresh,
        woken,
        placed,
        cold,
    }
}

/// From `back` until the API server had the last write that raised a count.
fn woken(scene: &Scene<'_>, back: Timestamp) -> Duration {
    let raised = scene.scalings().into_iter().filter(|entry| entry.code() == 200 && !lowers(entry));
    let last = raised.map(|entry| entry.request_received_timestamp.0).max().unwrap();
    Duration::try_from(last.duration_since(back)).unwrap_or_default()
}

/// From `back` until the API server was told an address of a pod of `name`.
fn placed(scene: &Scene<'_>, name: &str, back: Timestamp) -> Duration {
    let prefix = format!("/namespaces/{}/pods/{name}-", scene.namespace);
    let told = scene.plane.audit(|entry| {
        let body = entry.request_object.as_ref();
        entry.is_about("pods/status")
            && entry.request_uri.contains(&prefix)
            && body.is_some_and(|body| body.pointer("/status/podIP").is_some_and(Value::is_string))
    });
    let after = told.iter().map(|entry| entry.request_received_timestamp.0).filter(|at| *at > back);
    after.min().and_then(|at| Duration::try_from(at.duration_since(back)).ok()).unwrap_or_default()
}

/// Requests at a steady rate until it is `over`. What failed.
async fn steady(
    scene: &Scene<'_>,
    proxy: usize,
    name: &str,
    rate: u32,
    over: &AtomicBool,
    sent: &AtomicUsize,
) -> Vec<String> {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    let mut failed = Vec::new();
    while !over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let answer = scene.get(proxy, name, "/").await;
        sent.fetch_add(1, Ordering::Relaxed);
        if answer.as_ref().is_none_or(|answer| answer.status != 200) {
            failed.push(format!("{answer:?}"));
        }
    }
    failed
}

/// When a request for `name` that was sent in the midst of it was answered.
async fn waiting(scene: &Scene<'_>, name: &str, after: Duration) -> Instant {
    sleep(after).await;
    let answer = scene.get(0, name, "/").await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("x-kaos-cold-start"), "{answer:?}");
    Instant::now()
}

/// A count written at its return, and when each part shows it.
async fn fresh(scene: &Scene<'_>, name: &str, back: Instant) -> Vec<(String, Duration)> {
    let more = u32::try_from(scene.count(name).await).unwrap() + 1;
    scene.merge(name, "test", json!({"spec": {"replicas": more}})).await;
    let path = format!("/v1/workloads/{}/{name}", scene.namespace);
    let shows = |part: &'_ Part, count: u32| {
        let (path, name, admin) = (path.clone(), part.name.clone(), part.admin);
        async move {
            within(Duration::from_secs(60), &format!("{name} shows {count}"), async || {
                let (_, body) = super::kaos::ask(admin, "localhost", &path)
                    .await
                    .map(|answer| (answer.status, answer.body))?;
                let body: Value = serde_json::from_str(&body).ok()?;
                (body.pointer("/replicas/desired")?.as_u64()? == u64::from(count)).then_some(())
            })
            .await;
            (name, back.elapsed())
        }
    };
    join_all(scene.kaos.proxies.iter().chain(&scene.kaos.autoscalers).map(|part| shows(part, more))).await
}
