//! Requests at random moments around the step from one to zero: none may fail.

use std::time::Duration;

use futures::future::join_all;
use kaos_loadtest::exchange::exchange;
use serde_json::json;
use tokio::time::sleep;

use crate::{Cluster, at_random, request};

/// Deployments that are asked at the same time.
const SIDE_BY_SIDE: usize = 4;

/// Prints what failed.
pub(crate) async fn measure(cluster: &Cluster, requests: usize) {
    let of_one = async |_| {
        let knobs = json!({"kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s"});
        let namespace = cluster.adopted("zero", 1, knobs).await;
        let (mut cold, mut failed) = (0, Vec::new());
        for round in 0..requests.div_ceil(SIDE_BY_SIDE) {
            // Idle is over a second after the last answer; what follows then takes some tenths.
            sleep(Duration::from_millis(800) + at_random(Duration::from_millis(800))).await;
            let proxies = cluster.proxies().await;
            match exchange(proxies[round % proxies.len()], &request(&namespace, "/")).await {
                Ok(answer) if answer.status == 200 => {
                    cold += usize::from(answer.headers.contains_key("x-kaos-cold-start"));
                }
                Ok(answer) => {
                    failed.push(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)));
                }
                Err(failure) => failed.push(format!("{failure:?}")),
            }
        }
        (cold, failed)
    };
    let all = join_all((0..SIDE_BY_SIDE).map(of_one)).await;
    let cold: usize = all.iter().map(|(cold, _)| cold).sum();
    let failed: Vec<&String> = all.iter().flat_map(|(_, failed)| failed).collect();
    let asked = requests.div_ceil(SIDE_BY_SIDE) * SIDE_BY_SIDE;
    println!("around zero: {asked} requests, {} failed, {cold} were cold starts {failed:?}", failed.len());
}
