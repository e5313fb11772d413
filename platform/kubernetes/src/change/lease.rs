//! Who leads, by what a Lease says and how long it has said so. Pure: `now` is an argument.
//!
//! The rules are client-go's `leaderelection`: a holder is believed for its duration after the last change that *we*
//! have seen, by our own clock. The times inside a Lease are never compared with ours: clocks of machines differ.

use std::time::Duration;

use kaos_core::Moment;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A Lease as it was read: what isn't ours is written back as it is.
pub(crate) type Lease = Map<String, Value>;

/// A holder that doesn't renew for this long has lost the Lease.
pub(crate) const DURATION: Duration = Duration::from_secs(15);

/// A leader that couldn't renew for this long doesn't write any more. The five seconds to [`DURATION`] are for writes
/// on their way, which take two at most.
pub(crate) const RENEWAL: Duration = Duration::from_secs(10);

/// From one look at the Lease to the next.
pub(crate) const PERIOD: Duration = Duration::from_secs(2);

/// A longer duration is not believed: somebody wrote nonsense.
const LONGEST: Duration = Duration::from_secs(300);

/// The part of a Lease that leadership is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<i64>,
    acquire_time: Option<String>,
    renew_time: Option<String>,
    lease_transitions: Option<i64>,
}

impl Spec {
    /// The `spec` of a Lease. What isn't there or isn't readable says nothing.
    pub(crate) fn of(lease: &Lease) -> Spec {
        lease.get("spec").and_then(|spec| Spec::deserialize(spec).ok()).unwrap_or_default()
    }

    /// Who holds it.
    pub(crate) fn holder(&self) -> Option<&str> {
        self.holder_identity.as_deref().filter(|holder| !holder.is_empty())
    }

    fn duration(&self) -> Duration {
        let seconds = self.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        seconds.map_or(DURATION, Duration::from_secs).clamp(Duration::from_secs(1), LONGEST)
    }
}

/// How we stand to a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// We hold it.
    Ours,
    /// Nobody does, or its holder is over.
    Free,
    /// Another does.
    Held,
}

/// One candidate.
#[derive(Debug)]
pub(crate) struct Election {
    id: String,
    seen: Option<(Spec, Moment)>,
}

impl Election {
    /// A candidate whose name nobody else has, also not after a restart.
    pub(crate) fn new(id: String) -> Self {
        Election { id, seen: None }
    }

    /// The Lease says this.
    pub(crate) fn saw(&mut self, spec: &Spec, now: Moment) -> Standing {
        if self.seen.as_ref().is_none_or(|(seen, _)| seen != spec) {
            self.seen = Some((spec.clone(), now));
        }
        let since = self.seen.as_ref().map_or(now, |(_, at)| *at);
        match spec.holder() {
            None => Standing::Free,
            Some(holder) if holder == self.id => Standing::Ours,
            Some(_) if now.since(since) >= spec.duration() => Standing::Free,
            Some(_) => Standing::Held,
        }
    }

    /// `lease` as it is written to take or to renew it.
    pub(crate) fn taken(&self, lease: &Lease, stamp: &str) -> Lease {
        let before = Spec::of(lease);
        let mut spec = vec![
            ("holderIdentity", json!(self.id)),
            ("leaseDurationSeconds", json!(DURATION.as_secs())),
            ("renewTime", json!(stamp)),
        ];
        let renewed = before.holder() == Some(&*self.id);
        if !renewed || before.acquire_time.is_none() {
            let transitions = before.lease_transitions.unwrap_or(0).saturating_add(1);
            spec.push(("acquireTime", json!(stamp)));
            spec.push(("leaseTransitions", json!(transitions.min(i64::from(i32::MAX)))));
        }
        with(lease, spec)
    }

    /// `lease` as it is written to let others have it at once.
    pub(crate) fn released(lease: &Lease, stamp: &str) -> Lease {
        let spec =
            [("holderIdentity", json!("")), ("leaseDurationSeconds", json!(1)), ("renewTime", json!(stamp))];
        with(lease, spec)
    }
}

/// `lease` with these members in its `spec`, whatever that was.
fn with(lease: &Lease, members: impl IntoIterator<Item = (&'static str, Value)>) -> Lease {
    let mut spec = lease.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
    spec.extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let mut lease = lease.clone();
    lease.insert("spec".to_owned(), Value::Object(spec));
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_secs(seconds)
    }

    fn lease(value: Value) -> Lease {
        serde_json::from_value(value).unwrap()
    }

    fn held(holder: &str, renewed: &str) -> Spec {
        Spec::of(&lease(json!({"spec": {
            "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed, "leaseTransitions": 3,
        }})))
    }

    #[test]
    fn a_holder_is_believed_for_its_duration_after_the_last_change_that_was_seen() {
        let mut election = Election::new("me".into());
        for (second, lease, standing) in [
            (0, held("you", "1"), Standing::Held),
            (14, held("you", "1"), Standing::Held),
            (14, held("you", "2"), Standing::Held),
            (28, held("you", "2"), Standing::Held),
            (29, held("you", "2"), Standing::Free),
            (30, held("you", "3"), Standing::Held),
            (31, held("me", "4"), Standing::Ours),
            (99, held("me", "4"), Standing::Ours),
            (99, held("", "5"), Standing::Free),
        ] {
            assert_eq!(election.saw(&lease, at(second)), standing, "at {second} s: {lease:?}");
        }
    }

    #[test]
    fn a_lease_of_long_ago_is_waited_for_as_any_other() {
        let mut election = Election::new("me".into());
        let old = held("you", "1999-01-01T00:00:00.000000Z");
        assert_eq!(election.saw(&old, at(100)), Standing::Held);
        assert_eq!(election.saw(&old, at(115)), Standing::Free);
    }

    #[test]
    fn nonsense_in_a_lease_is_bounded() {
        for (seconds, free_after) in
            [(json!(-5), 15), (json!(0), 1), (json!(2_000_000_000), 300), (json!("x"), 0)]
        {
            let mut election = Election::new("me".into());
            let spec = json!({"holderIdentity": "you", "leaseDurationSeconds": seconds});
            let spec = Spec::of(&lease(json!({"spec": spec})));
            election.saw(&spec, at(10));
            assert_eq!(election.saw(&spec, at(10 + free_after)), Standing::Free, "{seconds}");
        }
        for nonsense in [json!({}), json!({"spec": null}), json!({"spec": "x"}), json!({"spec": []})] {
            let (mut election, found) = (Election::new("me".into()), lease(nonsense));
            assert_eq!(election.saw(&Spec::of(&found), at(0)), Standing::Free);
            assert_eq!(Spec::of(&election.taken(&found, "1")).holder(), Some("me"));
            assert_eq!(Spec::of(&Election::released(&found, "1")).holder(), None);
        }
    }

    #[test]
    fn taking_keeps_what_others_wrote_and_counts_the_transition() {
        let election = Election::new("me".into());
        let found = lease(json!({
            "metadata": {"name": "kaos-autoscaler", "resourceVersion": "7", "labels": {"a": "b"}},
            "spec": {"holderIdentity": "you", "leaseTransitions": 3, "acquireTime": "1", "renewTime": "1"},
        }));
        let taken = election.taken(&found, "2");
        assert_eq!(taken["metadata"], found["metadata"]);
        assert_eq!(
            taken["spec"],
            json!({
                "holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 4,
                "acquireTime": "2", "renewTime": "2",
            })
        );
        let renewed = election.taken(&taken, "3");
        assert_eq!(
            (&renewed["spec"]["acquireTime"], &renewed["spec"]["leaseTransitions"]),
            (&json!("2"), &json!(4))
        );
        assert_eq!(renewed["spec"]["renewTime"], "3");
        assert_eq!(Spec::of(&Election::released(&renewed, "4")).holder(), None);
    }
}
