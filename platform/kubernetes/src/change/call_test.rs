//! Each class of failure, as a call meets it. Under paused time: a second passes when nothing else can happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};
use tower::service_fn;

use super::call::{Api, Ask, DEADLINE, Turn};
use super::fault::Fault;
use super::testing::{Answer, fake_api, no, ok};
use crate::rights;

async fn call(api: &Api, may: impl Fn() -> bool) -> Result<Value, Fault> {
    let ask = Ask::patch(rights::PATCH_SCALE, "/thing".into(), &json!([]));
    api.call(&ask, Turn::Other, Instant::now() + DEADLINE, may).await
}

/// Answers in order; the last one for ever.
fn script(answers: Vec<fn() -> Answer>) -> impl Fn(&super::testing::Seen) -> Answer {
    let at = AtomicUsize::new(0);
    move |_| answers[at.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)]()
}

fn throttled() -> Answer {
    Answer::With(429, &[("retry-after", "1")], "Too many requests, please try again later.".into())
}

fn fine() -> Answer {
    ok(&json!({"a": 1}))
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_is_sent_again_when_the_server_says_so() {
    let (api, log) = fake_api(script(vec![throttled, fine]));
    assert_eq!(call(&api, || true).await, Ok(json!({"a": 1})));
    let at: Vec<u64> = log.all().iter().map(|seen| seen.at.as_secs()).collect();
    assert_eq!(at, [0, 1]);
    assert_eq!(log.all()[1].content_type, "application/json-patch+json");
}

#[tokio::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_goes_to_who_asked() {
    let busy = || Answer::With(503, &[("retry-after", "5")], "no".into());
    let (api, log) = fake_api(script(vec![busy]));
    assert_eq!(call(&api, || true).await, Err(Fault::Later(Duration::from_secs(5), "503 no".into())));
    assert_eq!(log.all().len(), 1);
    // For ever throttled: as often as the deadline has room for, and no more.
    let (api, log) = fake_api(script(vec![throttled]));
    assert!(matches!(call(&api, || true).await, Err(Fault::Later(..))));
    assert_eq!(log.all().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_tried_once_more() {
    let (api, log) = fake_api(script(vec![|| Answer::Break, fine]));
    assert_eq!(call(&api, || true).await, Ok(json!({"a": 1})));
    assert_eq!(log.all().len(), 2);
    let (api, log) = fake_api(script(vec![|| Answer::Break]));
    assert!(matches!(call(&api, || true).await, Err(Fault::Broken(_))));
    assert_eq!(log.all().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_isnt_retried_is_asked_once() {
    for code in [400, 403, 404, 409, 422, 500] {
        let (api, log) = fake_api(move |_| no(code));
        let fault = call(&api, || true).await.unwrap_err();
        let class = match code {
            403 => matches!(fault, Fault::Forbidden(_)),
            404 => fault == Fault::Gone,
            409 => fault == Fault::Conflict,
            422 => matches!(fault, Fault::Invalid(_)),
            _ => matches!(fault, Fault::Failed(_)),
        };
        assert!(class, "{code}: {fault:?}");
        assert_eq!(log.all().len(), 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_an_object_is_a_failure_and_no_panic() {
    for body in [r#"{"a": "#, "", "<html>", "null garbage"] {
        let body = body.to_owned();
        let (api, _) = fake_api(move |_| Answer::With(200, &[], body.clone()));
        assert!(matches!(call(&api, || true).await, Err(Fault::Failed(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_waited_for_two_seconds() {
    let (api, _) = fake_api(|_| Answer::Hang);
    let begun = Instant::now();
    assert_eq!(call(&api, || true).await, Err(Fault::Late));
    assert_eq!(begun.elapsed(), DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_write_any_more_sends_nothing_also_not_again() {
    let (api, log) = fake_api(script(vec![throttled, fine]));
    assert_eq!(call(&api, || false).await, Err(Fault::Deposed));
    assert_eq!(log.all().len(), 0);
    let begun = Instant::now();
    let may = || begun.elapsed() < Duration::from_millis(500);
    assert_eq!(call(&api, may).await, Err(Fault::Deposed));
    assert_eq!(log.all().len(), 1);
}

/// An API that is sent to once a connection was made, which takes a second; and how often it was.
fn far_away() -> (Api, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let service = service_fn(move |_: Request<Body>| {
        let count = count.clone();
        async move {
            sleep(Duration::from_secs(1)).await;
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Response::new(Body::from(b"{}".to_vec())))
        }
    });
    (Api::new(Client::new(service, "default")), sent)
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_before_a_stop_is_not_sent_after_it() {
    let (api, sent) = far_away();
    assert_eq!(call(&api, || true).await, Ok(json!({})));
    assert_eq!(sent.swap(0, Ordering::Relaxed), 1);
    // The leadership runs out while the connection is made.
    let begun = Instant::now();
    let may = || begun.elapsed() < Duration::from_millis(500);
    assert_eq!(call(&api, may).await, Err(Fault::Late));
    // SIGSTOP, 3 s, SIGCONT: the deadline and the connection are looked at together.
    let stopped = async {
        sleep(Duration::from_millis(10)).await;
        advance(Duration::from_secs(3)).await;
    };
    let (answer, ()) = tokio::join!(call(&api, || true), stopped);
    assert_eq!(answer, Err(Fault::Late));
    assert_eq!(sent.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wake_waits_for_no_other_write() {
    let (api, log) = fake_api(|seen| if seen.path == "/wake" { fine() } else { Answer::Hang });
    let mut others = JoinSet::new();
    for _ in 0..200 {
        let api = api.clone();
        others.spawn(async move { call(&api, || true).await });
    }
    while log.all().len() < 32 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    let wake = Ask::patch(rights::PATCH_SCALE, "/wake".into(), &json!([]));
    let woken: Result<Value, Fault> = api.call(&wake, Turn::Wake, begun + DEADLINE, || true).await;
    assert_eq!((woken, begun.elapsed()), (Ok(json!({"a": 1})), Duration::ZERO));
    while let Some(other) = others.join_next().await {
        assert_eq!(other.unwrap(), Err(Fault::Late));
    }
    assert_eq!(log.all().len(), 33, "never more than 32 at once");
}
