//! What faults cost requests: a replica that falls asleep just then, a leader that is killed or stopped, an API server that is
//! away. Two proxies and two autoscalers as processes, a played kubelet. Prints; fails only on a promise that is broken.
//!
//! `cargo bench -p kaos-testbed --bench faults -- crossing|killed|stopped|away [COUNT]` after `cargo build --release -p kaos`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a measurement")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use futures::future::join_all;
use kaos_testbed::ControlPlane;
use serde_json::json;
use support::away::away;
use support::crossing::{abrupt, cross};
use support::election::{Moment, kill_leader, stop_leader};
use support::scene::{Scene, sleepy};

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let count: Option<usize> = words.iter().find_map(|word| word.parse().ok());
    match words.first().map(String::as_str) {
        Some("crossing") => crossing(count.unwrap_or(500)).await,
        Some("killed") => killed(count.unwrap_or(20)).await,
        Some("stopped") => stopped(count.unwrap_or(20)).await,
        Some("away") => outage(count.unwrap_or(60)).await,
        other => panic!("{other:?}: allowed is crossing, killed, stopped or away, and a count"),
    }
}

/// A scene whose Deployments have answered once.
async fn scene<'a>(plane: &'a ControlPlane, names: &[String]) -> Scene<'a> {
    let scene = Scene::start(plane, "faults", 2, 2).await;
    for name in names {
        scene.deploy(name, 1, sleepy(), abrupt).await;
        scene.answers(name).await;
    }
    scene
}

fn shops(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("shop-{at}")).collect()
}

async fn crossing(count: usize) {
    let names = shops(10);
    let scene = scene(ControlPlane::shared().await, &names).await;
    let came = cross(&scene, &names, count.div_ceil(2 * names.len())).await;
    println!("{} requests, {} failed, {} cold", came.requests, came.failed.len(), came.cold);
    println!("{} times to zero, {} wakes, {} holds taken away", came.sleeps, came.wakes, came.released);
    print("request → answer", came.waits);
    assert_eq!(came.failed, [""; 0]);
}

async fn killed(count: usize) {
    let names = shops(1);
    let mut scene = scene(ControlPlane::shared().await, &names).await;
    let (mut deaf, mut hearing) = (Vec::new(), Vec::new());
    for round in 0..count {
        scene.wanted(&names[0], 0).await;
        if round % 2 == 0 {
            deaf.push(kill_leader(&mut scene, &names[0], Moment::Before).await);
        } else {
            let after = Duration::from_micros(fastrand::u64(..20_000));
            hearing.push(kill_leader(&mut scene, &names[0], Moment::After(after)).await);
        }
    }
    print("leader stopped, then killed while it waits", deaf);
    print("leader killed within 20 ms of the request ", hearing);
}

async fn stopped(count: usize) {
    let names = shops(4);
    let scene = scene(ControlPlane::shared().await, &names).await;
    let busy = join_all(names.iter().map(|name| async {
        loop {
            scene.answers(name).await;
            scene.wanted(name, 0).await;
        }
    }));
    let stops = async {
        for round in 0..count {
            scene.wanted(&names[round % names.len()], 0).await;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(..1500))).await;
            let came = stop_leader(&scene, tokio::time::sleep(Duration::from_secs(20))).await;
            println!(
                "stopped for 20 s: {} late writes, {} refused, {} counts lowered by the other meanwhile",
                came.late.len(),
                came.refused,
                came.lowered
            );
            assert_eq!(came.late, [""; 0]);
        }
    };
    tokio::select! {
        () = stops => {}
        _ = busy => unreachable!("it has no end"),
    }
}

async fn outage(seconds: usize) {
    let plane = ControlPlane::start().await.unwrap();
    let cold = shops(1);
    let scene = scene(&plane, &cold).await;
    scene
        .deploy("warm", 1, json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1m"}), |_, _| {})
        .await;
    scene.answers("warm").await;
    let patient = json!({"metadata": {"annotations": {"kaos.dev/queue-timeout": "5m"}}});
    scene.merge(&cold[0], "test", patient).await;
    scene.wanted(&cold[0], 0).await;
    let span = Duration::from_secs(u64::try_from(seconds).unwrap());
    let came = away(&scene, "warm", &cold[0], span, 100).await;
    println!("API server away for {seconds} s: {} warm requests, {} failed", came.warm, came.failed.len());
    for (part, span) in came.fresh {
        println!("a fresh view at {part} {:.2} s after its return", span.as_secs_f64());
    }
    println!(
        "after its return: the wake written {:.2} s, a replica's address known {:.2} s, its request answered {:.2} s",
        came.woken.as_secs_f64(),
        came.placed.as_secs_f64(),
        came.cold.as_secs_f64()
    );
    assert_eq!(came.failed, [""; 0]);
}

fn print(what: &str, mut spans: Vec<Duration>) {
    spans.sort_unstable();
    let at = |share: f64| spans[((spans.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1000.0;
    println!("{what}: p50 {:.1} p90 {:.1} p99 {:.1} max {:.1} ms", at(0.5), at(0.9), at(0.99), at(1.0));
}
