//! Prints what reading a large cluster takes, each kind of objects by itself and all of them together: 10,000 Deployments
//! of which 2,000 are adopted, as many Services, 30,000 pods in EndpointSlices. Asserts nothing.
//!
//! `cargo bench -p kaos-kubernetes --bench read`. Each row is read by a process of its own, over loopback, so that only
//! what reading takes is counted.

mod objects;
mod server;

use std::error::Error;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use kaos_core::WorkloadId;
use kaos_kubernetes::{Client, Cluster, HostRules, ReadSettings};
use kube::Config;
use rustix::time::{ClockId, clock_gettime};

use objects::{ADOPTED, OBJECTS, namespace};

/// As in the command.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KINDS: [&str; 3] = ["deployments", "services", "endpointslices"];
const CHANGES: usize = 200;

/// The processor's time of this process.
fn spent() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Resident memory of this process, in MB.
fn resident(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status
        .lines()
        .find_map(|it| it.strip_prefix(line)?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    found.unwrap_or(0.0) / 1024.0
}

fn settings() -> ReadSettings {
    let hosts = HostRules {
        domain: "example.com".into(),
        cluster_domain: "cluster.local".into(),
        any_host: false,
        allowed: vec![],
    };
    ReadSettings {
        namespaces: vec![],
        hosts,
        ingress_class: None,
        scalers: true,
        gateway_class: None,
        entry: ("kaos-system".into(), "kaos-proxy".into()),
        verdicts: None,
        backends: true,
        statuses: false,
        origin: Instant::now(),
        originals: None,
    }
}

async fn read(at: SocketAddr, kinds: usize, bytes: f64) -> Result<(), Box<dyn Error>> {
    let client = Client::try_from(Config::new(format!("http://{at}/").parse()?))?;
    let (before, began, begun) = (resident("VmRSS:"), spent(), Instant::now());
    let cluster = Cluster::watch(&client, settings());
    cluster.synced().wait_for(|synced| *synced).await?;
    let (took, spent) = (begun.elapsed(), spent().saturating_sub(began).as_secs_f64());
    // The allocator gives memory back a moment after it was freed.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (after, most) = (resident("VmRSS:"), resident("VmHWM:"));
    println!(
        "  {:.1} MB of JSON: {spent:.3} s of processor, {:.0} MB/s, {:.0} objects/s; \
         first picture of {} workloads after {took:.1?}",
        bytes / 1e6,
        bytes / 1e6 / spent,
        (kinds * OBJECTS) as f64 / spent,
        cluster.snapshots().borrow().workloads.len(),
    );
    println!(
        "  resident: {before:.1} MB before, {after:.1} MB after, {most:.1} MB at most; {:.0} bytes per object",
        (after - before) * 1024.0 * 1024.0 / (kinds * OBJECTS).max(1) as f64
    );
    if kinds == KINDS.len() {
        changes(&cluster, at).await?;
    }
    Ok(())
}

async fn changes(cluster: &Cluster, at: SocketAddr) -> Result<(), Box<dyn Error>> {
    let mut snapshots = cluster.snapshots();
    let mut took = Vec::with_capacity(CHANGES);
    for turn in 1..=CHANGES {
        // Longer than the pace: each change is the first one after a while.
        tokio::time::sleep(Duration::from_millis(25)).await;
        let number = turn % ADOPTED;
        let id = WorkloadId::new(&namespace(number), &format!("app-{number}"));
        snapshots.mark_unchanged();
        let said = Instant::now();
        server::change(at, number)?;
        snapshots
            .wait_for(|snapshot| snapshot.workload(&id).is_some_and(|it| it.replicas.ready == 2))
            .await?;
        took.push(said.elapsed());
    }
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "  an endpoint's change to its snapshot: p50 {:.1?}, p99 {:.1?}; {:.1} MB after {CHANGES} of them",
        at(0.5),
        at(0.99),
        resident("VmRSS:")
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip_while(|arg| arg != "--at").skip(1).collect();
    if let [at, kinds, bytes] = args.as_slice() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        return runtime.block_on(read(at.parse()?, kinds.parse()?, bytes.parse()?));
    }
    let (all, none): (&[&str], &[&str]) = (&KINDS, &[]);
    for kinds in [none, &KINDS[..1], &KINDS[1..2], &KINDS[2..], all] {
        println!("{}", if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") });
        let at = server::serve(&kinds.join(","))?.to_string();
        let bytes: usize = kinds.iter().map(|kind| server::bytes(kind)).sum();
        let args = ["--at", &at, &kinds.len().to_string(), &bytes.to_string()];
        Command::new(std::env::current_exe()?).args(args).status()?;
    }
    Ok(())
}
