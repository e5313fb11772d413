//! When a write that was refused may be made again. Pure; knows no workload.

use std::time::Duration;

use kaos_core::Moment;
use kaos_core::platform::Refusal;

/// A platform that asks to wait for longer is asked again after this.
const LONGEST_REFUSAL: Duration = Duration::from_secs(60);

/// Waiting after a refusal, longer each time in a row.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    /// Not before.
    pub(crate) after: Moment,
    failures: u32,
    /// The refusal was about what the platform showed at this version: something newer from it ends the wait.
    stale: Option<u64>,
}

impl Retry {
    /// Takes the result of a write that was begun on a picture of version `shown`.
    pub(crate) fn took(&mut self, refusal: Option<&Refusal>, shown: u64, now: Moment) {
        let Some(refusal) = refusal else {
            *self = Retry::default();
            return;
        };
        let (first, longest) = match refusal {
            Refusal::Conflict => (Duration::from_millis(50), Duration::from_secs(1)),
            Refusal::Gone => (Duration::from_secs(5), Duration::from_secs(60)),
            Refusal::Failed(_) => (Duration::from_millis(200), Duration::from_secs(5)),
            // As told, however often.
            Refusal::Later { after, .. } => {
                let after = (*after).clamp(Duration::from_millis(50), LONGEST_REFUSAL);
                (after, after)
            }
        };
        self.after = now + (first * 2_u32.pow(self.failures.min(10))).min(longest);
        self.failures += 1;
        self.stale = matches!(refusal, Refusal::Conflict | Refusal::Gone).then_some(shown);
    }

    /// The platform shows this version.
    pub(crate) fn saw(&mut self, version: u64, now: Moment) {
        if self.stale.is_some_and(|stale| version > stale) {
            self.after = self.after.min(now);
        }
    }
}
