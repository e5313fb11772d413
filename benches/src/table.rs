//! The result for people at a terminal: a row for each proxy and case, and ratios to the best peer.

use std::fmt::Write;

use crate::attack::Attacked;
use crate::memory::Taken;
use crate::round::{DISTURBED, Measured};
use crate::soak::Soaked;

/// CPU per request, throughput and latency.
pub(crate) fn text(measured: &[Measured]) -> String {
    let mut text = format!(
        "\n{:<18} {:<15} {:>9} {:>15} {:>7} {:>7} {:>6} {:>8} {:>8} {:>8} {:>6} {:>6} {:>9} {:>8} {:>8}\n",
        "case",
        "proxy",
        "CPU/req",
        "min - max",
        "user",
        "system",
        "ratio",
        "req/s",
        "p50 ms",
        "p99 ms",
        "proxy",
        "load",
        "half",
        "p50 ms",
        "p99 ms"
    );
    for row in measured {
        let least = row.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = row.rounds.iter().copied().fold(0.0, f64::max);
        let ratio =
            ratio(measured, row, |row| row.cpu_us).map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
        let _ = write!(
            text,
            "{:<18} {:<15} {:>6.1} µs {:>15} {:>7.1} {:>7.1} {ratio:>6} {:>8.0} {:>8.2} {:>8.2} {:>5.0}% {:>5.0}%",
            row.case.to_string(),
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
        if let Some(half) = &row.half {
            let _ = write!(text, " {:>7.0}/s {:>8.2} {:>8.2}", half.rate, half.p50_ms, half.p99_ms);
        }
        text.push('\n');
    }
    text.push_str(
        "CPU/req: of the proxy's processes, user + system; ratio: to the peer with the least; proxy, load: how busy their \
         cores were; half: an open loop at half of what the second best can do, or what needs two fifths of the load's core\n",
    );
    let disturbed = measured.iter().filter(|row| row.proxy).map(|row| row.disturbed).fold(0.0, f64::max);
    if disturbed > DISTURBED {
        let share = disturbed * 100.0;
        let _ = writeln!(
            text,
            "DISTURBED: other programs had up to {share:.0} % of the proxy's core; repeat on a quiet machine"
        );
    }
    text
}

/// Memory of each connection or request.
pub(crate) fn memory(taken: &[Taken]) -> String {
    let mut text = String::new();
    for row in taken {
        let _ = writeln!(
            text,
            "{:<22} {:<15} {:>6.1} KB each ({} of them: {:.1} to {:.1} MB)",
            row.what, row.peer, row.each_kb, row.count, row.before_mb, row.after_mb
        );
    }
    text
}

/// What honest requests wait for beside attackers.
pub(crate) fn attacked(rows: &[Attacked]) -> String {
    let mut text = String::new();
    for row in rows {
        let _ = writeln!(
            text,
            "{:<36} {:<15} honest p99 {:>7.2} ms, quiet {:>6.2} ({:.2}x); {:>6.0} attacks/s, {:>6.1} MB at most",
            row.attack,
            row.peer,
            row.attacked_ms,
            row.quiet_ms,
            row.attacked_ms / row.quiet_ms,
            row.begun,
            row.most_mb
        );
    }
    text
}

/// What came of everything at once.
pub(crate) fn soaked(all: &[Soaked]) -> String {
    let mut text = String::new();
    for soaked in all {
        for line in &soaked.requests {
            let _ = writeln!(
                text,
                "{:<20} {:>10} right {:>7} refused {:>7} broken {:>5} wrong",
                line.kind, line.right, line.refused, line.broken, line.wrong
            );
        }
        for (why, times) in &soaked.broken {
            let _ = writeln!(text, "broken {times:>6} x {why}");
        }
        let [first, second] = soaked.halves_mb;
        let _ = writeln!(
            text,
            "{:.0} s; {} replicas killed, {} certificates and {} configurations replaced; memory {first:.1} MB in the first half, \
             {second:.1} in the second ({:+.1} %)",
            soaked.seconds,
            soaked.killed,
            soaked.certificates,
            soaked.configurations,
            (second / first - 1.0) * 100.0
        );
    }
    text
}

/// `row`'s figure as a ratio to the best of the peers in the same case; a peer that is the best itself: 1.
pub(crate) fn ratio(measured: &[Measured], row: &Measured, figure: fn(&Measured) -> f64) -> Option<f64> {
    let peers = measured.iter().filter(|peer| peer.case == row.case && peer.proxy && peer.peer != "kaos");
    let best = peers.map(figure).filter(|figure| *figure > 0.0).fold(f64::INFINITY, f64::min);
    (row.proxy && best.is_finite()).then(|| figure(row) / best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Case;

    fn row(case: &str, peer: &str, cpu_us: f64) -> Measured {
        Measured {
            case: Case::parse(case).unwrap(),
            peer: peer.into(),
            proxy: peer != "direct",
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
            half: None,
        }
    }

    #[test]
    fn ratios_are_to_the_best_peer_of_the_same_case() {
        let rows = [
            row("64@64", "kaos", 9.0),
            row("64@64", "nginx 1", 18.0),
            row("64@64", "nginx 2", 36.0),
            row("64@64", "direct", 0.0),
            row("64@256", "nginx 1", 9.0),
            row("tls:64@64", "kaos", 9.0),
        ];
        let ratios: Vec<Option<f64>> = rows.iter().map(|row| ratio(&rows, row, |row| row.cpu_us)).collect();
        assert_eq!(ratios, [Some(0.5), Some(1.0), Some(2.0), None, Some(1.0), None]);
        let text = text(&rows);
        assert!(text.contains("17.0 - 20.0") && !text.contains("DISTURBED"), "{text}");
    }
}
