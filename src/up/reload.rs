//! Takes a changed `kaos.toml` into force: when the file has changed and stays so for a moment, and on SIGHUP.
//!
//! A file that is wrong changes nothing; the line that refuses it is logged.

use std::path::PathBuf;
use std::time::Duration;

use kaos_core::Policy;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::config::{Config, Settings, load};
use crate::mark::Mark;

/// Between two looks at the file. A change must be seen twice: an editor may be in the middle of writing.
const LOOK: Duration = Duration::from_millis(250);

/// What is watched, and how it was read.
pub(crate) struct Watched {
    /// The file.
    pub(crate) file: PathBuf,
    /// Holds where the file says nothing.
    pub(crate) base: Policy,
    /// What flags and the environment say.
    pub(crate) flags: Settings,
    /// What is in force.
    pub(crate) config: Config,
}

impl Watched {
    /// Calls `apply` with each new configuration, for ever. `now` asks for a reading at once.
    pub(crate) async fn run<F>(mut self, mut now: mpsc::Receiver<()>, apply: impl Fn(Config) -> F)
    where
        F: Future<Output = ()>,
    {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut read = Mark::of(&self.file);
        let mut seen = read;
        loop {
            tokio::select! {
                _ = look.tick() => {
                    let present = Mark::of(&self.file);
                    // A file that is gone for a moment is being replaced.
                    let settled = present.is_some() && present == seen;
                    seen = present;
                    if !settled || present == read {
                        continue;
                    }
                    read = present;
                }
                asked = now.recv() => {
                    if asked.is_none() {
                        return;
                    }
                    read = Mark::of(&self.file);
                }
            }
            if self.reload() {
                apply(self.config.clone()).await;
                tracing::info!(
                    functions = self.config.functions.len(),
                    "{} is in force",
                    self.file.display()
                );
            }
        }
    }

    /// Reads the file. Whether functions have changed.
    fn reload(&mut self) -> bool {
        let next = match load(&self.file, &self.base, &self.flags) {
            Ok(next) => next,
            Err(wrong) => {
                tracing::error!(kept = "the running configuration", "{wrong}");
                return false;
            }
        };
        for name in self.config.settings.differing(&next.settings) {
            tracing::warn!("{}: {name} has changed: that takes a restart", self.file.display());
        }
        let changed = next.functions != self.config.functions;
        self.config = next;
        if !changed {
            tracing::info!("{}: no function has changed", self.file.display());
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;

    use super::*;

    const ONE: &str = "[[function]]\nname = \"one\"\ncommand = [\"true\"]\n";

    #[tokio::test(start_paused = true)]
    async fn a_change_is_applied_once_and_a_wrong_file_never() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kaos.toml");
        fs::write(&file, ONE).unwrap();
        let base = Policy::local(2);
        let config = load(&file, &base, &Settings::default()).unwrap();
        let watched = Watched { file: file.clone(), base, flags: Settings::default(), config };
        let applied = Mutex::new(Vec::new());
        let (ask, asked) = mpsc::channel(1);
        let run = watched.run(asked, |config| {
            let names = config.functions.into_iter().map(|one| one.name).collect::<Vec<_>>();
            applied.lock().unwrap().push(names);
            std::future::ready(())
        });
        let steps = async {
            let pause = || tokio::time::sleep(LOOK * 4);
            pause().await;
            fs::write(&file, "[[function]]\nname = \"").unwrap();
            pause().await;
            fs::remove_file(&file).unwrap();
            pause().await;
            fs::write(&file, format!("{ONE}{}", ONE.replace("one", "two"))).unwrap();
            pause().await;
            ask.send(()).await.unwrap();
            pause().await;
            drop(ask);
        };
        tokio::join!(run, steps);
        assert_eq!(*applied.lock().unwrap(), [["one", "two"]]);
    }
}
