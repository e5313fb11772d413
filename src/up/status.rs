//! The live line on a terminal: what runs, what waits, what was decided last.

use std::sync::{Arc, Weak};
use std::time::Duration;

use kaos_autoscaler::Journal;
use kaos_autoscaler::journal::Entry;
use kaos_core::{Decision, Moment, Snapshot, WorkloadId};
use kaos_proxy::Proxy;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::admin::loads;
use crate::clock::Clock;
use crate::process::terminal::Terminal;

/// Between two pictures.
const EVERY: Duration = Duration::from_millis(500);

/// What the line is made from.
pub(crate) struct Status {
    /// Where it is shown.
    pub(crate) terminal: Terminal,
    /// What the platform says is.
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What was counted; gone once the proxy is.
    pub(crate) proxy: Weak<Proxy>,
    /// What was decided.
    pub(crate) journal: Arc<Journal>,
    /// Tells ages.
    pub(crate) clock: Clock,
}

/// What a line says in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    functions: usize,
    ready: u32,
    starting: u32,
    in_flight: u64,
    waiting: u64,
}

impl Status {
    /// Shows the line until the proxy is gone. Does nothing where there is no terminal.
    pub(crate) async fn run(self) {
        if !self.terminal.is_live() {
            return;
        }
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let Some(proxy) = self.proxy.upgrade() else { return };
            let totals = proxy.gather().await;
            drop(proxy);
            let snapshot = self.snapshots.borrow().clone();
            let mut counts = Counts { functions: snapshot.workloads.len(), ..Counts::default() };
            for workload in snapshot.workloads.iter() {
                counts.ready += workload.replicas.ready;
                counts.starting += workload.replicas.starting;
            }
            for load in loads(&totals).values() {
                counts.in_flight += load.in_flight;
                counts.waiting += load.waiting;
            }
            let last = self.last_change();
            self.terminal.show(&line(counts, last.as_deref()));
        }
    }

    /// The last change of a count, over all workloads.
    fn last_change(&self) -> Option<String> {
        let scales = |entry: &Entry| matches!(entry.decision, Decision::Scale { .. });
        let newest = |(id, book): (WorkloadId, Arc<kaos_autoscaler::journal::Book>)| {
            Some((id, book.entries().into_iter().find(scales)?))
        };
        let (id, entry) =
            self.journal.all().into_iter().filter_map(newest).max_by_key(|(_, entry)| entry.at)?;
        Some(change(&id, &entry, self.clock.now()))
    }
}

fn change(id: &WorkloadId, entry: &Entry, now: Moment) -> String {
    let from = entry.observation.replicas.desired;
    let (to, word) = (entry.decision.aim(from), entry.decision.word());
    format!("{} {from}→{to} {word} {}s ago", id.name(), now.since(entry.at).as_secs())
}

fn line(counts: Counts, last: Option<&str>) -> String {
    let Counts { functions, ready, starting, in_flight, waiting } = counts;
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    let mut text = format!(
        "{functions} function{}, {ready} replica{}",
        plural(functions as u64),
        plural(u64::from(ready))
    );
    if starting > 0 {
        text.push_str(&format!(" (+{starting} starting)"));
    }
    text.push_str(&format!(" · {in_flight} in flight, {waiting} waiting"));
    if let Some(last) = last {
        text.push_str(&format!(" · last: {last}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_runs_and_what_was_decided() {
        let counts = Counts { functions: 1, ready: 2, starting: 0, in_flight: 14, waiting: 0 };
        let text = line(counts, Some("shop 1→2 backlog 3s ago"));
        assert_eq!(text, "1 function, 2 replicas · 14 in flight, 0 waiting · last: shop 1→2 backlog 3s ago");
        let counts = Counts { functions: 2, ready: 1, starting: 1, in_flight: 0, waiting: 7 };
        assert_eq!(line(counts, None), "2 functions, 1 replica (+1 starting) · 0 in flight, 7 waiting");
    }
}
