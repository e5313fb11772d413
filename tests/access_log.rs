//! The access log as people get it: lines on stdout, after the one that says where Kaos listens.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use serde_json::Value;
use support::{Kaos, answer, eventually, folder};

/// The lines of stdout, once there are `count`.
fn lines(kaos: &Kaos, count: usize) -> Vec<String> {
    eventually("the lines are written", || {
        let lines: Vec<String> = kaos.stdout().split_inclusive('\n').map(str::to_owned).collect();
        (lines.len() >= count && lines.iter().all(|line| line.ends_with('\n'))).then_some(lines)
    })
}

#[test]
fn each_request_is_an_object() {
    let kaos = Kaos::shop(&["--access-log", "json"], &[]);
    assert_eq!(kaos.get("/headers?secret=1").status, 200);
    lines(&kaos, 1);
    assert_eq!(kaos.get("/bytes/3").status, 200);
    let objects: Vec<Value> =
        lines(&kaos, 2).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |name: &str| objects.iter().map(|object| object[name].clone()).collect::<Vec<_>>();
    assert_eq!(told("path"), ["/headers", "/bytes/3"]);
    assert_eq!(told("cold"), [true, false]);
    assert_eq!(told("workload"), ["local/shop"; 2]);
    assert_eq!(told("client"), ["127.0.0.1"; 2]);
    let [first, _] = &objects[..] else { panic!("{objects:?}") };
    assert!(
        first["queue_ms"].as_f64() > Some(0.0) && first["duration_ms"].as_f64() >= first["queue_ms"].as_f64()
    );
    assert!(first["ts"].as_str().unwrap().ends_with('Z') && first["replica"].is_string(), "{first}");
    assert_eq!(kaos.metric("kaos_access_log_dropped_total"), 0.0);
}

#[test]
fn or_a_line_as_apache_writes_it_or_none() {
    let configuration = format!(
        "access-log = \"combined\"\naccess-log-sample = \"errors\"\n[[function]]\nname = \"shop\"\npath = \"/headers\"\n\
         command = [\"{}\"]\n",
        answer()
    );
    let mut kaos = Kaos::up_in(folder(&configuration), &[]);
    assert_eq!(kaos.get("/headers").status, 200);
    assert_eq!(kaos.get("/elsewhere").status, 404);
    let written = lines(&kaos, 1);
    assert!(
        written[0].starts_with("127.0.0.1 - - [")
            && written[0].contains("] \"GET /elsewhere HTTP/1.1\" 404 ")
    );
    // What has ended is written before the process ends.
    assert_eq!(kaos.get("/last").status, 404);
    kaos.signal("TERM");
    assert_eq!(kaos.ended(), Some(0));
    let written = lines(&kaos, 2);
    assert!(written.len() == 2 && written[1].contains("GET /last "), "{written:?}");
    let kaos = Kaos::up_in(folder(&configuration), &["--access-log", "off"]);
    assert_eq!(kaos.get("/elsewhere").status, 404);
    assert_eq!(kaos.stdout(), "");
}
