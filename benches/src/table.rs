//! The result for people and for programs: a row for each proxy and case, and ratios to Kaos.

use std::fmt::Write;

use serde::Serialize;

use crate::machine::Machine;
use crate::round::Measured;

/// All of a run, as JSON.
#[derive(Serialize)]
pub(crate) struct Result {
    pub(crate) machine: Machine,
    pub(crate) measured: Vec<Measured>,
}

/// Share of the proxy's core beyond which other programs spoil its caches, and with them the figures.
const DISTURBED: f64 = 0.05;

/// The table, and below it Kaos's CPU per request as a ratio of each other proxy's.
pub(crate) fn text(measured: &[Measured]) -> String {
    let mut text = format!(
        "\n{:>8} {:>6} {:<8} {:>8} {:>15} {:>7} {:>7} {:>9} {:>8} {:>8} {:>6} {:>6}\n",
        "body",
        "conns",
        "proxy",
        "CPU/req",
        "min - max",
        "user",
        "system",
        "req/s",
        "p50 ms",
        "p99 ms",
        "proxy",
        "load"
    );
    for row in measured {
        let least = row.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = row.rounds.iter().copied().fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "{:>8} {:>6} {:<8} {:>5.1} µs {:>15} {:>7.1} {:>7.1} {:>9.0} {:>8.2} {:>8.2} {:>5.0}% {:>5.0}%",
            row.case.size,
            row.case.connections,
            row.peer,
            row.cpu_us,
            format!("{least:.1} - {most:.1}"),
            row.user_us,
            row.system_us,
            row.requests_per_second,
            row.p50_ms,
            row.p99_ms,
            row.proxy_core_busy * 100.0,
            row.load_core_busy * 100.0,
        );
    }
    text.push_str(
        "CPU/req: of the proxy's processes, user + system; proxy, load: how busy their cores were\n",
    );
    let disturbed =
        measured.iter().filter(|row| row.peer != "direct").map(|row| row.disturbed).fold(0.0, f64::max);
    if disturbed > DISTURBED {
        let share = disturbed * 100.0;
        let _ = writeln!(
            text,
            "DISTURBED: other programs had up to {share:.0} % of the proxy's core; repeat on a quiet machine"
        );
    }
    for kaos in measured.iter().filter(|row| row.peer == "kaos") {
        let same = |row: &&Measured| {
            (row.case.size, row.case.connections) == (kaos.case.size, kaos.case.connections)
                && row.cpu_us > 0.0
        };
        for other in measured.iter().filter(same).filter(|row| row.peer != "kaos") {
            let (size, connections, ratio) =
                (kaos.case.size, kaos.case.connections, kaos.cpu_us / other.cpu_us);
            let _ = writeln!(
                text,
                "kaos / {:<8} {size:>8} B, {connections:>4} connections: {ratio:.2}",
                other.peer
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::round::Case;

    fn row(peer: &'static str, cpu_us: f64, connections: usize) -> Measured {
        Measured {
            case: Case { size: 64, connections },
            peer,
            rounds: vec![cpu_us - 1.0, cpu_us, cpu_us + 2.0],
            cpu_us,
            user_us: 1.0,
            system_us: 2.0,
            requests_per_second: 1000.0,
            p50_ms: 0.5,
            p99_ms: 1.5,
            proxy_core_busy: 0.99,
            load_core_busy: 0.5,
            disturbed: 0.01,
        }
    }

    #[test]
    fn ratios_are_of_the_same_case_and_of_what_used_cpu() {
        let text = text(&[
            row("kaos", 9.0, 64),
            row("nginx", 18.0, 64),
            row("direct", 0.0, 64),
            row("nginx", 9.0, 256),
        ]);
        let ratios: Vec<&str> = text.lines().filter(|line| line.starts_with("kaos /")).collect();
        assert_eq!(ratios, ["kaos / nginx          64 B,   64 connections: 0.50"]);
        assert!(text.contains("17.0 - 20.0") && !text.contains("DISTURBED"), "{text}");
    }
}
