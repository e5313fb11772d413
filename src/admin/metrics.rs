//! `/metrics`: the only file here that knows metric names. Everything is gathered when it is asked for.
//!
//! Labels are finite: workloads come from the snapshot, codes are three digits, reasons are words of the code. A
//! histogram that has observed nothing is left out: of a long tail of workloads most are never called.

use std::sync::Arc;

use kaos_autoscaler::journal::Counts as Decided;
use kaos_core::Workload;
use kaos_core::learned::Prewarms;
use kaos_proxy::{COLD_BOUNDS, Counts, DURATION_BOUNDS, Histogram, Totals};

use super::exposition::{Format, Kind, Observed, Page, seconds};
use super::problem::Problem;
use super::process::{Process, process};
use super::{Desk, Written};
use crate::instance::{REVISION, VERSION};

/// Everything that a page is written from.
pub(crate) struct Figures {
    /// What the data line has counted, if this process is one.
    pub(crate) totals: Option<Totals>,
    /// The workloads and what was decided about each, if this process decides.
    pub(crate) workloads: Option<Vec<(Arc<Workload>, Decided)>>,
    /// When each proxy was last heard, in seconds since 1970.
    pub(crate) heard: Vec<(String, f64)>,
    /// What became of writes to a cluster, if this process writes to one.
    pub(crate) written: Option<Written>,
    /// The certificates that clients with TLS are shown, if any come.
    pub(crate) certificates: Option<Certificates>,
    /// How many workloads are configured wrongly.
    pub(crate) invalid: usize,
    /// When this process began, in seconds since 1970.
    pub(crate) began: f64,
    /// What the kernel says.
    pub(crate) process: Process,
}

/// The certificates in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Certificates {
    /// When each expires, in seconds since 1970, by its source.
    pub(crate) expiries: Vec<(String, u64)>,
    /// How often one that was wrong was refused.
    pub(crate) refused: u64,
}

/// The whole page.
pub(crate) async fn page(desk: &Desk, format: Format) -> Result<String, Problem> {
    let totals = desk.totals().await?;
    let snapshot = desk.snapshots.borrow().clone();
    let now = desk.clock.now();
    let decided = |workload: &Arc<Workload>| {
        let book = desk.book(&workload.id);
        (workload.clone(), book.map(|book| book.counts(now)).unwrap_or_default())
    };
    let figures = Figures {
        totals,
        workloads: desk.journal.as_ref().map(|_| snapshot.workloads.iter().map(decided).collect()),
        heard: desk.heard(),
        written: desk.written.as_ref().map(|written| written()),
        certificates: desk
            .tls
            .as_ref()
            .map(|kept| Certificates { expiries: kept.expiries(), refused: kept.refused() }),
        invalid: desk.remarks.as_ref().map_or(0, |remarks| remarks.invalid()),
        began: desk.clock.began().as_duration().as_secs_f64(),
        process: process(),
    };
    Ok(write(&figures, format))
}

/// Writes the page.
pub(crate) fn write(figures: &Figures, format: Format) -> String {
    let mut page = Page::new(format);
    if let Some(totals) = &figures.totals {
        requests(&mut page, totals);
        cold_starts(&mut page, totals);
        rejections(&mut page, totals);
        connections(&mut page, totals);
    }
    if let (Some(certificates), Some(totals)) = (&figures.certificates, &figures.totals) {
        tls(&mut page, certificates, totals);
    }
    if let Some(workloads) = &figures.workloads {
        replicas(&mut page, workloads);
        decisions(&mut page, workloads);
    }
    if let Some(written) = &figures.written {
        writes(&mut page, written);
    }
    of_kaos(&mut page, figures);
    of_process(&mut page, figures);
    page.finish()
}

/// Labels of a workload, then `more`.
fn labels<'a>(id: &'a kaos_core::WorkloadId, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [("namespace", id.namespace()), ("workload", id.name())].iter().chain(more).copied().collect()
}

fn observed<'a, const N: usize>(bounds: &'a [u64; N], histogram: &'a Histogram<N>) -> Observed<'a> {
    Observed { bounds, buckets: &histogram.buckets, above: histogram.above, sum: histogram.sum }
}

fn requests(page: &mut Page, totals: &Totals) {
    let mut family = page.family(
        "kaos_requests_total",
        Kind::Counter,
        "Requests that have ended, by status; 499: the client left before its answer began.",
    );
    for (id, totals) in &totals.workloads {
        let mut codes = totals.counts.codes.clone();
        codes.sort_unstable();
        for (code, count) in codes {
            family.sample(&labels(id, &[("code", &format!("{code:03}"))]), count);
        }
    }
    let histogram = |page: &mut Page, name: &str, help: &str, of: fn(&Counts) -> &Histogram<16>| {
        let mut family = page.family(name, Kind::Histogram, help);
        for (id, totals) in totals.workloads.iter().filter(|(_, totals)| of(&totals.counts).count() > 0) {
            family.histogram(&labels(id, &[]), &observed(&DURATION_BOUNDS, of(&totals.counts)));
        }
    };
    histogram(
        page,
        "kaos_request_duration_seconds",
        "From a request's arrival to the last byte of its answer.",
        |counts| &counts.durations,
    );
    histogram(
        page,
        "kaos_queue_wait_seconds",
        "Waits for a replica, of the requests that waited.",
        |counts| &counts.queue_waits,
    );
    let help = "Times that a request was sent once more, as a connection to a replica had failed it.";
    let mut family = page.family("kaos_retries_total", Kind::Counter, help);
    for (id, totals) in &totals.workloads {
        family.sample(&labels(id, &[]), totals.counts.retries);
    }
    let mut family = page.family("kaos_requests_in_flight", Kind::Gauge, "Requests that a replica works on.");
    for (id, totals) in &totals.workloads {
        family.sample(&labels(id, &[]), totals.counts.running.open());
    }
    let mut family = page.family("kaos_requests_waiting", Kind::Gauge, "Requests that wait for a replica.");
    for (id, totals) in &totals.workloads {
        family.sample(&labels(id, &[]), totals.waiting);
    }
}

fn cold_starts(page: &mut Page, totals: &Totals) {
    let name = "kaos_cold_start_seconds";
    let mut family = page.family(name, Kind::Histogram, "Waits of requests for a replica to start.");
    let cold = || totals.workloads.iter().filter(|(_, totals)| totals.counts.cold_requests > 0);
    for (id, totals) in cold() {
        family.histogram(&labels(id, &[]), &observed(&COLD_BOUNDS, &totals.counts.cold_starts));
    }
    let mut rows = Vec::new();
    for (id, totals) in cold() {
        for (phase, sum) in ["decide", "start", "ready", "first_byte"].iter().zip(totals.counts.phases) {
            rows.push((labels(id, &[("phase", phase)]), seconds(sum), totals.counts.cold_requests));
        }
    }
    page.sums(
        "kaos_cold_start_phase_seconds",
        "Phases of the waits for a start: sums, and how many there were.",
        &rows,
    );
    let name = "kaos_cold_requests_total";
    let mut family = page.family(name, Kind::Counter, "Requests that waited for a replica to start.");
    for (id, totals) in &totals.workloads {
        family.sample(&labels(id, &[]), totals.counts.cold_requests);
    }
}

fn rejections(page: &mut Page, totals: &Totals) {
    let mut family = page.family(
        "kaos_rejected_requests_total",
        Kind::Counter,
        "Requests that Kaos answered itself, by reason; namespace and workload are empty where none was found.",
    );
    for (id, totals) in &totals.workloads {
        for (reason, count) in &totals.counts.rejected {
            family.sample(&labels(id, &[("reason", reason)]), count);
        }
    }
    for (reason, count) in &totals.strays.rejected {
        family.sample(&[("namespace", ""), ("workload", ""), ("reason", reason)], count);
    }
}

fn replicas(page: &mut Page, workloads: &[(Arc<Workload>, Decided)]) {
    let mut gauge = |name: &str, help: &str, of: fn(&Workload) -> u32| {
        let mut family = page.family(name, Kind::Gauge, help);
        for (workload, _) in workloads {
            family.sample(&labels(&workload.id, &[]), of(workload));
        }
    };
    gauge("kaos_replicas_desired", "Replicas that were asked for.", |workload| workload.replicas.desired);
    gauge("kaos_replicas_ready", "Replicas that answer.", |workload| workload.replicas.ready);
    gauge("kaos_replicas_starting", "Replicas that were begun and aren't ready.", |workload| {
        workload.replicas.starting
    });
    let mut family = page.family(
        "kaos_replica_seconds_total",
        Kind::Counter,
        "Time that replicas ran, with requests and without.",
    );
    for (workload, decided) in workloads {
        family.sample(&labels(&workload.id, &[("use", "busy")]), decided.busy.as_secs_f64());
        family.sample(&labels(&workload.id, &[("use", "idle")]), decided.idle.as_secs_f64());
    }
    let mut family = page.family(
        "kaos_prewarms_total",
        Kind::Counter,
        "Replicas that were started before anybody asked, and whether a request came while they were there.",
    );
    for (workload, decided) in workloads.iter().filter(|(_, decided)| decided.prewarms != Prewarms::default())
    {
        family.sample(&labels(&workload.id, &[("used", "true")]), decided.prewarms.used);
        family.sample(&labels(&workload.id, &[("used", "false")]), decided.prewarms.unused);
    }
}

fn decisions(page: &mut Page, workloads: &[(Arc<Workload>, Decided)]) {
    let mut family = page.family(
        "kaos_decisions_total",
        Kind::Counter,
        "Decisions by their reason; equal ones in a row count once.",
    );
    for (workload, decided) in workloads {
        for (because, count) in &decided.decisions {
            family.sample(&labels(&workload.id, &[("because", because)]), count);
        }
    }
}

fn writes(page: &mut Page, written: &Written) {
    let mut family = page.family(
        "kaos_replica_choices_total",
        Kind::Counter,
        "Scale-downs for which Kaos chose the replicas to stop, by what the cluster did.",
    );
    for (outcome, count) in ["taken", "other", "unknown"].iter().zip(written.choices) {
        family.sample(&[("outcome", outcome)], count);
    }
    page.family(
        "kaos_dropped_events_total",
        Kind::Counter,
        "Events about workloads that weren't written: too many at once, or refused.",
    )
    .sample(&[], written.dropped_events);
}

fn connections(page: &mut Page, totals: &Totals) {
    let mut family = page.family("kaos_upstream_connections", Kind::Gauge, "Connections to replicas.");
    for (id, totals) in &totals.workloads {
        family.sample(&labels(id, &[("state", "idle")]), totals.upstream_idle);
        family.sample(&labels(id, &[("state", "active")]), totals.upstream_active);
    }
    let mut family = page.family("kaos_connections", Kind::Gauge, "Connections of clients.");
    family.sample(&[("protocol", "http1")], totals.http1_connections);
    family.sample(&[("protocol", "http2")], totals.http2_connections);
    page.family(
        "kaos_access_log_dropped_total",
        Kind::Counter,
        "Requests that the access log had no room for: its reader was too slow.",
    )
    .sample(&[], totals.access_log_dropped);
    let help = "How late each worker came to look after its clients: for so long something has kept all else waiting.";
    let mut family = page.family("kaos_worker_delay_seconds", Kind::Histogram, help);
    family.histogram(&[], &observed(&DURATION_BOUNDS, &totals.delays));
    let help = "Connections and streams that a bug of Kaos has ended.";
    page.family("kaos_panics_total", Kind::Counter, help).sample(&[], totals.panics);
}

fn tls(page: &mut Page, certificates: &Certificates, totals: &Totals) {
    let ended = totals.handshakes;
    let help = "Handshakes of TLS that have ended: from nothing, with what was agreed on before, or in vain.";
    let mut family = page.family("kaos_tls_handshakes_total", Kind::Counter, help);
    for (outcome, count) in [("full", ended.full), ("resumed", ended.resumed), ("failed", ended.failed)] {
        family.sample(&[("outcome", outcome)], count);
    }
    let name = "kaos_tls_certificate_expiry_timestamp_seconds";
    let mut family = page.family(name, Kind::Gauge, "When each certificate expires.");
    for (source, at) in &certificates.expiries {
        family.sample(&[("source", source)], at);
    }
    let help = "Certificates that were wrong when they were read; what was there before stayed.";
    page.family("kaos_tls_certificate_errors_total", Kind::Counter, help).sample(&[], certificates.refused);
}

fn of_kaos(page: &mut Page, figures: &Figures) {
    page.family("kaos_invalid_workloads", Kind::Gauge, "Workloads whose configuration is wrong.")
        .sample(&[], figures.invalid);
    let name = "kaos_report_timestamp_seconds";
    let mut family = page.family(name, Kind::Gauge, "When each proxy's last report came.");
    for (proxy, at) in &figures.heard {
        family.sample(&[("proxy", proxy)], at);
    }
    let build = [("version", VERSION), ("revision", REVISION)];
    page.family("kaos_build_info", Kind::Gauge, "What runs; always 1.").sample(&build, 1);
}

fn of_process(page: &mut Page, figures: &Figures) {
    let Process { cpu_seconds, resident_bytes, virtual_bytes, threads, open_fds, max_fds } = figures.process;
    if let Some(cpu) = cpu_seconds {
        let name = "process_cpu_seconds_total";
        page.family(name, Kind::Counter, "User and system time of this process.").sample(&[], cpu);
    }
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory of this process that is resident.", resident_bytes),
        ("process_virtual_memory_bytes", "Address space of this process.", virtual_bytes),
        ("process_threads", "Threads of this process.", threads),
        ("process_open_fds", "Open file descriptors of this process.", open_fds),
        ("process_max_fds", "Most file descriptors that this process may have open.", max_fds),
    ] {
        if let Some(value) = value {
            page.family(name, Kind::Gauge, help).sample(&[], value);
        }
    }
    let name = "process_start_time_seconds";
    page.family(name, Kind::Gauge, "When this process began, in seconds since 1970.")
        .sample(&[], figures.began);
}

#[cfg(test)]
#[path = "metrics_test.rs"]
mod tests;
