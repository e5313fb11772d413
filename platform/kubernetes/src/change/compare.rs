//! Whether the platform took the pods that were chosen: looked at after each chosen scale-down, away from any write.
//!
//! A miss is counted and told: it means that a pod with requests was stopped in the place of an empty one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kaos_core::WorkloadId;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::Kubernetes;
use super::call::{Api, DEADLINE};
use super::events::{Events, Notice, Of, Reason};
use super::object::Pod;
use super::scale::Holding;
use super::victims::{Retired, list};
use crate::controller::Controller;

/// From one look to the next, and how long is looked.
const PERIOD: Duration = Duration::from_millis(250);
const SPAN: Duration = Duration::from_secs(10);

/// Most scale-downs that wait to be looked at.
pub(crate) const CHOICES: usize = 64;

/// How the platform's choices came out.
#[derive(Debug, Default)]
pub struct Choices {
    /// The pods chosen went.
    pub hits: AtomicU64,
    /// Another one went.
    pub misses: AtomicU64,
    /// Nobody looked: too many at once, or the API server didn't say in time.
    pub unknown: AtomicU64,
}

/// A scale-down to look at.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    workload: WorkloadId,
    uid: String,
    selector: String,
    retired: Retired,
}

/// What a look tells.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    /// Those chosen go.
    Hit,
    /// This one goes, which wasn't chosen.
    Miss,
    /// Not decided.
    Open,
}

impl Kubernetes {
    /// Has a chosen scale-down looked at.
    pub(crate) fn compare(&self, workload: &WorkloadId, uid: &str, holding: &Holding, retired: Retired) {
        let Some(selector) = holding.selector.clone().filter(|_| !retired.victims.is_empty()) else { return };
        let choice = Choice { workload: workload.clone(), uid: uid.to_owned(), selector, retired };
        if self.looks.try_send(choice).is_err() {
            self.choices.unknown.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Looks at scale-downs as they come. Ends with the queue's last sender.
pub(crate) async fn compare(
    api: Arc<Api>,
    events: Events,
    choices: Arc<Choices>,
    mut queue: mpsc::Receiver<Choice>,
) {
    while let Some(choice) = queue.recv().await {
        let until = Instant::now() + SPAN;
        let mut last = Look::Open;
        while last == Look::Open && Instant::now() < until {
            sleep(PERIOD).await;
            match list(&api, &choice.workload, &choice.selector, "", Instant::now() + DEADLINE).await {
                Ok(pods) => last = look(&choice.retired, &pods),
                Err(fault) => debug!(workload = %choice.workload, why = %fault, "pods can't be listed"),
            }
        }
        match last {
            Look::Hit => &choices.hits,
            Look::Miss => &choices.misses,
            Look::Open => &choices.unknown,
        }
        .fetch_add(1, Ordering::Relaxed);
        if last == Look::Miss {
            warn!(workload = %choice.workload, "Kubernetes stopped another replica than the empty one that was chosen");
            let note = "another replica was stopped than the empty one that Kaos had chosen".to_owned();
            let (workload, uid) = (choice.workload, choice.uid);
            events.tell(Notice {
                // Of a StatefulSet nobody is chosen.
                of: Of::Workload(Controller::Deployment),
                workload,
                uid,
                reason: Reason::AnotherReplicaStopped,
                note,
            });
        }
    }
}

fn look(retired: &Retired, pods: &[Pod]) -> Look {
    let goes = |uid: &String| pods.iter().find(|pod| pod.metadata.uid == *uid).is_none_or(Pod::is_leaving);
    // Those that were to stay may be the next scale-down's by now: while a victim stays, they should, too.
    if retired.victims.iter().all(goes) {
        Look::Hit
    } else if retired.others.iter().any(goes) {
        Look::Miss
    } else {
        Look::Open
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods(list: &[(&str, bool)]) -> Vec<Pod> {
        let pod = |(uid, leaving): &(&str, bool)| {
            let deleted = leaving.then_some("2026-01-01T00:00:00Z");
            serde_json::from_value(json!({"metadata": {"uid": uid, "deletionTimestamp": deleted}})).unwrap()
        };
        list.iter().map(pod).collect()
    }

    #[test]
    fn a_choice_is_a_miss_when_another_goes_and_one_that_was_chosen_stays() {
        let retired = Retired { victims: vec!["a".into(), "b".into()], others: vec!["c".into()] };
        for (list, expected) in [
            (&[("a", false), ("b", false), ("c", false)][..], Look::Open),
            (&[("a", true), ("b", false), ("c", false)], Look::Open),
            (&[("a", true), ("c", false)], Look::Hit),
            (&[("a", false), ("b", true), ("c", true)], Look::Miss),
            (&[("a", true), ("b", true)], Look::Hit),
            (&[("a", true), ("b", false)], Look::Miss),
        ] {
            assert_eq!(look(&retired, &pods(list)), expected, "{list:?}");
        }
    }
}
