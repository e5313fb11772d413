//! Reads certificates again when their files have changed and stay so for a moment. What is wrong then changes nothing, and is
//! said once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::files::Files;
use super::kept::{Kept, Source};
use crate::mark::Mark;

/// Between two looks. A change must be seen twice: the second file of a pair may not be written yet.
const LOOK: Duration = Duration::from_secs(1);

/// What is looked at, and how it was when it was last read.
pub(crate) struct Watch {
    files: Files,
    kept: Arc<Kept>,
    read: BTreeMap<Source, [Mark; 2]>,
    seen: BTreeMap<Source, [Mark; 2]>,
    /// The folder couldn't be read at the last look.
    blind: bool,
}

impl Watch {
    /// Reads everything for the first time. The error says why a pair that was named can't be used; one that was found in
    /// the folder is left out, and that is logged.
    pub(crate) fn begin(files: Files, kept: Arc<Kept>) -> Result<Self, String> {
        let mut read = BTreeMap::new();
        for place in files.places().map_err(|error| format!("the folder of certificates: {error}"))? {
            if let Some(mark) = place.mark() {
                read.insert(place.source.clone(), mark);
            }
            match (kept.put(&place.source, place.read()), &place.source) {
                (Ok(()), _) => {}
                (Err(why), Source::Given(..)) => return Err(why),
                (Err(why), _) => tracing::warn!("left out: {why}"),
            }
        }
        let seen = read.clone();
        Ok(Watch { files, kept, read, seen, blind: false })
    }

    /// Looks for ever.
    pub(crate) async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            self.look();
        }
    }

    fn look(&mut self) {
        let places = match self.files.places() {
            Ok(places) => places,
            Err(error) => {
                if !std::mem::replace(&mut self.blind, true) {
                    tracing::warn!(%error, "the folder of certificates can't be read: those that are there stay");
                }
                return;
            }
        };
        self.blind = false;
        let before = std::mem::take(&mut self.seen);
        for place in &places {
            let Some(mark) = place.mark() else { continue };
            self.seen.insert(place.source.clone(), mark);
            let settled = before.get(&place.source) == Some(&mark);
            if !settled || self.read.get(&place.source) == Some(&mark) {
                continue;
            }
            self.read.insert(place.source.clone(), mark);
            match self.kept.put(&place.source, place.read()) {
                Ok(()) => tracing::info!(certificate = %place.source, "a certificate is in force"),
                Err(why) => tracing::error!(kept = "the certificate that was there, if any", "{why}"),
            }
        }
        // A file that was named and is gone is being replaced; one that was found twice as gone isn't there any more.
        let gone = |source: &Source| {
            matches!(source, Source::Found(_))
                && !before.contains_key(source)
                && !self.seen.contains_key(source)
        };
        for source in self.read.keys().filter(|source| gone(source)).cloned().collect::<Vec<_>>() {
            self.read.remove(&source);
            self.kept.remove(&source);
            tracing::info!(certificate = %source, "a certificate is gone");
        }
    }
}
