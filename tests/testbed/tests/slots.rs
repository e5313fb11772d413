//! Proxies that come and go, each listed in EndpointSlices as in a cluster: a hard limit shared between them, and one that is killed.

#![allow(clippy::unwrap_used, reason = "all of this is test code")]

mod support;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kaos_testbed::{ControlPlane, eventually};
use kube::Api;
use kube::api::{Patch, PatchParams};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::crossing::lowers;
use support::kaos::ask;
use support::scene::{Scene, sleepy};
use tokio::time::Instant;

/// So long after a change of the proxies two may be sent to one replica.
const CHANGE: Duration = Duration::from_secs(1);

const REQUESTS: usize = 1000;

/// Lists the proxies of `which`, each with whether it is ready, where the EndpointSlice controller would.
async fn list(scene: &Scene<'_>, which: &[(usize, bool)]) {
    let system = scene.kaos.system();
    let endpoints: Vec<Value> = which
        .iter()
        .map(|(at, ready)| {
            let proxy = &scene.kaos.proxies[*at];
            json!({"addresses": [proxy.listen.ip()], "conditions": {"ready": ready, "serving": ready, "terminating": false},
                "targetRef": {"kind": "Pod", "name": proxy.name, "namespace": system, "uid": proxy.name}})
        })
        .collect();
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "proxies", "labels": {"kubernetes.io/service-name": "kaos-proxy-peers"}},
        "endpoints": endpoints, "ports": [{"name": "http", "port": 8080}, {"name": "metrics", "port": 9090}]});
    let slices: Api<EndpointSlice> = Api::namespaced(scene.client.clone(), system);
    slices.patch("proxies", &PatchParams::apply("test").force(), &Patch::Apply(slice)).await.unwrap();
}

/// Starts the next proxy and lists it beside `others` as soon as it says that it is ready.
async fn join(scene: &mut Scene<'_>, others: &[usize]) {
    let at = scene.kaos.proxies.len();
    let ip = scene.kubelet.address(u8::try_from(210 + at).unwrap()).unwrap();
    let places = [8080, 9090].map(|port| SocketAddr::from((ip, port)));
    scene.kaos.join(scene.plane, "proxy", places, &scene.namespace).await;
    let all = |ready| others.iter().map(|at| (*at, true)).chain([(at, ready)]).collect::<Vec<_>>();
    list(scene, &all(false)).await;
    eventually("the proxy is ready", async || {
        (scene.kaos.proxies[at].admin("/readyz").await?.0 == 200).then_some(())
    })
    .await;
    list(scene, &all(true)).await;
}

/// `shop`, annotated so, behind two proxies that are listed, with one autoscaler.
async fn two_proxies(name: &str, annotations: Value) -> Scene<'static> {
    let mut scene = Scene::start(ControlPlane::shared().await, name, 0, 0).await;
    scene.deploy("shop", 1, annotations, |_, _| {}).await;
    join(&mut scene, &[]).await;
    join(&mut scene, &[0]).await;
    let admin = SocketAddr::from((scene.kubelet.address(250).unwrap(), 9090));
    let (plane, namespace) = (scene.plane, scene.namespace.clone());
    scene.kaos.join(plane, "autoscaler", [admin; 2], &namespace).await;
    scene.answers("shop").await;
    scene
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    sent: AtomicUsize,
    answered: AtomicUsize,
    failed: Mutex<Vec<String>>,
    /// When an answer said that its replica had more than one open.
    crowded: Mutex<Vec<Instant>>,
}

/// One client: a request after the other, each to one of the proxies that are listed; another one where a proxy was killed.
async fn client(seen: &Seen, host: &str, listed: &Mutex<Vec<SocketAddr>>) {
    while seen.sent.fetch_add(1, Ordering::Relaxed) < REQUESTS {
        let answer = loop {
            let address = fastrand::choice(&*listed.lock().unwrap()).copied().unwrap();
            match ask(address, host, "/delay/15ms").await {
                Some(answer) => break answer,
                None if listed.lock().unwrap().contains(&address) => {
                    seen.failed.lock().unwrap().push(format!("no answer from {address}"));
                }
                None => {}
            }
        };
        if answer.status != 200 {
            seen.failed.lock().unwrap().push(format!("{answer:?}"));
        } else if !answer.head.contains("x-answer-in-flight: 1\r") {
            seen.crowded.lock().unwrap().push(Instant::now());
        }
        seen.answered.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_has_one_request_at_a_time_whichever_proxies_there_are() {
    let limited = json!({"kaos.dev/enabled": "true", "kaos.dev/container-concurrency": "1", "kaos.dev/max-scale": "3",
        "kaos.dev/idle-timeout": "1m"});
    let mut scene = two_proxies("slots", limited).await;
    let listen = |scene: &Scene<'_>, at: usize| scene.kaos.proxies[at].listen;
    let (seen, host) = (Seen::default(), scene.host("shop"));
    let listed = Mutex::new(vec![listen(&scene, 0), listen(&scene, 1)]);
    let clients = join_all((0..8).map(|_| client(&seen, &host, &listed)));
    let after = async |share: usize| {
        eventually("so many are answered", async || {
            (seen.answered.load(Ordering::Relaxed) >= REQUESTS * share / 100).then_some(())
        })
        .await;
    };
    let changes = async {
        after(30).await;
        *listed.lock().unwrap() = vec![listen(&scene, 1)];
        scene.kaos.proxies[0].signal(Signal::KILL);
        let killed = Instant::now();
        list(&scene, &[(1, true)]).await;
        after(60).await;
        join(&mut scene, &[1]).await;
        let joined = Instant::now();
        listed.lock().unwrap().push(listen(&scene, 2));
        [killed, joined]
    };
    let (_, changes) = tokio::join!(clients, changes);
    assert_eq!(*seen.failed.lock().unwrap(), [""; 0]);
    let crowded = seen.crowded.into_inner().unwrap();
    let unexplained =
        crowded.iter().filter(|at| !changes.iter().any(|change| **at >= *change && **at - *change <= CHANGE));
    assert_eq!(unexplained.count(), 0, "of {} answers from a replica with two", crowded.len());
    assert!(scene.count("shop").await > 1, "several replicas were needed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_proxy_takes_its_own_requests_with_it_and_no_others() {
    let scene = two_proxies("killed-proxy", sleepy()).await;
    let (host, kaos) = (scene.host("shop"), &scene.kaos);
    let lowered = || scene.scalings().iter().filter(|entry| entry.code() == 200 && lowers(entry)).count();
    let asked = |at: usize, path: &'static str| {
        join_all((0..5).map(move |_| (at, path)).map(|it| kaos.get(it.0, &host, it.1)))
    };
    let killed = async {
        // Those that wait for an answer are counted at both before one of them dies.
        for at in [0, 1] {
            eventually("five are under way", async || {
                let (_, page) = scene.kaos.proxies[at].admin("/metrics").await?;
                let under_way = page.lines().find(|line| line.starts_with("kaos_requests_in_flight{"))?;
                under_way.ends_with(" 5").then_some(())
            })
            .await;
        }
        let before = lowered();
        scene.kaos.proxies[0].signal(Signal::KILL);
        let next = scene.kaos.get(1, &host, "/").await;
        assert_eq!(next.map(|answer| answer.status), Some(200));
        before
    };
    let (lost, kept, before) = tokio::join!(asked(0, "/delay/60s"), asked(1, "/delay/5s"), killed);
    assert!(lost.iter().all(Option::is_none), "{lost:?}");
    let kept: Vec<_> = kept.into_iter().map(|answer| answer.map(|answer| answer.status)).collect();
    assert_eq!(kept, [Some(200); 5]);
    assert_eq!(lowered(), before, "what one proxy still needs goes nowhere because another is silent");
    // What it had under way keeps nothing awake for ever.
    list(&scene, &[(1, true)]).await;
    scene.wanted("shop", 0).await;
}
