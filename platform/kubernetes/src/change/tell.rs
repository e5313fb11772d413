//! Writes what the statuses of Ingresses, Gateways and HTTPRoutes are to say. The leader does.
//!
//! Only what differs is written, and the same about the same object at most once in a while: whoever else writes there makes
//! no loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

use super::call::{Api, Ask, DEADLINE, Turn};
use super::clock::second;
use super::lead::Leadership;
use super::object::{encode, managed};
use crate::note::Object;
use crate::rights::{self, Right};
use crate::status::{Say, Status};

/// An object that says something else again is told again after this.
const AGAIN: Duration = Duration::from_secs(30);
/// What couldn't be written is written again after this, or when the object has changed.
const RETRY: Duration = Duration::from_secs(5);
/// Statuses that are written at one time.
const AT_ONCE: usize = 8;

/// What there is to read.
pub(crate) struct Telling {
    pub(crate) api: Arc<Api>,
    pub(crate) leadership: Leadership,
    pub(crate) leading: watch::Receiver<bool>,
    pub(crate) statuses: watch::Receiver<Arc<[Status]>>,
}

/// What was done about one object, by its UID.
struct Done {
    say: Arc<Say>,
    /// The object was of this version.
    version: Arc<str>,
    came: Came,
}

/// What came of it.
enum Came {
    /// It says so already.
    Same,
    Written(Instant),
    Failed(Instant),
}

impl Done {
    /// When `status` is to be looked at again. `None`: at once.
    fn due(&self, status: &Status) -> Option<Due> {
        let same_version = self.version == status.stand.version;
        match self.came {
            _ if *self.say != *status.wanted.say => None,
            Came::Same => same_version.then_some(Due::Never),
            Came::Written(at) => Some(Due::At(at + AGAIN)),
            Came::Failed(at) => same_version.then_some(Due::At(at + RETRY)),
        }
    }
}

enum Due {
    At(Instant),
    /// When it has changed.
    Never,
}

impl Telling {
    /// Tells for as long as there is somebody to hear from.
    pub(crate) async fn run(mut self) {
        let mut done = HashMap::new();
        loop {
            let statuses = self.statuses.borrow_and_update().clone();
            let leads = *self.leading.borrow_and_update();
            let next = if leads { self.tell(&statuses, &mut done).await } else { None };
            let changed = tokio::select! {
                changed = self.statuses.changed() => changed,
                changed = self.leading.changed() => changed,
                () = at(next) => Ok(()),
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Writes what differs. When something is to be written later: then.
    async fn tell(&self, statuses: &[Status], done: &mut HashMap<Arc<str>, Done>) -> Option<Instant> {
        let stamp = second();
        let mut known = std::mem::take(done);
        let (mut next, mut bodies): (Option<Instant>, Vec<(Status, Value)>) = (None, Vec::new());
        let mut soonest = |at: Instant| next = Some(next.map_or(at, |next| next.min(at)));
        for status in statuses {
            let before = known.remove(&status.stand.uid);
            match before.as_ref().and_then(|before| before.due(status)) {
                Some(Due::Never) => {}
                // It may be as it should be by now.
                Some(Due::At(at)) if at > Instant::now() => {
                    if status.patch(&stamp).is_some() {
                        soonest(at);
                    }
                }
                _ => match status.patch(&stamp) {
                    Some(body) => {
                        bodies.push((status.clone(), body));
                        continue;
                    }
                    None => {
                        let (say, version) = (status.wanted.say.clone(), status.stand.version.clone());
                        done.insert(status.stand.uid.clone(), Done { say, version, came: Came::Same });
                        continue;
                    }
                },
            }
            done.extend(before.map(|before| (status.stand.uid.clone(), before)));
        }
        let writes = stream::iter(bodies).map(|(status, body)| async move {
            let written = self.write(&status, &body).await;
            (status, written)
        });
        let written: Vec<(Status, bool)> = writes.buffer_unordered(AT_ONCE).collect().await;
        for (status, written) in written {
            let now = Instant::now();
            soonest(now + if written { AGAIN } else { RETRY });
            let came = if written { Came::Written(now) } else { Came::Failed(now) };
            let Status { wanted, stand } = status;
            done.insert(stand.uid, Done { say: wanted.say, version: stand.version, came });
        }
        next
    }

    /// Whether it was written.
    async fn write(&self, status: &Status, body: &Value) -> bool {
        let (namespace, name) = &status.wanted.name;
        let (version, kind, plural) = status.wanted.of.kind();
        let within =
            if namespace.is_empty() { String::new() } else { format!("namespaces/{}/", encode(namespace)) };
        let path = format!("/apis/{version}/{within}{plural}/{}/status", encode(name));
        let ask = Ask::merge(right(status.wanted.of), managed(&path), body);
        let may = || self.leadership.leads();
        let sent = self.api.call::<Value>(&ask, Turn::Other, Instant::now() + DEADLINE, may).await;
        let object = format!("{kind} {namespace}/{name}");
        match &sent {
            Ok(_) => info!(object, "its status was written"),
            Err(fault) => debug!(object, why = %fault, "its status couldn't be written"),
        }
        sent.is_ok()
    }
}

fn right(of: Object) -> Right {
    match of {
        Object::Ingress => rights::PATCH_INGRESS_STATUS,
        Object::GatewayClass => rights::PATCH_GATEWAY_CLASS_STATUS,
        Object::Gateway => rights::PATCH_GATEWAY_STATUS,
        Object::HttpRoute => rights::PATCH_ROUTE_STATUS,
    }
}

/// Returns at `moment`; never, if there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
