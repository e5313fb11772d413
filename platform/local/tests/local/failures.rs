//! How starts fail: what is known when, what is said, and what is tried again.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use kaos_core::Workload;
use kaos_core::platform::Refusal;
use kaos_core::snapshot::StartFailure;

use crate::stage::{
    FIXTURE, Stage, eventually, function, get, processes_with, script, serving, until, with_knobs,
};

async fn known(stage: &Stage, name: &str) -> StartFailure {
    let known = |found: &Workload| found.failure.as_ref().is_some_and(|failure| failure.known);
    stage.until(name, known).await.failure.clone().unwrap()
}

#[tokio::test]
async fn what_cannot_be_run_is_known_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "echo").unwrap();
    let orphaned = folder.path().join("orphaned");
    std::fs::write(&orphaned, "#!/nowhere/interpreter\n").unwrap();
    std::fs::set_permissions(&orphaned, PermissionsExt::from_mode(0o755)).unwrap();
    let noise = folder.path().join("noise");
    std::fs::write(&noise, [0, 1, 2, 3, 255]).unwrap();
    std::fs::set_permissions(&noise, PermissionsExt::from_mode(0o755)).unwrap();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let mut homeless = serving("homeless");
    homeless.dir = Some("/nowhere/at/all".into());
    let long = "x".repeat(300_000);
    let cases = [
        (
            function("missing", &["no-such-program-anywhere"]),
            "not-found",
            "command not found: no-such-program-anywhere",
        ),
        (function("absent", &["/nowhere/program"]), "not-found", "command not found: /nowhere/program"),
        (function("plain", &[&path(&plain)]), "not-executable", "permission denied"),
        (function("folder", &["/tmp"]), "not-executable", "is a folder"),
        (function("orphaned", &[&path(&orphaned)]), "not-found", "what its first line says"),
        (function("noise", &[&path(&noise)]), "not-executable", "no program that this machine can run"),
        (function("empty", &[]), "not-found", "must not be empty"),
        (function("nul", &["a\0b"]), "not-found", "NUL"),
        (function("long", &["true", &long]), "too-long", "at most 131072 are allowed"),
        (homeless, "no-folder", "the folder /nowhere/at/all can't be entered"),
    ];
    let stage = Stage::new(cases.iter().map(|(function, ..)| function.clone()).collect()).await;
    for (function, because, detail) in &cases {
        let name = function.id.name();
        stage.scale(name, 0, 1).await.unwrap();
        let failed = stage.until(name, |found| found.failure.is_some()).await;
        let failure = failed.failure.as_ref().unwrap();
        assert_eq!(
            (failure.because.as_str(), failure.known, failure.attempts),
            (*because, true, 1),
            "{failure:?}"
        );
        assert!(failure.detail.contains(detail), "{} in {}", detail, failure.detail);
        // Nothing runs: nothing is wanted until somebody asks again.
        assert_eq!(failed.replicas.desired, 0, "{name}");
        assert_eq!(failed.endpoints, [], "{name}");
        let refused = stage.scale(name, 0, 1).await;
        assert_eq!(refused, Err(Refusal::Failed(failure.detail.clone())), "{name}");
    }
    stage.local.shutdown().await;
}

#[tokio::test]
async fn an_exit_is_retried_twice_quietly_then_known_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let text = format!("echo start >> {}; echo out; echo oh no >&2; exit 3", count.display());
    let stage = Stage::new(vec![script("app", &text)]).await;
    let starts = || std::fs::read_to_string(&count).unwrap_or_default().lines().count();
    stage.scale("app", 0, 1).await.unwrap();
    let quiet = stage.until("app", |found| found.failure.is_some()).await;
    assert!(!quiet.failure.as_ref().unwrap().known);
    assert_eq!(quiet.replicas.desired, 1);
    let failure = known(&stage, "app").await;
    assert_eq!((failure.because.as_str(), failure.attempts), ("exited", 3));
    assert_eq!(failure.detail, "exited with status 3 before it was ready; last on stderr:\noh no");
    assert_eq!(starts(), 3);
    let desired = stage.workload("app").replicas.desired;
    assert_eq!(desired, 0);
    assert_eq!(stage.scale("app", 0, 1).await, Err(Refusal::Failed(failure.detail)));
    // At retry_at it may be tried again; one more failure is known at once, with twice the pause.
    stage.until("app", |found| found.failure.as_ref().is_some_and(|failure| !failure.known)).await;
    assert_eq!(starts(), 3);
    stage.scale("app", 0, 1).await.unwrap();
    let again = known(&stage, "app").await;
    assert_eq!((again.attempts, starts()), (4, 4));
    assert!(again.retry_at.since(failure.retry_at) >= Duration::from_secs(2));
    stage.local.shutdown().await;
}

#[tokio::test]
async fn replicas_that_fail_together_have_failed_once() {
    let stage = Stage::new(vec![script("app", "sleep 0.2; exit 1")]).await;
    stage.scale("app", 0, 4).await.unwrap();
    let failed = stage.until("app", |found| found.failure.is_some()).await;
    assert_eq!(failed.failure.as_ref().unwrap().attempts, 1);
    assert!(!failed.failure.as_ref().unwrap().known);
    assert_eq!(known(&stage, "app").await.attempts, 3);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn a_success_takes_the_failure_away() {
    let folder = tempfile::tempdir().unwrap();
    let fine = folder.path().join("fine");
    let text = format!("test -e {} || exit 1; exec {FIXTURE} serve", fine.display());
    let stage = Stage::new(vec![script("app", &text)]).await;
    stage.scale("app", 0, 1).await.unwrap();
    known(&stage, "app").await;
    std::fs::write(&fine, "").unwrap();
    stage.until("app", |found| found.failure.as_ref().is_some_and(|failure| !failure.known)).await;
    stage.scale("app", 0, 1).await.unwrap();
    assert_eq!(stage.until_ready("app", 1).await.failure, None);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn one_that_crashes_soon_after_ready_backs_off_and_is_known_at_last() {
    let stage = Stage::new(vec![function("app", &[FIXTURE, "once"])]).await;
    stage.scale("app", 0, 1).await.unwrap();
    let failure = known(&stage, "app").await;
    assert_eq!((failure.because.as_str(), failure.attempts), ("crashed", 3));
    assert!(failure.detail.starts_with("exited with status 1, "), "{}", failure.detail);
    assert!(failure.detail.ends_with("last on stderr:\nfixture: crashed after one connection"));
    assert_eq!(stage.until("app", |found| found.endpoints.is_empty()).await.replicas.desired, 0);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn one_that_listens_elsewhere_is_told_how_to_listen_here() {
    let spare = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wild = with_knobs(
        function("wild", &[FIXTURE, "serve", &format!("0.0.0.0:{spare}")]),
        &[("start-timeout", "1s")],
    );
    let silent = with_knobs(function("silent", &["sleep", "600"]), &[("start-timeout", "1s")]);
    let stage = Stage::new(vec![wild, silent]).await;
    stage.scale("wild", 0, 1).await.unwrap();
    stage.scale("silent", 0, 1).await.unwrap();
    let failed = stage.until("wild", |found| found.failure.is_some()).await;
    let failure = failed.failure.as_ref().unwrap();
    assert_eq!((failure.because.as_str(), failure.known, failure.attempts), ("start-timeout", true, 1));
    let port = failed.endpoints[0].address.port();
    assert_eq!(
        failure.detail,
        format!(
            "nothing listened on 127.0.0.1:{port}; the process listens on :{spare}: use {{port}} or PORT"
        )
    );
    stage.until_gone("wild").await;
    let detail = known(&stage, "silent").await.detail;
    assert!(detail.ends_with("within 1s; the process listens nowhere: use {port} or PORT"), "{detail}");
    stage.until_gone("silent").await;
    stage.local.shutdown().await;
}

#[tokio::test]
async fn one_whose_port_is_taken_gets_another_and_never_the_strangers_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (told, go) = (folder.path().join("told"), folder.path().join("go"));
    // The first says its port and waits, so that a stranger can take it; the next ones don't wait.
    let text = format!(
        "if ! test -e {told}; then echo $PORT > {told}.part; mv {told}.part {told}; \
         until test -e {go}; do sleep 0.01; done; fi; exec {FIXTURE} serve",
        told = told.display(),
        go = go.display()
    );
    let stage = Stage::new(vec![script("app", &text)]).await;
    stage.scale("app", 0, 1).await.unwrap();
    let port: u16 = eventually("the first says its port", || async {
        std::fs::read_to_string(&told).ok()?.trim().parse().ok()
    })
    .await;
    let stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    // The stranger accepts: a connection alone is no sign of readiness.
    stranger.set_nonblocking(true).unwrap();
    until("the probe has met the stranger", || stranger.accept().is_ok()).await;
    assert_eq!(stage.workload("app").replicas.ready, 0);
    std::fs::write(&go, "").unwrap();
    let ready = stage.until_ready("app", 1).await;
    assert_ne!(ready.endpoints.last().unwrap().address.port(), port);
    assert!(get(ready.endpoints.last().unwrap().address).contains("KAOS_REPLICA"));
    assert_eq!(ready.failure, None);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn a_forwarder_outside_the_tree_is_believed_after_a_while_unless_the_address_is_said_to_be_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let ports = ["calm", "upset"].map(|name| folder.path().join(name));
    let text = |port: &std::path::Path, says: &str| {
        format!("echo {says}; echo $PORT > {0}.part; mv {0}.part {0}; exec sleep 600", port.display())
    };
    let calm = script("calm", &text(&ports[0], "starting a container"));
    let upset = with_knobs(script("upset", &text(&ports[1], "EADDRINUSE")), &[("start-timeout", "3s")]);
    let stage = Stage::new(vec![calm, upset]).await;
    let mut forwarders = Vec::new();
    for (name, place) in ["calm", "upset"].iter().zip(&ports) {
        stage.scale(name, 0, 1).await.unwrap();
        let port: u16 = eventually("it says its port", || async {
            std::fs::read_to_string(place).ok()?.trim().parse().ok()
        })
        .await;
        forwarders.push(TcpListener::bind(("127.0.0.1", port)).unwrap());
    }
    stage.until_ready("calm", 1).await;
    let detail = known(&stage, "upset").await.detail;
    let port = forwarders[1].local_addr().unwrap().port();
    let expected = format!("another program listens on 127.0.0.1:{port}; the process listens nowhere");
    assert!(detail.starts_with(&expected), "{detail}");
    stage.local.shutdown().await;
}

#[tokio::test]
async fn one_that_never_can_bind_fails_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let count = folder.path().join("count");
    let text = format!("echo start >> {}; echo 'bind: Address already in use' >&2; exit 1", count.display());
    let stage = Stage::new(vec![script("app", &text)]).await;
    stage.scale("app", 0, 1).await.unwrap();
    let failure = known(&stage, "app").await;
    assert_eq!(failure.attempts, 3);
    assert!(failure.detail.ends_with("bind: Address already in use"), "{}", failure.detail);
    // Three starts that count, each after five on other ports.
    assert_eq!(std::fs::read_to_string(&count).unwrap().lines().count(), 18);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn a_start_timeout_ends_the_whole_tree() {
    let mark = format!("86{}", std::process::id());
    let app = with_knobs(
        script("app", &format!("setsid sleep {mark} & exec sleep {mark}")),
        &[("start-timeout", "1s"), ("stop-timeout", "1s")],
    );
    let stage = Stage::new(vec![app]).await;
    stage.scale("app", 0, 1).await.unwrap();
    until("both run", || processes_with(&mark).len() == 2).await;
    known(&stage, "app").await;
    stage.until_gone("app").await;
    assert_eq!(processes_with(&mark), [] as [u32; 0]);
    stage.local.shutdown().await;
}
