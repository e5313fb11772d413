//! What `kaos explain --advice` says of a function that runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use serde_json::Value;
use support::{Kaos, eventually, said};

#[test]
fn a_cold_start_is_in_the_advice() {
    let kaos = Kaos::shop(&[], &[]);
    assert_eq!(kaos.get("/").status, 200);
    let cold_starts = || {
        let (code, text, _) = said(&kaos.command(&["explain", "shop", "--advice", "--output", "json"]));
        assert_eq!(code, Some(0));
        let advice: Value = serde_json::from_str(&text).unwrap();
        (advice["watched"]["cold_starts"] == 1).then_some(advice)
    };
    let advice = eventually("the cold start is in the advice", cold_starts);
    assert_eq!(
        (&advice["mode"], &advice["watched"]["verdict"]["word"]),
        (&"scale".into(), &"too-short".into())
    );
    let (_, text, _) = said(&kaos.command(&["explain", "shop", "--advice"]));
    assert!(text.starts_with("shop: scaled; watched since "), "{text}");
    assert!(text.contains(", 1 cold start, wait p50 ") && text.contains(": too short for advice"), "{text}");
    let (code, _, errors) = said(&kaos.command(&["explain", "shoe", "--advice"]));
    assert!(code == Some(1) && errors.contains("local/shoe"), "{errors}");
}
