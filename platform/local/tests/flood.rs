//! A replica that writes without end, in a process of its own: what it takes of memory is nobody else's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

#[allow(dead_code, reason = "the other tests of this crate use the rest")]
#[path = "local/stage.rs"]
mod stage;

use kaos_local::Item;
use stage::{DEADLINE, Stage, id, script, until};

#[tokio::test]
async fn a_flood_is_bounded_and_doesnt_stall_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    // 64 MiB in short lines, while somebody follows and never reads.
    let text =
        format!("yes 'a line of twenty byt' | head -c 67108864; echo > {}; exec sleep 600", done.display());
    let stage = Stage::new(vec![script("app", &text)]).await;
    let mut lazy = stage.local.logs().follow();
    let before = resident();
    stage.scale("app", 0, 1).await.unwrap();
    until("all was written", || done.exists()).await;
    let kept = stage.local.logs().recent(&id("app"), usize::MAX);
    assert!(kept.len() <= 1000, "{}", kept.len());
    assert!(kept.iter().map(|line| line.text.len()).sum::<usize>() <= 256 * 1024);
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "grown by {grown} bytes");
    match tokio::time::timeout(DEADLINE, lazy.next()).await {
        Ok(Some(Item::Missed(missed))) => assert!(missed > 1_000_000, "{missed}"),
        other => panic!("expected to have missed lines, got {other:?}"),
    }
    assert!(matches!(lazy.next().await, Some(Item::Line(_))));
    stage.local.kill().await;
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}
