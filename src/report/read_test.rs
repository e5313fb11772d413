use super::super::write::lines;
use super::*;

/// What version 1 wrote when it was frozen: decoded for ever, and written the same as long as nothing is added.
const FROZEN: &str = include_str!("../../tests/fixtures/report-v1.ndjson");

fn sums(started: u64, finished: u64, started_at: u64, finished_at: u64) -> Sums {
    Sums { started, finished, started_at, finished_at }
}

fn frozen() -> Vec<Report> {
    let report = |sequence, at, full, workloads| Report {
        version: 1,
        proxy: ProxyId::new("kaos-proxy-7d9f-abcde"),
        epoch: 1_760_000_000_000_000,
        sequence,
        at,
        full,
        workloads,
    };
    let uid = |text| EndpointUid::new(text);
    let held = Reading {
        running: sums(3, 3, 90_000, 120_000),
        last_activity: Some(120_000),
        hold: Some(HoldAnswer {
            id: HoldId::new("kaos-autoscaler-1-5"),
            state: HoldState::Confirmed,
            empty: vec![uid("0b1f3c52-0000-4000-8000-000000000001")],
        }),
        seen: 4711,
        ..Reading::default()
    };
    let busy = Reading {
        running: sums(u64::MAX, 5, u64::MAX, 17),
        waiting: sums(2, 1, 20, 10),
        presumed: false,
        last_activity: Some(7),
        hold: None,
        endpoints: vec![EndpointLoad { uid: uid("0b1f3c52-0000-4000-8000-000000000002"), in_flight: 3 }],
        seen: 1,
    };
    let expired = HoldAnswer { id: HoldId::new("h"), state: HoldState::Expired, empty: Vec::new() };
    let draining = HoldAnswer { state: HoldState::Draining, ..expired.clone() };
    let answering = |hold| Reading { hold: Some(hold), ..Reading::default() };
    let (shop, till) = (WorkloadId::new("shops", "shop"), WorkloadId::new("shops", "till"));
    vec![
        report(1, 1_000_000, true, vec![(shop.clone(), held), (till.clone(), busy)]),
        report(2, 1_500_000, false, vec![(shop, answering(expired))]),
        report(3, 1_600_000, false, vec![(till, answering(draining))]),
        report(4, 2_000_000, false, Vec::new()),
    ]
}

#[test]
fn what_was_frozen_is_read_for_ever() {
    assert_eq!(Reader::default().take(FROZEN.as_bytes()).unwrap(), frozen());
}

#[test]
fn what_is_written_is_what_was_frozen() {
    let written: Vec<u8> = frozen().iter().flat_map(lines).flatten().collect();
    assert_eq!(String::from_utf8(written).unwrap(), FROZEN);
}

#[test]
fn it_may_come_in_any_pieces() {
    for size in [1, 7, 100] {
        let mut reader = Reader::default();
        let pieces = FROZEN.as_bytes().chunks(size);
        let reports: Vec<Report> = pieces.flat_map(|piece| reader.take(piece).unwrap()).collect();
        assert_eq!(reports, frozen());
    }
}

fn one(hold: &str) -> Reading {
    let sums = r#"{"started":0,"finished":0,"started_at":0,"finished_at":0,"new":1}"#;
    let text = format!(
        r#"{{"version":1,"new":[],"proxy":"p","epoch":1,"sequence":1,"at":1,"full":true,
        "workloads":[["a/b",{{"running":{sums},"waiting":{sums},"new":{{}}{hold}}}]]}}"#
    );
    let line = text.replace('\n', "") + "\n";
    Reader::default().take(line.as_bytes()).unwrap().remove(0).workloads.remove(0).1
}

#[test]
fn what_is_unknown_is_ignored_and_confirms_nothing() {
    assert_eq!(one("").hold, None);
    assert_eq!(one(r#","hold":null"#).hold, None);
    assert_eq!(one(r#","hold":{"id":"h","state":"half-confirmed","new":1}"#).hold, None);
    let confirmed = one(r#","hold":{"id":"h","state":"confirmed","new":1}"#).hold.unwrap();
    assert_eq!(confirmed.state, HoldState::Confirmed);
}

#[test]
fn what_was_added_comes_back_and_is_nothing_where_it_isnt_said() {
    assert!(!one("").presumed && one(r#","presumed":true"#).presumed);
    let mut sent = frozen().remove(0);
    sent.workloads[0].1.presumed = true;
    assert_eq!(Reader::default().take(&lines(&sent).concat()).unwrap(), [sent]);
}

#[test]
fn what_cant_be_read_is_told_apart() {
    let read = |text: &str| Reader::default().take(text.as_bytes()).unwrap_err();
    assert_eq!(read("{\"version\":2,\"shape\":[]}\n"), Unreadable::Version(2));
    assert!(matches!(read("[]\n"), Unreadable::Malformed(_)));
    assert!(matches!(read("\n"), Unreadable::Malformed(_)));
    assert!(matches!(read("{\"version\":1}\n"), Unreadable::Malformed(_)));
    assert_eq!(read(&"x".repeat(LINE + 1)), Unreadable::LongLine);
    let first = FROZEN.lines().next().unwrap();
    let begun = first.replace("\"full\":true", "\"full\":true,\"more\":true");
    assert_eq!(
        read(&format!("{begun}\n{}\n", first.replace("\"sequence\":1", "\"sequence\":2"))),
        Unreadable::Torn
    );
}

#[test]
fn a_report_that_never_ends_is_given_up() {
    let line = |pad: usize| {
        let pad = "x".repeat(pad);
        let head = r#"{"version":1,"proxy":"p","epoch":1,"sequence":1,"at":1,"full":true,"more":true"#;
        format!("{head},\"pad\":\"{pad}\",\"workloads\":[]}}\n")
    };
    let long = line(LINE - 1024);
    let mut reader = Reader::default();
    let ended = (0..WHOLE / long.len() + 1).find_map(|_| reader.take(long.as_bytes()).err());
    assert_eq!(ended, Some(Unreadable::LongReport));
}
