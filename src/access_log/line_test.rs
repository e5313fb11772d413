use kaos_core::{EndpointUid, Moment, WorkloadId};
use kaos_proxy::Target;
use serde_json::{Value, json};

use super::*;

/// A request of which everything is known that can be.
pub(crate) fn entry() -> Entry {
    let texts: [&[u8]; 6] =
        [b"GET", b"shop.example.com", b"/cart", b"curl/8.0", b"https://example.com/?a=b", b"1.2.3.4"];
    Entry {
        duration: Duration::from_micros(12_345),
        protocol: Some("HTTP/1.1"),
        request_id: "abc".into(),
        status: 200,
        received: 7,
        sent: 2326,
        queue_wait: Duration::from_micros(9_001),
        cold: true,
        workload: Some(WorkloadId::new("local", "shop")),
        replica: Some(Target { uid: EndpointUid::new("shop-1"), address: ([127, 0, 0, 1], 4000).into() }),
        cut: false,
        ..Entry::new(Moment::ZERO, [192, 0, 2, 7].into(), texts)
    }
}

/// One whose head couldn't be read.
fn unread() -> Entry {
    Entry {
        status: 400,
        refusal: Some("bad-request"),
        ..Entry::new(Moment::ZERO, [192, 0, 2, 7].into(), [b""; 6])
    }
}

fn written(write: fn(&Entry, Timestamp, &mut Vec<u8>), entry: &Entry) -> String {
    let mut out = Vec::new();
    write(entry, Timestamp::from_second(971_186_136).unwrap(), &mut out);
    let line = String::from_utf8(out).unwrap();
    assert!(line.ends_with('\n') && line.lines().count() == 1, "{line:?}");
    line.trim_end_matches('\n').to_owned()
}

fn object(entry: &Entry) -> Value {
    serde_json::from_str(&written(json, entry)).unwrap()
}

#[test]
fn an_object_has_everything_that_is_known_and_nothing_else() {
    let expected = json!({
        "ts": "2000-10-10T13:55:36.000Z",
        "client": "192.0.2.7",
        "method": "GET",
        "host": "shop.example.com",
        "path": "/cart",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes_in": 7,
        "bytes_out": 2326,
        "duration_ms": 12.345,
        "queue_ms": 9.001,
        "cold": true,
        "cut": false,
        "workload": "local/shop",
        "replica": "shop-1",
        "replica_address": "127.0.0.1:4000",
        "request_id": "abc",
        "user_agent": "curl/8.0",
        "referer": "https://example.com/?a=b",
        "forwarded_for": "1.2.3.4",
    });
    assert_eq!(object(&entry()), expected);
    let unread = object(&unread());
    assert_eq!((&unread["refusal"], &unread["status"]), (&json!("bad-request"), &json!(400)));
    for name in ["method", "host", "path", "protocol", "workload", "replica", "trace_id", "user_agent"] {
        assert_eq!(unread.get(name), None, "{name}");
    }
    assert!(written(json, &entry()).starts_with("{\"ts\":\""), "the time comes first");
}

#[test]
fn a_line_is_what_apache_writes() {
    let line = written(combined, &entry());
    let (client, rest) = line.split_once('[').unwrap();
    let (time, rest) = rest.split_once(']').unwrap();
    assert_eq!(client, "192.0.2.7 - - ");
    assert_eq!(time, clock::common_log(Timestamp::from_second(971_186_136).unwrap()));
    assert_eq!(rest, r#" "GET /cart HTTP/1.1" 200 2326 "https://example.com/?a=b" "curl/8.0""#);
    assert!(written(combined, &unread()).ends_with(r#"] "-" 400 - "-" "-""#));
}

#[test]
fn what_clients_write_stays_within_its_quotes() {
    // Whatever a header field may hold, and more: quotes, ends of lines, a terminal's commands, no UTF-8.
    let evil = b"a\"b\\c\td\r\ne\x1b[2J\x7f\xc2\x9b\xff\xc3\xa9";
    let texts: [&[u8]; 6] = [b"GET", evil, b"/", evil, evil, evil];
    let entry =
        Entry { protocol: Some("HTTP/1.1"), ..Entry::new(Moment::ZERO, [127, 0, 0, 1].into(), texts) };
    let line = written(json, &entry);
    assert!(!line.contains(char::is_control), "{line:?}");
    assert_eq!(object(&entry)["user_agent"], "a\"b\\c\td\r\ne\u{1b}[2J\u{7f}\u{9b}\u{fffd}é");
    let line = written(combined, &entry);
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
    assert!(line.ends_with(r#" "a\"b\\c\td\x0d\x0ae\x1b[2J\x7f\xc2\x9b\xff\xc3\xa9""#), "{line}");
}
