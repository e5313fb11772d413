//! A report as lines.

use std::mem::take;

use bytes::Bytes;
use kaos_core::{Reading, Report, WorkloadId};
use serde::Serialize;

use super::LINE;

/// What comes around the readings of a line, at most.
const FRAME: usize = 64;

#[derive(Serialize)]
struct Head<'a> {
    version: u32,
    proxy: &'a str,
    epoch: u64,
    sequence: u64,
    at: u64,
    full: bool,
}

/// The lines of `report`; at least one.
pub(crate) fn lines(report: &Report) -> Vec<Bytes> {
    let head = Head {
        version: report.version,
        proxy: report.proxy.as_str(),
        epoch: report.epoch,
        sequence: report.sequence,
        at: report.at,
        full: report.full,
    };
    // Strings and numbers always have a form.
    let head = serde_json::to_string(&head).unwrap_or_default();
    let head = head.trim_end_matches('}');
    let room = LINE.saturating_sub(head.len() + FRAME);
    let (mut lines, mut readings) = (Vec::new(), String::new());
    for (id, reading) in &report.workloads {
        let text = shown(id, reading, room);
        if !readings.is_empty() && readings.len() + 1 + text.len() > room {
            lines.push(line(head, true, &take(&mut readings)));
        }
        if !readings.is_empty() {
            readings.push(',');
        }
        readings.push_str(&text);
    }
    lines.push(line(head, false, &readings));
    lines
}

fn line(head: &str, more: bool, readings: &str) -> Bytes {
    let more = if more { ",\"more\":true" } else { "" };
    Bytes::from(format!("{head}{more},\"workloads\":[{readings}]}}\n"))
}

/// One reading. One that no line has room for goes without its replicas and without its answer to a hold: what doesn't
/// confirm is never taken away.
fn shown(id: &WorkloadId, reading: &Reading, room: usize) -> String {
    let text = serde_json::to_string(&(id, reading)).unwrap_or_default();
    if text.len() <= room {
        return text;
    }
    let less = Reading { hold: None, endpoints: Vec::new(), ..reading.clone() };
    serde_json::to_string(&(id, less)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use kaos_core::report::{EndpointLoad, HoldAnswer, HoldState, REPORT_VERSION};
    use kaos_core::{EndpointUid, HoldId, ProxyId};

    use super::super::read::Reader;
    use super::*;

    fn report(workloads: Vec<(WorkloadId, Reading)>) -> Report {
        Report {
            version: REPORT_VERSION,
            proxy: ProxyId::new("p"),
            epoch: 7,
            sequence: 3,
            at: 9,
            full: true,
            workloads,
        }
    }

    fn loaded(name: &str, endpoints: usize) -> (WorkloadId, Reading) {
        let load = |at| EndpointLoad { uid: EndpointUid::new(&format!("{at:036}")), in_flight: 1 };
        let hold = HoldAnswer { id: HoldId::new("h"), state: HoldState::Confirmed, empty: Vec::new() };
        let reading = Reading {
            endpoints: (0..endpoints).map(load).collect(),
            hold: Some(hold),
            seen: 5,
            ..Reading::default()
        };
        (WorkloadId::new("shops", name), reading)
    }

    #[test]
    fn a_long_report_goes_over_lines_and_comes_back_as_one() {
        let sent = report((0..40).map(|at| loaded(&format!("shop-{at}"), 2000)).collect());
        let lines = lines(&sent);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= LINE));
        let mut reader = Reader::default();
        let mut got = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            got.extend(reader.take(line).unwrap());
            assert_eq!(got.is_empty(), at + 1 < lines.len());
        }
        assert_eq!(got, [sent]);
    }

    #[test]
    fn a_reading_that_no_line_has_room_for_confirms_nothing() {
        let lines = lines(&report(vec![loaded("huge", 40_000), loaded("small", 1)]));
        assert!(lines.iter().all(|line| line.len() <= LINE));
        let got = Reader::default().take(&lines.concat()).unwrap();
        let readings: Vec<&Reading> = got[0].workloads.iter().map(|(_, reading)| reading).collect();
        assert_eq!((&readings[0].hold, readings[0].seen), (&None, 5));
        assert!(readings[1].hold.is_some());
    }

    #[test]
    fn a_report_of_nothing_is_a_line_too() {
        let lines = lines(&report(Vec::new()));
        let text = r#"{"version":1,"proxy":"p","epoch":7,"sequence":3,"at":9,"full":true,"workloads":[]}"#;
        assert_eq!(lines, [format!("{text}\n")]);
    }
}
