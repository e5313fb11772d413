//! One watch: objects of one kind become changes, relists whole, for ever.
//!
//! Errors never empty anything: what was known stays until a whole list takes its place.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::object::Name;
use crate::reduce;
use crate::state::{Change, Part};

/// A watch that says nothing for so long is begun again: the API server ends it, or we do five seconds later.
const WATCH: u32 = 60;

/// A list that makes no progress for so long is begun again.
const LIST: Duration = Duration::from_secs(15);

/// Objects per page of a list: what is held unreduced at one time. A hundred take four megabytes more, which stay.
const PAGE: u32 = 50;

/// What is watched, by the words of its API.
pub(crate) fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH).page_size(PAGE)
}

/// Between two tries of a watch: from 200 ms to 2 s, so that a view is fresh within 5 s of the API server's return.
///
/// Success doesn't shorten it, time does: a watch that always breaks right after its list isn't hammered.
#[derive(Debug)]
pub(crate) struct Patience {
    step: u32,
    last: Instant,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { step: 0, last: Instant::now() }
    }
}

impl Patience {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(2);
    const FORGIVEN: Duration = Duration::from_secs(20);
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        if now.saturating_duration_since(self.last) > Self::FORGIVEN {
            self.step = 0;
        }
        let pause = (Self::FIRST * 2_u32.pow(self.step.min(8))).min(Self::LONGEST);
        self.step += 1;
        self.last = now + pause;
        // All proxies lose an API server in the same instant; they needn't come back in the same one.
        Some(pause.mul_f64(0.5 + fastrand::f64() / 2.0))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {}
}

/// One watch, and what becomes of what it says.
pub(crate) struct Follow<K, T> {
    /// For the log, such as `deployments`.
    pub(crate) what: &'static str,
    pub(crate) api: Api<K>,
    pub(crate) config: watcher::Config,
    /// What is kept of an object.
    pub(crate) reduce: fn(&K) -> Option<T>,
    /// What is said of it.
    pub(crate) change: Box<dyn Fn(Said<T>) -> Change + Send + Sync>,
}

/// What a watch says, before it has a place.
pub(crate) enum Said<T> {
    All(Vec<(Name, T)>),
    One(Name, Option<T>),
}

impl<T> Said<T> {
    /// As a part of the cluster's state, in the scope of the watch.
    pub(crate) fn part(self, scope: Option<&str>) -> Part<T> {
        match self {
            Said::All(all) => Part::All(scope.map(Into::into), all),
            Said::One(name, object) => Part::One(name, object),
        }
    }
}

/// Why a stream of a watch was left.
enum Left {
    /// It stood still.
    Stalled,
    /// Nobody listens any more.
    Unheard,
}

impl<K, T> Follow<K, T>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    T: Send,
{
    /// Runs until nobody listens to `out`.
    pub(crate) async fn run(self, out: mpsc::Sender<Change>) {
        let mut patience = Patience::default();
        while let Left::Stalled = self.stream(&out).await {
            warn!(what = self.what, "a list made no progress for {LIST:?}: it is begun again");
            tokio::time::sleep(patience.next().unwrap_or(Patience::LONGEST)).await;
        }
    }

    async fn stream(&self, out: &mpsc::Sender<Change>) -> Left {
        let mut stream = pin!(watcher(self.api.clone(), self.config.clone()).backoff(Patience::default()));
        let mut list: Option<Vec<(Name, T)>> = Some(Vec::new());
        let mut broken = false;
        loop {
            let event = match &list {
                Some(_) => match timeout(LIST, stream.next()).await {
                    Ok(event) => event,
                    Err(_) => return Left::Stalled,
                },
                None => stream.next().await,
            };
            let event = match event {
                Some(Ok(event)) => event,
                Some(Err(error)) => {
                    self.complain(&error, broken);
                    broken = true;
                    continue;
                }
                // The stream of a watch has no end; were there one, it would be begun again.
                None => return Left::Stalled,
            };
            let Some(said) = self.take(event, &mut list) else { continue };
            if std::mem::take(&mut broken) {
                info!(what = self.what, "the watch goes on");
            }
            if out.send((self.change)(said)).await.is_err() {
                return Left::Unheard;
            }
        }
    }

    fn take(&self, event: Event<K>, list: &mut Option<Vec<(Name, T)>>) -> Option<Said<T>> {
        match event {
            Event::Init => {
                *list = Some(Vec::new());
                None
            }
            Event::InitApply(object) => {
                let kept = reduce::name(&object).zip((self.reduce)(&object));
                list.get_or_insert_default().extend(kept);
                None
            }
            Event::InitDone => Some(Said::All(list.take().unwrap_or_default())),
            Event::Apply(object) => Some(Said::One(reduce::name(&object)?, (self.reduce)(&object))),
            Event::Delete(object) => Some(Said::One(reduce::name(&object)?, None)),
        }
    }

    fn complain(&self, error: &watcher::Error, again: bool) {
        if again {
            debug!(what = self.what, %error, "the watch is still broken");
        } else {
            warn!(what = self.what, %error, "a watch broke: the last picture stays, and it is tried again");
        }
    }
}
