//! What replicas write: whole, in order, bounded, and never in their way.

use std::sync::Arc;
use std::time::Instant;

use kaos_local::{Item, Line, Stream};

use crate::stage::{DEADLINE, FIXTURE, Stage, id, script, until};

fn texts(lines: &[Arc<Line>]) -> Vec<(Stream, &str)> {
    lines.iter().map(|line| (line.stream, line.text.as_str())).collect()
}

#[tokio::test]
async fn lines_are_kept_and_followed() {
    let text = format!("echo one; exec {FIXTURE} serve");
    let stage = Stage::new(vec![script("app", &text), script("other", "echo other; exec sleep 600")]).await;
    stage.started("app").await;
    until("the line is kept", || !stage.local.logs().recent(&id("app"), 10).is_empty()).await;
    let (recent, mut feed) = stage.local.logs().recent_then_follow(&id("app"), 10);
    assert_eq!(texts(&recent), [(Stream::Stdout, "one")]);
    assert_eq!(recent[0].replica, stage.workload("app").endpoints[0].uid);
    stage.scale("other", 0, 1).await.unwrap();
    let Ok(Some(Item::Line(line))) = tokio::time::timeout(DEADLINE, feed.next()).await else {
        panic!("no line came");
    };
    assert_eq!((line.text.as_str(), line.workload.clone()), ("other", id("other")));
    assert!(line.number > recent[0].number);
    stage.local.shutdown().await;
    // The lines outlive the replica.
    assert_eq!(stage.local.logs().recent(&id("app"), 10).len(), 1);
    assert_eq!(stage.local.logs().recent(&id("nobody"), 10).len(), 0);
}

#[tokio::test]
async fn the_last_words_are_read_and_long_lines_cut() {
    // 20,000 bytes in one line, no newline at the end.
    let text = "head -c 20000 /dev/zero | tr '\\0' x; printf 'the end' >&2; exit 1";
    let stage = Stage::new(vec![script("app", text)]).await;
    stage.scale("app", 0, 1).await.unwrap();
    let failed = stage.until("app", |found| found.failure.is_some()).await;
    assert!(failed.failure.as_ref().unwrap().detail.ends_with("last on stderr:\nthe end"));
    let first = stage.local.logs().recent(&id("app"), 1000)[0].replica.clone();
    let lines = stage.local.logs().recent(&id("app"), 1000);
    let own = |stream| {
        let own = lines.iter().filter(move |line| line.replica == first && line.stream == stream);
        own.map(|line| line.text.len()).collect::<Vec<_>>()
    };
    assert_eq!(own.clone()(Stream::Stdout), [8192, 8192, 3616]);
    assert_eq!(own(Stream::Stderr), [7]);
    stage.local.shutdown().await;
}

#[tokio::test]
async fn a_flood_doesnt_delay_others() {
    let flood = script("flood", "exec yes");
    let stage = Stage::new(vec![flood, crate::stage::serving("app")]).await;
    stage.scale("flood", 0, 1).await.unwrap();
    until("it floods", || stage.local.logs().recent(&id("flood"), 1000).len() == 1000).await;
    let begun = Instant::now();
    stage.started("app").await;
    println!("ready beside a flood after {:?}", begun.elapsed());
    stage.local.kill().await;
}
