//! What a replica is given, when it is ready, and what the platform refuses.

use kaos_core::HoldId;
use kaos_core::host::HostPattern;
use kaos_core::platform::{Expected, Platform, Refusal, Scale};
use kaos_core::snapshot::{Hold, Phase, Replicas, Targets};

use crate::stage::{FIXTURE, Stage, function, get, id, lives, serving, until, with_knobs};

#[tokio::test]
async fn a_replica_gets_its_port_environment_and_folder() {
    let mut app = function("app", &[FIXTURE, "serve", "127.0.0.1:{port}"]);
    let folder = std::env::temp_dir().canonicalize().unwrap();
    app.dir = Some(folder.clone());
    app.env = vec![("GREETING".into(), "hi there".into()), ("PORT".into(), "1".into())];
    let stage = Stage::new(vec![app]).await;
    let address = stage.started("app").await;
    let workload = stage.workload("app");
    let body = get(address);
    let port = address.port();
    for part in [
        format!("PORT={port} HOST=127.0.0.1 "),
        format!("KAOS_REPLICA={} ", workload.endpoints[0].uid),
        "GREETING=hi there ".to_owned(),
        format!("dir={} ", folder.display()),
        format!("pid={} ", stage.pid(&workload.endpoints[0].uid).await),
        format!("[\"serve\", \"127.0.0.1:{port}\"]"),
    ] {
        assert!(body.contains(&part), "{part} in {body}");
    }
    assert!(workload.endpoints[0].uid.as_str().starts_with("app-"));
    let start = workload.endpoints[0].start;
    assert!(
        start.decided.unwrap() <= start.started.unwrap() && start.started.unwrap() < start.ready.unwrap()
    );
    stage.local.shutdown().await;
}

#[tokio::test]
async fn a_relative_command_is_looked_for_in_the_folder() {
    let mut app = function("app", &["./kaos-local-fixture", "serve"]);
    app.dir = Some(std::path::Path::new(FIXTURE).parent().unwrap().to_owned());
    let stage = Stage::new(vec![app]).await;
    stage.started("app").await;
    stage.local.shutdown().await;
}

#[tokio::test]
async fn ready_by_path_is_an_answer_between_200_and_399() {
    let ready = with_knobs(function("ready", &[FIXTURE, "answer", "302"]), &[("readiness", "/healthz")]);
    let never = with_knobs(
        function("never", &[FIXTURE, "answer", "503"]),
        &[("readiness", "/healthz"), ("start-timeout", "1s")],
    );
    let stage = Stage::new(vec![ready, never]).await;
    stage.started("ready").await;
    stage.scale("never", 0, 1).await.unwrap();
    let failed = stage.until("never", |found| found.failure.is_some()).await;
    let failure = failed.failure.as_ref().unwrap();
    assert_eq!(failure.because, "start-timeout");
    let port = failed.endpoints[0].address.port();
    assert_eq!(
        failure.detail,
        format!("GET /healthz on 127.0.0.1:{port} was last answered with 503 within 1s; ready is 200 to 399")
    );
    stage.local.shutdown().await;
}

#[tokio::test]
async fn writes_need_their_precondition() {
    let stage = Stage::new(vec![serving("app")]).await;
    let (app, other) = (id("app"), id("other"));
    let scale = |to, expected| Scale { to, victims: Vec::new(), expected };
    assert_eq!(stage.local.scale(&other, scale(1, Expected::Replicas(0))).await, Err(Refusal::Gone));
    assert_eq!(stage.local.hold(&other, None).await, Err(Refusal::Gone));
    assert_eq!(stage.scale("app", 1, 2).await, Err(Refusal::Conflict));
    let first = stage.workload("app").version;
    let second = stage.scale("app", 0, 1).await.unwrap();
    assert!(second > first);
    // A second wake loses to the first.
    assert_eq!(stage.scale("app", 0, 1).await, Err(Refusal::Conflict));
    let stale = stage.local.scale(&app, scale(0, Expected::Version(first))).await;
    assert_eq!(stale, Err(Refusal::Conflict));
    let hold = Hold { id: HoldId::new("h"), by: "test".into(), targets: Targets::All };
    let third = stage.local.hold(&app, Some(hold.clone())).await.unwrap();
    assert!(third > second);
    let seen = stage.until("app", |found| found.version == third).await;
    assert_eq!((seen.hold.as_ref(), seen.replicas.desired), (Some(&hold), 1));
    // The zero that a removed hold was for comes too late.
    let fourth = stage.local.hold(&app, None).await.unwrap();
    assert_eq!(stage.local.scale(&app, scale(0, Expected::Version(third))).await, Err(Refusal::Conflict));
    let fifth = stage.local.scale(&app, scale(0, Expected::Version(fourth))).await.unwrap();
    assert!(fifth > fourth);
    stage.until_gone("app").await;
    assert_eq!(stage.workload("app").replicas, Replicas::default());
    stage.local.shutdown().await;
    assert!(matches!(stage.scale("app", 0, 1).await, Err(Refusal::Failed(_))));
}

#[tokio::test]
async fn several_replicas_get_ports_of_their_own() {
    let stage = Stage::new(vec![serving("app")]).await;
    stage.scale("app", 0, 5).await.unwrap();
    let workload = stage.until_ready("app", 5).await;
    let mut ports: Vec<u16> = workload.endpoints.iter().map(|endpoint| endpoint.address.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 5);
    for endpoint in &workload.endpoints {
        assert!(get(endpoint.address).contains(endpoint.uid.as_str()));
    }
    stage.local.shutdown().await;
}

#[tokio::test]
async fn one_that_is_killed_is_started_again() {
    let stage = Stage::new(vec![serving("app")]).await;
    stage.started("app").await;
    let first = stage.workload("app").endpoints[0].uid.clone();
    let pid = stage.pid(&first).await;
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let again = stage
        .until("app", |found| {
            found.endpoints.iter().any(|endpoint| endpoint.phase == Phase::Ready && endpoint.uid != first)
        })
        .await;
    assert_eq!(again.replicas.desired, 1);
    until("the first has ended", || !lives(pid)).await;
    stage.local.shutdown().await;
}

#[tokio::test]
async fn the_snapshot_routes_and_shows_what_is_configured() {
    let mut shop = serving("shop");
    shop.hosts = vec![HostPattern::parse("shop.localhost").unwrap()];
    let mut blog = serving("blog");
    blog.hosts = vec![HostPattern::parse("*.example.com").unwrap()];
    blog.path = "/blog".to_owned();
    let stage = Stage::new(vec![shop, blog]).await;
    let snapshot = stage.now();
    let found = |host: &str, path: &str| {
        snapshot.routes.find(host, path).map(|at| snapshot.workloads[at].id.name().to_owned())
    };
    assert_eq!(found("shop.localhost", "/x"), Some("shop".to_owned()));
    assert_eq!(found("a.example.com", "/blog/1"), Some("blog".to_owned()));
    assert_eq!(found("a.example.com", "/"), None);
    assert!(snapshot.workloads.iter().all(|found| found.replicas == Replicas::default()));
    stage.local.shutdown().await;
}

#[tokio::test]
async fn a_wrong_launcher_is_an_error() {
    use kaos_local::{Launcher, Local};
    for program in ["/nowhere/kaos", "/bin/true"] {
        let launcher = Launcher { program: program.into(), arguments: Vec::new() };
        let error = Local::start(launcher, Vec::new(), std::time::Instant::now()).await.err().unwrap();
        assert!(error.to_string().contains(program), "{error}");
    }
}
