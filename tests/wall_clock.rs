//! The wall clock may be set, forwards or back: nothing that is decided has wall time in it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use support::{Kaos, answer, eventually, said};

const HOUR: i64 = 3600;
const IDLE: &str = r#"kaos_decisions_total{namespace="local",workload="shop",because="idle"}"#;

/// A Kaos whose wall clock can be set.
struct Moved {
    kaos: Kaos,
    ahead: PathBuf,
}

impl Moved {
    fn shop(idle_timeout: &str) -> Moved {
        let dir = tempfile::tempdir().unwrap();
        let (shim, ahead) = (dir.path().join("wall-clock.so"), dir.path().join("ahead"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wall-clock.c");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&shim, &source]).output().unwrap();
        assert!(built.status.success(), "{}", said(&built).2);
        std::fs::write(&ahead, "0").unwrap();
        let environment = [("LD_PRELOAD", shim.as_path()), ("WALL_CLOCK", &ahead)];
        let arguments = ["--name", "shop", "--idle-timeout", idle_timeout, "--", &answer()];
        Moved { kaos: Kaos::up_under(dir, &environment, &arguments), ahead }
    }

    /// A moment as Kaos shows it.
    fn moment(&self, pointer: &str) -> Option<Timestamp> {
        self.kaos.workload("shop").pointer(pointer)?.as_str()?.parse().ok()
    }

    /// A request that is answered, and takes so long that one moment can't be taken for another. When it ended, once the
    /// autoscaler knows of it.
    fn request(&self, cold: bool) -> Timestamp {
        let before = self.moment("/last_request_at");
        let reply = self.kaos.get("/?delay=500ms");
        assert_eq!((reply.status, reply.header("x-kaos-cold-start").is_some()), (200, cold));
        eventually("it is known", || {
            let last = self.moment("/last_request_at")?;
            before.is_none_or(|before| seconds(before, last) >= 0.4).then_some(last)
        })
    }

    /// Sets the clock so many seconds from the true time.
    fn set(&self, ahead: i64) {
        let new = self.ahead.with_extension("new");
        std::fs::write(&new, ahead.to_string()).unwrap();
        std::fs::rename(&new, &self.ahead).unwrap();
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}

/// Shown moments are exact to a few milliseconds: each is reckoned from the present.
fn is_about(span: f64, seconds: i64) -> bool {
    (span - seconds as f64).abs() < 0.3
}

#[test]
fn an_hour_more_or_less_puts_nothing_to_sleep() {
    let moved = Moved::shop("30m");
    let mut last = moved.request(true);
    for (ahead, jump) in [(HOUR, HOUR), (-HOUR, -2 * HOUR)] {
        moved.set(ahead);
        let shown = moved.moment("/last_request_at").unwrap();
        assert_eq!(
            shown.duration_since(last).as_mins(),
            jump / 60,
            "the same moment, by the clock as it is now"
        );
        // What is known of this one was decided on after the jump.
        last = moved.request(false);
        eventually("it sleeps half an hour after it", || {
            is_about(seconds(last, moved.moment("/next/at")?), HOUR / 2).then_some(())
        });
    }
    assert_eq!(moved.kaos.metric(IDLE), 0.0);
}

#[test]
fn a_clock_that_was_set_back_keeps_nothing_awake() {
    let moved = Moved::shop("1s");
    moved.request(true);
    moved.set(-HOUR);
    eventually("zero", || (moved.kaos.workload("shop")["state"] == "zero").then_some(()));
    moved.request(true);
}
