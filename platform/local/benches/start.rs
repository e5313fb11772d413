//! How long a start takes, from `scale` to a process that runs, and to one that is ready. Prints; asserts nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_core::platform::{Expected, Platform, Scale};
use kaos_core::{Policy, WorkloadId};
use kaos_local::{Function, Launcher, Local};

const FIXTURE: &str = env!("CARGO_BIN_EXE_kaos-local-fixture");
const STARTS: usize = 500;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure())
}

async fn measure() -> Result<(), Box<dyn std::error::Error>> {
    let id = WorkloadId::new("local", "app");
    let function = Function {
        id: id.clone(),
        hosts: Vec::new(),
        path: "/".to_owned(),
        command: vec![FIXTURE.to_owned(), "serve".to_owned()],
        dir: None,
        env: Vec::new(),
        policy: Arc::new(Policy::local(2)),
    };
    let launcher = Launcher { program: FIXTURE.into(), arguments: vec!["guard".into()] };
    let local = Local::start(launcher, vec![function], Instant::now()).await?;
    let mut snapshots = local.snapshots();
    let (mut spawned, mut ready, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let scale = |to| Scale { to, victims: Vec::new(), expected: Expected::Replicas(1 - to) };
        local.scale(&id, scale(1)).await?;
        let seen = snapshots
            .wait_for(|snapshot| snapshot.workload(&id).is_some_and(|workload| workload.replicas.ready == 1));
        let start = seen.await?.workloads[0].endpoints[0].start;
        if let (Some(decided), Some(started), Some(reached)) = (start.decided, start.started, start.ready) {
            spawned.push(started.since(decided));
            ready.push(reached.since(decided));
        }
        let stopping = Instant::now();
        local.scale(&id, scale(0)).await?;
        snapshots.wait_for(|snapshot| snapshot.workloads[0].endpoints.is_empty()).await?;
        gone.push(stopping.elapsed());
    }
    println!("{STARTS} starts, one at a time; microseconds");
    for (name, mut times) in [("scale to exec", spawned), ("scale to ready", ready), ("scale to gone", gone)]
    {
        times.sort_unstable();
        let at = |share: f64| {
            let index = (times.len() as f64 * share) as usize;
            times.get(index.min(times.len() - 1)).map_or(0, Duration::as_micros)
        };
        println!("{name:15} p50 {:6}  p95 {:6}  p99 {:6}  max {:6}", at(0.5), at(0.95), at(0.99), at(1.0));
    }
    local.shutdown().await;
    Ok(())
}
