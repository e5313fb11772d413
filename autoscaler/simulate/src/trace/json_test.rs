//! Access logs of JSON objects.

use super::any_test::{read, told};
use super::*;

fn one(line: &str) -> Result<(String, u64), String> {
    let trace = read(format!("{line}\n"))?;
    let [function] = &trace.functions[..] else { panic!("{trace:?}") };
    Ok((function.name.clone(), function.requests[0].takes))
}

fn said(name: &str, takes: u64) -> Result<(String, u64), String> {
    Ok((name.to_owned(), takes))
}

#[test]
fn the_log_of_kaos_says_when_a_request_came_and_what_a_replica_did() {
    let line = concat!(
        r#"{"ts":"2026-11-09T13:55:36.250Z","client":"192.0.2.7","method":"GET","host":"shop.example","path":"/","#,
        r#""protocol":"HTTP/1.1","status":200,"bytes_in":0,"bytes_out":12,"duration_ms":1500.250,"queue_ms":1000.000,"#,
        r#""cold":true,"cut":false,"workload":"local/shop","replica":"shop-1","replica_address":"127.0.0.1:4000"}"#
    );
    let later = line.replace("36.250", "35.000").replace("1000.000", "0.000");
    let trace = read(format!("{line}\n{later}\n")).unwrap();
    assert_eq!(told(&trace), [("local/shop", vec![(0, 1_500_250), (1_250_000, 500_250)])]);
}

#[test]
fn what_no_workload_has_heard_of_is_passed_over() {
    let lines = [
        r#"{"listen":"127.0.0.1:8080","admin":"127.0.0.1:9090","pid":7,"started_at":"2026-11-09T13:55:36.250Z"}"#,
        r#"{"ts":"2026-11-09T13:55:00.000Z","level":"info","target":"kaos","msg":"ended"}"#,
        r#"{"ts":"2026-11-09T13:55:00.000Z","status":404,"duration_ms":0.1,"queue_ms":0,"refusal":"no-route"}"#,
        r#"{"ts":"2026-11-09T13:55:00.000Z","duration_ms":0.1,"queue_ms":0,"refusal":"no-wake","workload":"a/b"}"#,
    ];
    assert_eq!(read(lines.join("\n")), Err("log: holds no request".into()));
    let refused = r#"{"ts":"2026-11-09T13:55:00.000Z","duration_ms":9,"queue_ms":9,"refusal":"queue-full","workload":"a/b"}"#;
    assert_eq!(read(format!("{}\n{refused}\n", lines.join("\n"))).map(|trace| trace.span), Ok(MINUTE));
    // How long a replica would have worked isn't known.
    assert_eq!(one(refused), said("a/b", TAKES));
    let left =
        r#"{"ts":"2026-11-09T13:55:00.000Z","status":499,"duration_ms":9,"queue_ms":9,"workload":"a/b"}"#;
    assert_eq!(one(left), said("a/b", TAKES));
    let served = left.replace("\"queue_ms\":9", "\"queue_ms\":8,\"replica\":\"b-1\"");
    assert_eq!(one(&served), said("a/b", 1_000));
}

#[test]
fn nginx_writes_at_the_end_of_a_request() {
    let lines = r#"{"msec":"100.500","host":"a","request_time":"0.500"}
{"msec":100.250,"host":"a","request_time":0.5}
{"msec":99.000,"host":"a","request_time":"-"}
{"msec":99.500,"host":"a"}
"#;
    let expected = vec![(0, TAKES), (500_000, TAKES), (750_000, 500_000), (1_000_000, 500_000)];
    assert_eq!(told(&read(lines).unwrap()), [("a", expected)]);
}

#[test]
fn usual_names_are_understood() {
    for time in [
        r#""msec":1.5"#,
        r#""ts":1.5"#,
        r#""timestamp":"1.5""#,
        r#""@timestamp":"2026-11-09T13:55:36.250Z""#,
        r#""time":"2026-11-09T13:55:36+01:00""#,
        r#""time_iso8601":"2026-11-09T13:55:36+01:00""#,
        r#""time_local":"09/Nov/2026:13:55:36 +0000""#,
        r#""ts":null,"time":1,"remote":{"a":[1]}"#,
    ] {
        assert_eq!(one(&format!("{{{time}}}")), said("all", TAKES), "{time}");
    }
    for (members, name) in [
        (r#""workload":"a","host":"b""#, "a"),
        (r#""workload":"a","namespace":"n""#, "n/a"),
        (r#""workload":"m/a","namespace":"n""#, "m/a"),
        (r#""namespace":"n","host":"b""#, "b"),
        (r#""host":"","http_host":"c:80","server_name":"d""#, "c:80"),
        (r#""host":"-","server_name":"d""#, "d"),
        (r#""host":"\u00e9\"\\""#, "é\"\\"),
        (r#""host":"a\x22\x41""#, "a\"A"),
        (r#""agent":"\x22\xD0""#, "all"),
    ] {
        assert_eq!(one(&format!("{{\"time\":1,{members}}}")), said(name, TAKES), "{members}");
    }
}

#[test]
fn whole_seconds_are_spread_and_mixed_kinds_are_refused() {
    let file = "{\"time_iso8601\":\"2026-11-09T13:55:36+00:00\"}\n".repeat(100);
    let trace = read(&file).unwrap();
    assert!((800_000..1_000_000).contains(&trace.functions[0].requests[99].at));
    let error = read(format!("{file}{{\"msec\":1}}\n")).unwrap_err();
    assert_eq!(
        error,
        "log:101: the time is a number of seconds, but a date in line 1; one file has one kind"
    );
}

#[test]
fn a_member_that_is_none_is_refused() {
    const TIME: &str =
        "expected a number of seconds from 0 to 100000000000, or a date such as 2026-11-09T13:55:36.250Z";
    const SECONDS: &str = "expected a number of seconds from 0 to 10000000";
    const MILLIS: &str = "expected a number of milliseconds from 0 to 10000000000";
    for (members, what) in [
        (r#""time":"soon""#, format!("column \"time\": got \"soon\"; {TIME}")),
        (r#""time":true"#, format!("column \"time\": got \"true\"; {TIME}")),
        (r#""time":-1"#, format!("column \"time\": got \"-1\"; {TIME}")),
        (r#""ts":1731160536123"#, format!("column \"ts\": got \"1731160536123\"; {TIME}")),
        (r#""ts":1,"request_time":"NaN""#, format!("column \"request_time\": got \"NaN\"; {SECONDS}")),
        (r#""ts":1,"request_time":-0.1"#, format!("column \"request_time\": got \"-0.1\"; {SECONDS}")),
        (r#""ts":1,"duration_ms":1e400"#, format!("column \"duration_ms\": got \"1e400\"; {MILLIS}")),
        (r#""ts":1,"duration_ms":1,"queue_ms":"x""#, format!("column \"queue_ms\": got \"x\"; {MILLIS}")),
        (r#""ts":1,"host":7"#, "column \"host\": got \"7\"; expected a text".to_owned()),
        (
            r#""host":"a""#,
            "no time; expected one of the members msec, ts, timestamp, @timestamp, time, time_iso8601, time_local"
                .to_owned(),
        ),
    ] {
        let file = format!("{{\"time\":1}}\n{{{members}}}\n");
        assert_eq!(read(file).unwrap_err(), format!("log:2: {what}"), "{members}");
    }
}

#[test]
fn a_line_that_is_none_is_refused_and_a_torn_one_left_out() {
    for (line, why) in [
        ("{\"time\":1,}", "trailing comma at byte 11: \"{\\\"time\\\":1,}\""),
        ("{\"time\":1,\"time\":2}", "duplicate field `time` at byte 16: \"{\\\"time\\\":1,\\\"time\\\":2}\""),
        ("hello", "expected value at byte 1: \"hello\""),
    ] {
        let error = read(format!("{{\"time\":1}}\n{line}\n{{\"time\":1}}\n")).unwrap_err();
        assert_eq!(error, format!("log:2: not an object of JSON: {why}"));
    }
    let error = read(b"{\"time\":1}\n{\"time\":1,\"host\":\"a\xFF\"}\n").unwrap_err();
    assert_eq!(error, "log:2: byte 20 isn't UTF-8");
    // nginx passes on what a client wrote.
    assert!(read(b"{\"time\":1,\"host\":\"a\",\"request\":\"\\u0016\xFF\"}\n").is_ok());
    let line = "{\"time\":1,\"host\":\"a\"}";
    for end in 1..line.len() {
        assert_eq!(read(format!("{line}\n{}", &line[..end])), read(format!("{line}\n")), "{end}");
    }
    assert_eq!(read(format!("{line}\n{line}")).unwrap().functions[0].requests.len(), 2);
    assert_eq!(read("{\"time\":").unwrap_err(), "log: holds no request");
}
