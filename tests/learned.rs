//! What `kaos up` learns outlives it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::path::Path;

use kaos_core::form::Kept;
use support::{Kaos, eventually, kaos, said};

/// A cold start that is worth nothing: it sleeps after a second, and each sleep ends in a gap that is learned from.
const KNOBS: [&str; 4] = ["--idle-timeout", "learned", "--cold-start-cost", "0s"];

fn up(state: &Path) -> Kaos {
    Kaos::shop(&[&KNOBS[..], &["--state", state.to_str().unwrap()]].concat(), &[])
}

/// A call, a sleep, and a call.
fn a_gap(kaos: &Kaos) {
    kaos.get("/");
    eventually("zero", || (kaos.workload("shop")["state"] == "zero").then_some(()));
    kaos.get("/");
}

/// Ends it as Ctrl-C does, and returns what it has kept of `shop`.
fn end(mut kaos: Kaos, state: &Path) -> Kept {
    kaos.signal("TERM");
    let status = eventually("it ends", || kaos.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let text = std::fs::read_to_string(state.join("learned")).unwrap();
    let hex = text.lines().find_map(|line| line.strip_prefix("local/shop ")).unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
    Kept::read(&bytes).unwrap()
}

#[test]
fn what_was_learned_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    for gaps in 1..=2 {
        let kaos = up(&state);
        eventually("it knows what the last one has learned", || {
            (kaos.workload("shop")["learned"]["gaps"] == gaps - 1).then_some(())
        });
        a_gap(&kaos);
        let (code, text, _) = said(&kaos.command(&["explain", "shop"]));
        assert!(code == Some(0) && text.contains("\nLearned: little is known of its calls yet"), "{text}");
        assert_eq!(end(kaos, &state).learned.gaps().count(), gaps);
    }
}

#[test]
fn a_damaged_file_is_told_and_nothing_else_goes_wrong() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("learned"), "kaos learned 1\nlocal/shop 0102\n").unwrap();
    let kaos = up(dir.path());
    a_gap(&kaos);
    eventually("it is told", || kaos.stderr().contains("it begins anew").then_some(()));
    assert_eq!(end(kaos, dir.path()).learned.gaps().count(), 1);
}

#[test]
fn a_folder_that_is_in_use_is_told_and_by_itself_each_project_has_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let first = up(dir.path());
    let second = up(dir.path());
    let told = format!("the state folder {}: another Kaos uses it", dir.path().display());
    eventually("it is told", || second.stderr().contains(&told).then_some(()));
    a_gap(&second);
    drop(first);
    let own = Kaos::shop(&KNOBS, &[]);
    let user = own.dir.path().join(".local/state/kaos");
    let projects = eventually("a folder is made", || Some(std::fs::read_dir(&user).ok()?.count()));
    assert_eq!(projects, 1);
    let (code, _, errors) = said(&kaos(own.dir.path()).args(["up", "--state", ""]).output().unwrap());
    assert!(code == Some(2) && errors.contains("allowed is a path"), "{errors}");
}

#[test]
fn what_is_forgotten_begins_anew_here_and_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let kaos = up(dir.path());
    a_gap(&kaos);
    eventually("a gap is known", || (kaos.workload("shop")["learned"]["gaps"] == 1).then_some(()));
    // What only asks changes nothing, and what changes something isn't asked for here.
    let order = b"POST /v1/forget/local/shop HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let refused = String::from_utf8_lossy(&support::raw(kaos.admin, order)).into_owned();
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
    let (code, text, errors) = said(&kaos.command(&["forget", "shop"]));
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(text, "What was learned of shop is forgotten; it begins anew.\n");
    let learned = kaos.workload("shop")["learned"].clone();
    assert_eq!((&learned["gaps"], &learned["forgotten"]), (&0.into(), &1.into()), "{learned}");
    let (_, text, _) = said(&kaos.command(&["explain", "shop"]));
    assert!(
        text.contains("Learned: nothing is known of its calls yet") && text.contains("was forgotten at"),
        "{text}"
    );
    let unknown = |command| said(&kaos.command(&[command, "shoe"]));
    let (forget, explain) = (unknown("forget"), unknown("explain"));
    assert_eq!((forget.0, &forget.2), (Some(1), &explain.2), "as the others say it");
    let (_, text, _) = said(&kaos.command(&["forget", "shop", "--output", "json"]));
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&told["name"], &told["forgotten"]), (&"shop".into(), &true.into()));
    assert!(kaos.stderr().contains("is forgotten, as somebody has asked for"));
    let kept = end(kaos, dir.path());
    assert_eq!((kept.learned.forgotten(), kept.learned.gaps().count()), (2, 0));
}
