//! The benchmark itself, in small: every kind of work through nginx, and what it says of who can't be measured. Asserts nothing of
//! time.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const CASES: &str = "64@2,10240@1,tls:64@2,handshake:64@1,h2c:64@3,h2:64@9,grpc:64@2";

fn run(folder: &Path, arguments: &[&str]) -> (Output, String, Value) {
    let (json, markdown) = (folder.join("result.json"), folder.join("result.md"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_side-by-side"));
    command.args(["--rounds", "1", "--span", "400ms"]).args(arguments);
    command.arg("--json").arg(&json).arg("--markdown").arg(&markdown);
    // Only what the PATH has: that is nginx for sure.
    command.arg("--peers-folder").arg(folder);
    let output = command.output().unwrap();
    let json = std::fs::read(json).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    (output, std::fs::read_to_string(markdown).unwrap_or_default(), json.unwrap_or_default())
}

#[test]
fn every_kind_of_work_is_measured_and_checked() {
    for upstream in ["inside", "nginx"] {
        measured(upstream);
    }
}

fn measured(upstream: &str) {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--peers", "nginx,direct", "--cases", CASES, "--measure", "cpu,latency"];
    let (output, markdown, json) = run(folder.path(), &[&arguments[..], &["--upstream", upstream]].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let rows = json["measured"].as_array().unwrap();
    for case in CASES.split(',') {
        let case = if case.contains(':') { case.to_owned() } else { format!("h1:{case}") };
        let row = rows.iter().find(|row| row["case"] == case.as_str() && row["proxy"] == true);
        let row = row.unwrap_or(&Value::Null);
        assert!(row["requests_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{case}: {said}");
        assert!(row["half"]["rate"].as_f64().is_some_and(|rate| rate > 0.0), "{case}: {said}");
        assert!(markdown.contains(&format!("## {case}\n")), "{case}: {markdown}");
    }
    assert!(markdown.contains("proxy_set_header X-Request-Id $request_id;"), "{markdown}");
}

#[test]
fn what_is_missing_is_said_with_the_way_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        ["--peers", "nginx,kaos"],
        ["--kaos", "/nowhere/kaos"],
        ["--cases", "64@1"],
        ["--measure", "memory"],
        ["--idle", "5"],
    ];
    let (output, markdown, json) = run(folder.path(), &arguments.concat());
    assert!(output.status.success());
    assert_eq!(json["memory"].as_array().unwrap().len(), 1, "{json}");
    assert!(markdown.contains("cargo build --profile dist -p kaos"), "{markdown}");
}

#[test]
fn a_wrong_command_line_is_told_from_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [["--cases", "h9:64@1"], ["--rounds", "0"], ["--peers", "apache"]] {
        assert_eq!(run(folder.path(), &arguments).0.status.code(), Some(2), "{arguments:?}");
    }
}
