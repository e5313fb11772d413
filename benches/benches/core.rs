//! Micro benchmarks of what computes and doesn't wait: a request's steps (its head, its route, admission, its replica, metering, the
//! answer's head), and the control line's (reading annotations, deciding).

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kaos_core::decide::{Memory, decide};
use kaos_core::host::{HostPattern, normalise};
use kaos_core::observation::{Heard, Loads};
use kaos_core::pick::pick;
use kaos_core::route::{Claim, RouteTable};
use kaos_core::snapshot::Replicas;
use kaos_core::window::Load;
use kaos_core::{Moment, Observation, Policy, Sums, WorkloadId, annotation};
use kaos_proxy::micro::{Admission, Metering, pass_answer, pass_request, read_answer, read_request};

/// The host of the claim `at`: every tenth claims a path of its neighbour's.
fn host(at: usize) -> String {
    format!("w{}.default.apps.example.com", at - at % 10 / 9)
}

fn table(routes: usize) -> RouteTable {
    let ids: Vec<_> = (0..routes).map(|at| WorkloadId::new("default", &format!("w{at}"))).collect();
    let hosts: Vec<Vec<HostPattern>> =
        (0..routes).map(|at| HostPattern::parse(&host(at)).into_iter().collect()).collect();
    let claims: Vec<Claim<'_>> = (0..routes)
        .map(|at| Claim { id: &ids[at], hosts: &hosts[at], path: if at % 10 == 9 { "/api" } else { "/" } })
        .collect();
    RouteTable::build(&claims).0
}

fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for count in [1, 100, 10_000] {
        let table = table(count);
        // Enough of them that a cache line is as cold as in a proxy that serves all, the same number for each table.
        let hosts: Vec<String> = (0..10_000).map(|at| host(at * 7919 % count)).collect();
        let mut at = 0;
        group.bench_with_input(BenchmarkId::new("find", count), &table, |bencher, table| {
            bencher.iter(|| {
                at = if at + 1 < hosts.len() { at + 1 } else { 0 };
                table.find(black_box(&hosts[at]), black_box("/api/v1/items"))
            });
        });
        group.bench_with_input(BenchmarkId::new("miss", count), &table, |bencher, table| {
            bencher.iter(|| table.find(black_box("nobody.example.com"), black_box("/api/v1/items")));
        });
    }
    group.finish();
}

/// What a request costs besides: its host as it is compared, the choice of a replica, its beginning and end in the sums.
fn request(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    group.bench_function("host", |bencher| {
        bencher.iter(|| normalise(black_box("w17.default.apps.example.com:8080")));
    });
    for count in [1, 16, 100] {
        let loads: Vec<u32> = (0..count).map(|at| (at * 7 % 5) as u32).collect();
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("pick", count), |bencher| {
            bencher.iter(|| {
                turn += 1;
                pick(loads.len(), 0, turn, |at| loads.get(at).copied())
            });
        });
    }
    let (mut sums, mut now) = (Sums::default(), 0);
    group.bench_function("sums", |bencher| {
        bencher.iter(|| {
            now += 100;
            sums.start(now);
            sums.finish(now + 50);
            sums.open()
        });
    });
    group.finish();
}

/// What a browser sends.
const REQUEST: &[u8] = b"GET /api/v1/items?page=2 HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux \
    x86_64) AppleWebKit/537.36\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\n\
    Cookie: session=0123456789abcdef; theme=dark\r\nConnection: keep-alive\r\n\r\n";

/// What a framework answers.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: app\r\nDate: Sat, 28 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n\
    Content-Length: 64\r\nCache-Control: no-cache\r\nETag: \"33a64df5\"\r\nVary: Accept-Encoding\r\n\r\n";

/// The proxy's own steps: heads as they come and as they go on, a slot, and what is counted.
fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("proxy");
    let mut out = Vec::new();
    assert!(pass_request(REQUEST, &mut out) && pass_answer(ANSWER, &mut out), "these are whole heads");
    group.bench_function("read a request", |bencher| bencher.iter(|| read_request(black_box(REQUEST))));
    group.bench_function("pass a request", |bencher| {
        bencher.iter(|| pass_request(black_box(REQUEST), &mut out));
    });
    group.bench_function("read an answer", |bencher| bencher.iter(|| read_answer(black_box(ANSWER))));
    group.bench_function("pass an answer", |bencher| {
        bencher.iter(|| pass_answer(black_box(ANSWER), &mut out));
    });
    for replicas in [1, 16, 100] {
        let mut admission = Admission::new(replicas);
        assert!(admission.request(), "a slot is free");
        group.bench_function(BenchmarkId::new("admit", replicas), |bencher| {
            bencher.iter(|| admission.request());
        });
    }
    let mut metering = Metering::default();
    group.bench_function("meter", |bencher| bencher.iter(|| metering.request()));
    group.finish();
}

fn annotations(criterion: &mut Criterion) {
    let few = [("kaos.dev/enabled", "true")];
    let many = [
        ("kaos.dev/enabled", "true"),
        ("kaos.dev/host", "shop.example.com,*.shop.example.com"),
        ("kaos.dev/container-concurrency", "10"),
        ("kaos.dev/idle-timeout", "5m"),
        ("kaos.dev/max-scale", "20"),
        ("kaos.dev/target-utilization-percentage", "80"),
        ("kaos.dev/window", "30s"),
        ("deployment.kubernetes.io/revision", "7"),
    ];
    let defaults = Policy::default();
    let mut group = criterion.benchmark_group("annotations");
    for (name, all) in [("few", &few[..]), ("many", &many[..])] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| annotation::read(black_box(all.iter().copied()), &defaults));
        });
    }
    group.finish();
}

/// Ten thousand workloads: most sleep, some carry a steady load, a few have to grow.
fn decisions(criterion: &mut Criterion) {
    const WORKLOADS: usize = 10_000;
    let policy = Policy::default();
    let now = Moment::from_micros(1_000_000_000);
    let observation = |at: usize| {
        let busy = at.is_multiple_of(4);
        let count = if busy { 3 } else { 0 };
        let load = if at.is_multiple_of(40) { 600.0 } else { 180.0 };
        let loads = Loads { stable: Load::of(load), panic: Load::of(load) };
        Observation {
            leading: true,
            shown: true,
            seen: true,
            heard: Heard::From(Moment::ZERO),
            replicas: Replicas { desired: count, ready: count, starting: 0 },
            running: if busy { load as u64 } else { 0 },
            load: busy.then_some(loads),
            last_activity: Some(if busy { now } else { Moment::ZERO }),
            ..Observation::default()
        }
    };
    let seen: Vec<Observation> = (0..WORKLOADS).map(observation).collect();
    let memories: Vec<Memory> = seen.iter().map(|seen| Memory::adopt(seen.replicas, now)).collect();
    let mut group = criterion.benchmark_group("decide");
    group.throughput(Throughput::Elements(WORKLOADS as u64));
    group.bench_function(WORKLOADS.to_string(), |bencher| {
        bencher.iter_batched(
            || memories.clone(),
            |memories| {
                let decided =
                    seen.iter().zip(memories).map(|(seen, memory)| decide(&policy, seen, memory, now));
                decided.fold(0, |sum, (verdict, _)| sum + u64::from(verdict.decision.aim(1)))
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(rules, routes, request, steps, annotations, decisions);
criterion_main!(rules);
