//! The load generator against the program `answer`, as people run it: what it counts is what happened.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::process::{Command, Stdio};

use serde_json::Value;

/// A running `answer`; killed when dropped.
struct Answer(std::process::Child);

impl Drop for Answer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start() -> (Answer, String) {
    use std::io::BufRead;
    let mut command = Command::new(env!("CARGO_BIN_EXE_answer"));
    let mut child = command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Answer(child), format!("http://{}", line.trim().rsplit(' ').next().unwrap()))
}

/// Runs a scenario of one load. Returns the exit code and what it printed.
fn run(target: &str, load: &str) -> (i32, Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.toml");
    std::fs::write(
        &file,
        format!("about = \"\"\n[[load]]\nname = \"load\"\nhosts = [\"a{{0..1}}\"]\n{load}\n"),
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["run", "--output", "json", "--target", target])
        .arg(&file)
        .output()
        .unwrap();
    let summary = serde_json::from_slice::<Value>(&output.stdout).map_or(Value::Null, |all| all[0].clone());
    (output.status.code().unwrap(), summary, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_request_is_sent_and_counted() {
    let (_answer, target) = start();
    for protocol in ["protocol = \"h1\"\nconnections = 8", "protocol = \"h2\"\nconnections = 2\nstreams = 4"]
    {
        let arrival =
            "arrival = { kind = \"constant\", rate = 500, duration = \"1s\" }\nexpect = { length = 3 }";
        let (code, summary, errors) = run(&target, &format!("{protocol}\n{arrival}"));
        assert_eq!((code, errors.as_str()), (0, ""));
        assert_eq!(
            (&summary["requests"], &summary["statuses"]["200"]),
            (&500.into(), &500.into()),
            "{protocol}"
        );
        assert_eq!(
            (&summary["failed"], &summary["latency_ms"]["count"]),
            (&0.into(), &500.into()),
            "{protocol}"
        );
    }
}

#[test]
fn latency_counts_from_the_intended_moment() {
    let (_answer, target) = start();
    // One connection, four at once, 50 ms each: the last one waits for the three before it.
    let load = "arrival = { kind = \"at-once\", count = 4 }\nrequest = { path = \"/delay/50ms\" }";
    let (code, summary, _) = run(&target, load);
    assert_eq!(code, 0);
    assert!(summary["latency_ms"]["max"].as_f64().unwrap() >= 200.0, "{summary}");
    assert_eq!(summary["starved"], 3);
}

#[test]
fn failures_are_counted_by_kind_and_end_with_1() {
    let (_answer, target) = start();
    for (load, kind) in [
        ("request = { path = \"/abort\" }", "reset"),
        ("request = { path = \"/abort\" }\nprotocol = \"h2\"", "reset"),
        ("request = { path = \"/abort?after=10\" }", "answer broke off"),
        ("request = { path = \"/status/500\" }", "unexpected status"),
        ("expect = { length = 4 }", "unexpected length"),
        ("request = { path = \"/delay/10s\" }\nclient = { timeout = \"50ms\" }", "timeout"),
        ("request = { path = \"/delay/10s\" }\nclient = { give-up = \"50ms\" }", "gave up"),
    ] {
        let (code, summary, errors) =
            run(&target, &format!("arrival = {{ kind = \"at-once\", count = 2 }}\n{load}"));
        assert_eq!((code, &summary["failures"][kind]), (1, &2.into()), "{load}: {summary}");
        assert!(errors.contains("2 failed, 0 may"), "{errors}");
    }
}

#[test]
fn an_impatient_client_comes_back() {
    let (_answer, target) = start();
    let load = "arrival = { kind = \"at-once\", count = 1 }\nrequest = { path = \"/delay/10s\" }\n\
                client = { give-up = \"20ms\", retry-every = \"30ms\", attempts = 3 }\nexpect = { failed-at-most = 1 }";
    let (code, summary, _) = run(&target, load);
    assert_eq!((code, &summary["retries"], &summary["failures"]["gave up"]), (0, &2.into(), &1.into()));
    let load = "arrival = { kind = \"at-once\", count = 1 }\nrequest = { path = \"/status/503\" }\n\
                client = { retry-every = \"1ms\", attempts = 4, retry-statuses = [503] }\nexpect = { statuses = [503] }";
    let (code, summary, _) = run(&target, load);
    assert_eq!((code, &summary["retries"]), (0, &3.into()));
}

#[test]
fn what_makes_no_sense_ends_with_2() {
    let (code, _, errors) = run("http://127.0.0.1:1", "arrival = { kind = \"at-once\", count = 0 }");
    assert_eq!(code, 2);
    assert!(errors.contains("arrival"), "{errors}");
    let (code, _, errors) = run("http://127.0.0.1:1", "arrival = { kind = \"at-once\", count = 1 }");
    assert_eq!(code, 1);
    assert!(errors.contains("connection refused"), "{errors}");
}
