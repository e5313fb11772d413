//! Writes every change of a count to the log, as the journal has it.

use kaos_autoscaler::journal::{Entry, Journal, Outcome};
use kaos_core::WorkloadId;
use tokio::sync::mpsc;

use crate::admin;
use crate::clock::Clock;

/// Changes on their way to the log; more at once are left to the journal.
const QUEUED: usize = 256;

/// A journal whose changes are written to the log, for as long as it is there.
pub(crate) fn journal(clock: Clock) -> Journal {
    let (transitions, told) = mpsc::channel(QUEUED);
    tokio::spawn(tell(told, clock));
    Journal::telling(transitions)
}

async fn tell(mut transitions: mpsc::Receiver<(WorkloadId, Entry)>, clock: Clock) {
    while let Some((workload, entry)) = transitions.recv().await {
        let line = admin::told(&entry, &clock).to_string();
        let told = entry.told(|moment| clock.rfc3339(moment));
        let because = told.because.word;
        let message = &told.because.sentence;
        match &told.outcome {
            // What the platform refuses is warned of where it refuses; a hold that a request ended is nothing to warn of.
            Outcome::Failed(why) => tracing::info!(
                %workload, from = told.from, to = told.to, because, why, entry = line, "not scaled: {message}"
            ),
            Outcome::Observed(why) => tracing::info!(
                %workload, from = told.from, to = told.to, because, why, entry = line, "would be scaled: {message}"
            ),
            _ => tracing::info!(
                %workload, from = told.from, to = told.to, because, entry = line, "scaled: {message}"
            ),
        }
    }
}
