//! The result for a page: the machine, the versions, a table for each case, and every configuration as it was.

use std::fmt::Write;

use crate::Report;
use crate::round::Measured;
use crate::table::ratio;

/// All of a run.
pub(crate) fn text(report: &Report) -> String {
    let mut text = format!("# Side by side\n\n`{}`\n\n", report.machine.command);
    for (what, value) in report.machine.lines() {
        let _ = writeln!(text, "- {what}: {value}");
    }
    for note in report.notes.iter().chain(&report.wrong) {
        let _ = writeln!(text, "- {note}");
    }
    text.push_str(
        "\nCPU per request is of the proxy's processes, user + system. Ratios are to the best peer. Half load is an open loop at \
         half of what the second best can do, or what needs two fifths of the load's core.\n",
    );
    let mut cases: Vec<_> = report.measured.iter().map(|row| row.case).collect();
    cases.dedup();
    for case in cases {
        let _ = write!(
            text,
            "\n## {case}\n\n| proxy | CPU per request | ratio | min – max | req/s | p50, p99 at full load | at half load: rate | p50 | p99 | ratio |\n\
             |---|---|---|---|---|---|---|---|---|---|\n"
        );
        for row in report.measured.iter().filter(|row| row.case == case) {
            text.push_str(&line(&report.measured, row));
        }
    }
    if !report.memory.is_empty() {
        text.push_str("\n## Memory\n\n| what | proxy | each | of them | process |\n|---|---|---|---|---|\n");
    }
    for row in &report.memory {
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} KB | {} | {:.1} to {:.1} MB |",
            row.what, row.peer, row.each_kb, row.count, row.before_mb, row.after_mb
        );
    }
    if !report.attacked.is_empty() {
        text.push_str(
            "\n## Beside attackers\n\n| attack | proxy | honest p99, quiet | attacked | ratio | attacks a second | memory at most |\n\
             |---|---|---|---|---|---|---|\n",
        );
    }
    for row in &report.attacked {
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} ms | {:.2} ms | {:.2} | {:.0} | {:.1} MB |",
            row.attack,
            row.peer,
            row.quiet_ms,
            row.attacked_ms,
            row.attacked_ms / row.quiet_ms,
            row.begun,
            row.most_mb
        );
    }
    text.push_str("\n## Configurations\n");
    for peer in report.machine.peers.iter().filter(|peer| !peer.command.is_empty()) {
        let _ = write!(
            text,
            "\n### {}\n\n{}\n\n```\n{}\n```\n\n```\n{}\n```\n",
            peer.name,
            peer.version,
            peer.command,
            peer.configuration.trim_end()
        );
    }
    text
}

fn line(all: &[Measured], row: &Measured) -> String {
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
    let least = row.rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = row.rounds.iter().copied().fold(0.0, f64::max);
    let late = |row: &Measured| row.half.as_ref().map_or(0.0, |half| half.p99_ms);
    let half = row.half.as_ref().map_or_else(
        || "– | – | – | –".to_owned(),
        |half| {
            let ratio = shown(ratio(all, row, late));
            format!("{:.0}/s | {:.2} ms | {:.2} ms | {ratio}", half.rate, half.p50_ms, half.p99_ms)
        },
    );
    format!(
        "| {} | {:.1} µs | {} | {least:.1} – {most:.1} | {:.0} | {:.2}, {:.2} ms | {half} |\n",
        row.peer,
        row.cpu_us,
        shown(ratio(all, row, |row| row.cpu_us)),
        row.requests_per_second,
        row.p50_ms,
        row.p99_ms
    )
}
