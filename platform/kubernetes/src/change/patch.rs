//! The bodies of our writes. Pure.
//!
//! A count goes through the scale subresource, an annotation through the status subresource: with the rights to these two
//! nobody can change what a workload runs.

use kaos_core::snapshot::Hold;
use serde_json::{Value, json};

/// Carries the hold, as JSON.
pub(crate) const HOLD: &str = "kaos.dev/hold";

/// What Kubernetes compares first when it takes pods of one ReplicaSet that are alike otherwise.
pub(crate) const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Says that the deletion cost of a pod is ours, and what it was before: nothing, or a number.
pub(crate) const RETIRED: &str = "kaos.dev/retired";

/// The least deletion cost there is: the first to go.
pub(crate) const LEAST_COST: &str = "-2147483648";

/// JSON patch of a scale: `to`, if the object is still the one of `uid`, where that is said, and its count still `from`.
///
/// The scale leaves `replicas` out when it is 0, and a test for `null` is true for what isn't there.
pub(crate) fn count(uid: Option<&str>, from: u32, to: u32) -> Value {
    let from = if from == 0 { Value::Null } else { json!(from) };
    let same = uid.map(|uid| json!({"op": "test", "path": "/metadata/uid", "value": uid}));
    let test = json!({"op": "test", "path": "/spec/replicas", "value": from});
    let write = json!({"op": "add", "path": "/spec/replicas", "value": to});
    same.into_iter().chain([test, write]).collect()
}

/// Merge patch of a scale: `to`, if nobody has written the object since `version`.
pub(crate) fn count_since(uid: &str, version: &str, to: u32) -> Value {
    json!({"metadata": {"uid": uid, "resourceVersion": version}, "spec": {"replicas": to}})
}

/// Merge patch of a scale: `to`.
pub(crate) fn plain_count(to: u32) -> Value {
    json!({"spec": {"replicas": to}})
}

/// Merge patch of a Deployment's status: marked with `hold`, or no longer.
pub(crate) fn held(uid: &str, hold: Option<&Hold>) -> Value {
    let text = hold.and_then(|hold| serde_json::to_string(hold).ok());
    json!({"metadata": {"uid": uid, "annotations": {HOLD: text}}})
}

/// Merge patch of a pod's status: the first to go. `cost` is what it has.
pub(crate) fn retired(uid: &str, cost: Option<&str>) -> Value {
    let before = cost.unwrap_or_default();
    json!({"metadata": {"uid": uid, "annotations": {COST: LEAST_COST, RETIRED: before}}})
}

/// Merge patch of a pod's status: as it was `before` it was retired. Somebody else's cost since then stays.
pub(crate) fn restored(uid: &str, version: &str, before: &str, cost: Option<&str>) -> Value {
    let mut annotations = json!({RETIRED: null});
    if cost == Some(LEAST_COST) {
        annotations[COST] = if before.is_empty() { Value::Null } else { json!(before) };
    }
    json!({"metadata": {"uid": uid, "resourceVersion": version, "annotations": annotations}})
}

#[cfg(test)]
mod tests {
    use kaos_core::HoldId;
    use kaos_core::snapshot::Targets;

    use super::*;

    #[test]
    fn a_wake_tests_that_there_is_no_count() {
        let patch = count(Some("u"), 0, 2);
        assert_eq!(patch[1], json!({"op": "test", "path": "/spec/replicas", "value": null}));
        assert_eq!(count(Some("u"), 3, 4)[1]["value"], 3);
        assert_eq!(count(None, 3, 4).as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_hold_is_read_back_as_it_was_written() {
        let hold = Hold { id: HoldId::new("a-1"), by: "a".into(), targets: Targets::All };
        let patch = held("u", Some(&hold));
        let text = patch["metadata"]["annotations"][HOLD].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Hold>(text).unwrap(), hold);
        assert_eq!(held("u", None)["metadata"]["annotations"], json!({HOLD: null}));
    }

    #[test]
    fn a_cost_of_somebody_else_comes_back_or_stays() {
        let annotations = |patch: &Value| patch["metadata"]["annotations"].clone();
        assert_eq!(annotations(&retired("u", Some("5"))), json!({COST: LEAST_COST, RETIRED: "5"}));
        assert_eq!(
            annotations(&restored("u", "1", "5", Some(LEAST_COST))),
            json!({COST: "5", RETIRED: null})
        );
        assert_eq!(
            annotations(&restored("u", "1", "", Some(LEAST_COST))),
            json!({COST: null, RETIRED: null})
        );
        assert_eq!(annotations(&restored("u", "1", "", Some("9"))), json!({RETIRED: null}), "written since");
    }
}
