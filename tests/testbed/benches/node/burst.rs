//! Eighty requests of a second each at once on a Deployment at zero, at ten for a replica: when eight are wanted.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::jiff::Timestamp;
use kaos_loadtest::exchange::exchange_on;
use kaos_testbed::eventually;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::kaos::is_scaling;
use crate::{Cluster, print, request};

/// Requests at once.
const REQUESTS: usize = 80;

/// Prints each change of the count, and how the requests fared.
pub(crate) async fn measure(cluster: &Cluster, rounds: usize) {
    let knobs = json!({
        "kaos.dev/enabled": "true", "kaos.dev/idle-timeout": "1s", "kaos.dev/target": "10",
        "kaos.dev/target-utilization-percentage": "100",
    });
    let namespace = cluster.adopted("burst", 1, knobs).await;
    for round in 0..rounds {
        cluster.asleep(&namespace).await;
        let proxies = cluster.proxies().await;
        let before = scalings(cluster, &namespace).len();
        let head = request(&namespace, "/delay/1s");
        // Connected before, so that they come at once.
        let connections = (0..REQUESTS).map(|at| TcpStream::connect(proxies[at % proxies.len()]));
        let connections = join_all(connections).await;
        let (sent, began) = (Timestamp::now(), std::time::Instant::now());
        let asked = connections.into_iter().map(|stream| exchange_on(stream.unwrap(), &head));
        let answers = join_all(asked.map(async |asked| (asked.await, began.elapsed().as_secs_f64()))).await;
        let good =
            answers.iter().filter(|(answer, _)| answer.as_ref().is_ok_and(|answer| answer.status == 200));
        println!("burst {round}: {} of {REQUESTS} answered with 200", good.count());
        let sent_last =
            answers.iter().filter_map(|(answer, _)| Some(answer.as_ref().ok()?.sent.duration_since(began)));
        let sent_last = sent_last.max().unwrap_or_default();
        println!("  the last was sent after {:.1} ms", sent_last.as_secs_f64() * 1000.0);
        print("  sent to answered", answers.iter().map(|(_, took)| *took).collect());
        let scaled = eventually("the wake is in the log", async || {
            let scaled = scalings(cluster, &namespace).split_off(before);
            (!scaled.is_empty()).then_some(scaled)
        });
        for (at, count) in scaled.await {
            let after = Duration::try_from(at.duration_since(sent)).unwrap_or_default();
            println!("  {count} wanted after {:.1} ms", after.as_secs_f64() * 1000.0);
        }
    }
}

/// The changes of the count so far: when, and to what.
fn scalings(cluster: &Cluster, namespace: &str) -> Vec<(Timestamp, u64)> {
    let done = cluster.plane.audit(|entry| is_scaling(entry, namespace) && entry.code() == 200);
    done.into_iter()
        .map(|entry| (entry.request_received_timestamp.0, count(&entry.request_object.unwrap_or_default())))
        .collect()
}

/// The count that a write asks for: of a JSON patch the last value, else what the scale says.
fn count(body: &Value) -> u64 {
    let patched = body.as_array().and_then(|steps| steps.last()).and_then(|step| step["value"].as_u64());
    patched.or_else(|| body["spec"]["replicas"].as_u64()).unwrap_or_default()
}
