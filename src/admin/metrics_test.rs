use std::time::Duration;

use kaos_core::snapshot::Replicas;
use kaos_core::{Policy, WorkloadId};
use kaos_proxy::{Handshakes, Histogram, WorkloadTotals};

use super::super::exposition::tests::read;
use super::*;

fn figures() -> Figures {
    let id = WorkloadId::new("local", "shop");
    let mut counts = Counts {
        codes: vec![(499, 1), (200, 5)],
        rejected: vec![("queue-full", 2)],
        retries: 6,
        ..Counts::default()
    };
    counts.running.start(5);
    counts.durations = Histogram { buckets: [1; 16], above: 2, sum: 3_500_000 };
    counts.cold_starts = Histogram { buckets: [2; 20], above: 0, sum: 1 };
    counts.phases = [1_000, 2_000, 3_000, 500_000];
    counts.cold_requests = 40;
    let mut totals = Totals {
        http1_connections: 7,
        access_log_dropped: 3,
        panics: 3,
        delays: Histogram { above: 4, ..Histogram::default() },
        ..Totals::default()
    };
    totals.handshakes = Handshakes { full: 5, resumed: 4, failed: 6 };
    totals.strays.rejected.push(("no-route", 9));
    totals.workloads.insert(
        id.clone(),
        WorkloadTotals { counts, waiting: 4, upstream_idle: 3, ..WorkloadTotals::default() },
    );
    let mut workload = Workload::new(id, Policy::local(1));
    workload.replicas = Replicas { desired: 3, ready: 2, starting: 1 };
    let decided = Decided {
        decisions: vec![("wake", 2)],
        prewarms: Prewarms { used: 7, unused: 1 },
        busy: Duration::from_millis(1500),
        ..Decided::default()
    };
    Figures {
        totals: Some(totals),
        workloads: Some(vec![(Arc::new(workload), decided)]),
        written: Some(Written { choices: [6, 1, 0], dropped_events: 8 }),
        certificates: Some(Certificates { expiries: vec![("shop.crt".into(), 99)], refused: 3 }),
        invalid: 2,
        heard: vec![("proxy-1".into(), 1.5)],
        began: 1.0,
        process: process(),
    }
}

const SHOP: &str = r#"namespace="local",workload="shop""#;

#[test]
fn the_page_says_what_was_counted() {
    let (_, samples) = read(&write(&figures(), Format::Text), Format::Text);
    for (series, value) in [
        (r#"kaos_replica_choices_total{outcome="taken"}"#.into(), 6.0),
        (r#"kaos_replica_choices_total{outcome="other"}"#.into(), 1.0),
        ("kaos_dropped_events_total".into(), 8.0),
        (format!(r#"kaos_requests_total{{{SHOP},code="200"}}"#), 5.0),
        (format!(r#"kaos_requests_total{{{SHOP},code="499"}}"#), 1.0),
        (format!(r#"kaos_request_duration_seconds_bucket{{{SHOP},le="60"}}"#), 16.0),
        (format!("kaos_request_duration_seconds_count{{{SHOP}}}"), 18.0),
        (format!("kaos_request_duration_seconds_sum{{{SHOP}}}"), 3.5),
        (format!("kaos_requests_in_flight{{{SHOP}}}"), 1.0),
        (format!("kaos_requests_waiting{{{SHOP}}}"), 4.0),
        (format!(r#"kaos_cold_start_seconds_bucket{{{SHOP},le="600"}}"#), 40.0),
        (format!(r#"kaos_cold_start_phase_seconds_sum{{{SHOP},phase="first_byte"}}"#), 0.5),
        (format!(r#"kaos_cold_start_phase_seconds_count{{{SHOP},phase="decide"}}"#), 40.0),
        (format!("kaos_cold_requests_total{{{SHOP}}}"), 40.0),
        (format!(r#"kaos_rejected_requests_total{{{SHOP},reason="queue-full"}}"#), 2.0),
        (r#"kaos_rejected_requests_total{namespace="",workload="",reason="no-route"}"#.into(), 9.0),
        (format!("kaos_retries_total{{{SHOP}}}"), 6.0),
        (format!("kaos_replicas_desired{{{SHOP}}}"), 3.0),
        (format!("kaos_replicas_ready{{{SHOP}}}"), 2.0),
        (format!("kaos_replicas_starting{{{SHOP}}}"), 1.0),
        (format!(r#"kaos_replica_seconds_total{{{SHOP},use="busy"}}"#), 1.5),
        (format!(r#"kaos_decisions_total{{{SHOP},because="wake"}}"#), 2.0),
        (format!(r#"kaos_prewarms_total{{{SHOP},used="true"}}"#), 7.0),
        (format!(r#"kaos_prewarms_total{{{SHOP},used="false"}}"#), 1.0),
        (format!(r#"kaos_upstream_connections{{{SHOP},state="idle"}}"#), 3.0),
        (r#"kaos_connections{protocol="http1"}"#.into(), 7.0),
        ("kaos_access_log_dropped_total".into(), 3.0),
        ("kaos_panics_total".into(), 3.0),
        ("kaos_worker_delay_seconds_count".into(), 4.0),
        (r#"kaos_report_timestamp_seconds{proxy="proxy-1"}"#.into(), 1.5),
        (r#"kaos_tls_handshakes_total{outcome="full"}"#.into(), 5.0),
        (r#"kaos_tls_handshakes_total{outcome="resumed"}"#.into(), 4.0),
        (r#"kaos_tls_handshakes_total{outcome="failed"}"#.into(), 6.0),
        (r#"kaos_tls_certificate_expiry_timestamp_seconds{source="shop.crt"}"#.into(), 99.0),
        ("kaos_tls_certificate_errors_total".into(), 3.0),
        ("kaos_invalid_workloads".into(), 2.0),
        (format!(r#"kaos_build_info{{version="{VERSION}",revision="{REVISION}"}}"#), 1.0),
    ] {
        assert_eq!(samples.get(&series), Some(&value), "{series}");
    }
    assert!(samples["process_resident_memory_bytes"] > 0.0);
}

#[test]
fn both_formats_are_strictly_written_and_say_the_same() {
    let (text, open) = (write(&figures(), Format::Text), write(&figures(), Format::OpenMetrics));
    let ((families, samples), (_, others)) = (read(&text, Format::Text), read(&open, Format::OpenMetrics));
    assert_eq!(families["kaos_requests_total"], "counter");
    assert_eq!(families["kaos_cold_start_phase_seconds_sum"], "counter");
    let plain = |series: &&String| !series.contains("le=") && !series.starts_with("process_");
    let mut one: Vec<_> = samples.iter().filter(|(series, _)| plain(series)).collect();
    let mut other: Vec<_> = others.iter().filter(|(series, _)| plain(series)).collect();
    one.sort_by_key(|(series, _)| *series);
    other.sort_by_key(|(series, _)| *series);
    assert_eq!(one, other);
}

#[test]
fn without_a_workload_the_page_is_still_sound() {
    let empty = Figures {
        totals: Some(Totals::default()),
        workloads: Some(Vec::new()),
        heard: Vec::new(),
        ..figures()
    };
    for format in [Format::Text, Format::OpenMetrics] {
        read(&write(&empty, format), format);
    }
}

#[test]
fn a_process_says_only_what_it_knows() {
    let page = |figures: Figures| write(&figures, Format::Text);
    let proxy = page(Figures { workloads: None, ..figures() });
    assert!(proxy.contains("kaos_requests_total") && !proxy.contains("kaos_replicas_desired"));
    let autoscaler = page(Figures { totals: None, ..figures() });
    assert!(autoscaler.contains("kaos_replicas_desired") && !autoscaler.contains("kaos_requests_total"));
    assert!(autoscaler.contains("kaos_report_timestamp_seconds"));
}

/// Which metrics there are, and of which type, is what the documents say.
#[test]
fn every_metric_is_documented() {
    let documented: std::collections::BTreeMap<&str, &str> = include_str!("../../docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or_default()))
        .collect();
    let (families, _) = read(&write(&figures(), Format::Text), Format::Text);
    let ours = |name: &&str| name.starts_with("kaos_");
    let exported: std::collections::BTreeMap<&str, &str> =
        families.iter().map(|(name, kind)| (&**name, &**kind)).filter(|(name, _)| ours(name)).collect();
    assert_eq!(exported, documented);
}
