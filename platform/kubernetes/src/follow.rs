//! One watch: objects of one kind become changes, relists whole, for ever.
//!
//! Errors never empty anything: what was known stays until a whole list takes its place, and what was known of one object
//! until that object can be read again.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::object::Name;
use crate::state::{Change, Part};
use crate::wire::{Watched, Wire};

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
pub(crate) struct Follow<T> {
    /// For the log, such as `deployments`.
    pub(crate) what: &'static str,
    pub(crate) api: Api<Wire<T>>,
    pub(crate) config: watcher::Config,
    /// What is said of an object.
    pub(crate) change: Box<dyn Fn(Said<T>) -> Change + Send + Sync>,
}

/// What a watch says, before it has a place.
pub(crate) enum Said<T> {
    /// `None`: it is there, and can't be read.
    All(Vec<(Name, Option<T>)>),
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

/// A list that isn't whole yet.
struct List<T> {
    objects: Vec<(Name, Option<T>)>,
    /// How many of them can't be read, and what is wrong with one.
    unread: Option<(usize, String)>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List { objects: Vec::new(), unread: None }
    }
}

impl<T: Watched> Follow<T> {
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
        let mut list = Some(List::default());
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

    fn take(&self, event: Event<Wire<T>>, list: &mut Option<List<T>>) -> Option<Said<T>> {
        match event {
            Event::Init => {
                *list = Some(List::default());
                None
            }
            Event::InitApply(object) => {
                list.get_or_insert_default().take(object);
                None
            }
            Event::InitDone => {
                let List { objects, unread } = list.take().unwrap_or_default();
                if let Some((count, wrong)) = unread {
                    self.unread(count, &wrong);
                }
                Some(Said::All(objects))
            }
            Event::Apply(object) => match object.kept {
                Ok(kept) => Some(Said::One(object.name?, kept)),
                Err(wrong) => {
                    self.unread(1, &said_of(object.name.as_ref(), &wrong));
                    None
                }
            },
            Event::Delete(object) => Some(Said::One(object.name?, None)),
        }
    }

    fn unread(&self, count: usize, wrong: &str) {
        warn!(what = self.what, count, "can't be read, stays as it was last read: {wrong}");
    }

    fn complain(&self, error: &watcher::Error, again: bool) {
        if again {
            debug!(what = self.what, %error, "the watch is still broken");
        } else {
            warn!(what = self.what, %error, "a watch broke: the last picture stays, and it is tried again");
        }
    }
}

impl<T> List<T> {
    fn take(&mut self, object: Wire<T>) {
        let kept = match object.kept {
            Ok(None) => return,
            Ok(kept) => kept,
            Err(wrong) => {
                let first = || (0, said_of(object.name.as_ref(), &wrong));
                self.unread.get_or_insert_with(first).0 += 1;
                None
            }
        };
        self.objects.extend(object.name.map(|name| (name, kept)));
    }
}

fn said_of(name: Option<&Name>, wrong: &str) -> String {
    match name {
        Some((namespace, name)) => format!("{namespace}/{name}: {wrong}"),
        None => format!("an object without a name: {wrong}"),
    }
}
