//! `/v1/reports` of a proxy that runs: everything first, then each change, for as long as somebody reads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;
use support::{Kaos, PATIENCE};

/// Begins to read reports; the lines of the body come from the returned reader, between lines of chunk sizes.
fn follow(kaos: &Kaos, query: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(kaos.admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /v1/reports{query} HTTP/1.1\r\nHost: {}\r\n\r\n", kaos.admin).unwrap();
    BufReader::new(stream)
}

fn status(reader: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

/// The next report.
fn next(reader: &mut BufReader<TcpStream>) -> Value {
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the reports have ended");
        if line.starts_with('{') {
            return serde_json::from_str(&line).unwrap();
        }
    }
}

fn started(report: &Value) -> Option<u64> {
    let workloads = report["workloads"].as_array().unwrap();
    let shop = workloads.iter().find(|of| of[0] == "local/shop")?;
    shop[1]["running"]["started"].as_u64()
}

#[test]
fn several_readers_get_everything_first_and_then_each_change() {
    let kaos = Kaos::shop(&[], &[]);
    let mut readers = [follow(&kaos, ""), follow(&kaos, "?version=1")];
    let mut last = [0; 2];
    for (reader, last) in readers.iter_mut().zip(&mut last) {
        assert_eq!(status(reader), "200");
        let first = next(reader);
        assert_eq!((&first["version"], &first["full"]), (&Value::from(1), &Value::from(true)));
        assert_eq!(started(&first), Some(0));
        *last = first["sequence"].as_u64().unwrap();
    }
    assert_eq!(kaos.get("/").status, 200);
    for (reader, mut last) in readers.iter_mut().zip(last) {
        loop {
            let report = next(reader);
            let sequence = report["sequence"].as_u64().unwrap();
            assert!(sequence > last, "{sequence} after {last}");
            last = sequence;
            if started(&report) == Some(1) {
                break;
            }
        }
    }
    let mut late = follow(&kaos, "");
    assert_eq!(started(&next(&mut late)), Some(1));
}

#[test]
fn a_version_that_isnt_spoken_is_refused_with_a_reason() {
    let kaos = Kaos::shop(&[], &[]);
    let reply = kaos.ask("/v1/reports?version=2");
    assert_eq!(reply.status, 406);
    assert!(reply.text().contains("allowed is 1"), "{}", reply.text());
}
