//! Volumes that one pod alone, or the pods of one node alone, can have; and what says that two must never run at once.

use serde_json::{Value, json};

use super::finding::{Finding, Topic, Verdict};
use super::look;
use super::subject::Subject;

pub(super) fn examine(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let single = subject.adoption.policy.max_scale == 1;
    if look::text(subject.raw, "/spec/strategy/type") == "Recreate" && !single {
        found.push(
            Finding::new(Verdict::Unsafe, Topic::Volumes, "recreate")
                .at(subject.called(), "spec.strategy.type")
                .found("Recreate")
                .why("it says that two of it must never run at once, and Kaos runs more under load")
                .fix("one at most", subject.annotate("kaos.dev/max-scale=1")),
        );
    }
    if look::text(subject.raw, "/spec/persistentVolumeClaimRetentionPolicy/whenScaled") == "Delete" {
        let keep = json!({"spec": {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Retain"}}});
        found.push(
            Finding::new(Verdict::Unsafe, Topic::Volumes, "volumes-deleted")
                .at(subject.called(), "spec.persistentVolumeClaimRetentionPolicy.whenScaled")
                .found("Delete")
                .why("each sleep deletes its volumes, with all that is on them")
                .fix("keep them", format!("kubectl patch {} -p '{keep}'", subject.args())),
        );
    }
    for (at, volume) in look::all(subject.raw, "spec/template/spec/volumes/*") {
        let claim = look::text(volume, "/persistentVolumeClaim/claimName");
        if !claim.is_empty() {
            found.extend(claimed(subject, &look::field(&at), claim, single));
        }
        if volume.get("ephemeral").is_some() {
            found.push(
                Finding::new(Verdict::Slow, Topic::Volumes, "volume-per-pod")
                    .at(subject.called(), look::field(&at))
                    .found(format!("volume {} is made for each pod", look::text(volume, "/name")))
                    .why("each wake waits until a new volume is made and attached, and a sleep deletes it")
                    .fix("an emptyDir, where that is enough", ""),
            );
        }
        if volume.get("hostPath").is_some_and(|path| !path.is_null()) {
            found.push(
                Finding::new(Verdict::Question, Topic::Volumes, "host-path")
                    .at(subject.called(), look::field(&at))
                    .found(format!("hostPath {}", look::text(volume, "/hostPath/path")))
                    .why("Does it keep anything there that it needs again? It may wake on another node.")
                    .fix("if so, keep it in a PersistentVolumeClaim", ""),
            );
        }
    }
}

fn claimed(subject: &Subject<'_>, field: &str, claim: &str, single: bool) -> Option<Finding> {
    let object = subject.objects.get("PersistentVolumeClaim", subject.namespace, claim);
    let Some(object) = object else {
        // That none may be looked at is said once.
        let unseen = subject.objects.unseen().iter().any(|one| one.resource == "persistentvolumeclaims");
        return (!unseen).then(|| {
            Finding::new(Verdict::Question, Topic::Volumes, "claim-unknown")
                .at(subject.called(), field)
                .found(format!("PersistentVolumeClaim/{claim} isn't there to look at"))
                .why("Can several nodes have the volume at once (ReadWriteMany)? Else only one replica can run.")
                .fix("if not", subject.annotate("kaos.dev/max-scale=1"))
        });
    };
    let modes: Vec<&str> = look::list(object, "/spec/accessModes").iter().filter_map(Value::as_str).collect();
    let shared = modes.iter().any(|mode| matches!(*mode, "ReadWriteMany" | "ReadOnlyMany"));
    let finding = |verdict, fact| {
        Finding::new(verdict, Topic::Volumes, fact)
            .at(look::called(object, subject.namespace), "spec.accessModes")
            .found(modes.join(", "))
    };
    if shared || modes.is_empty() {
        return None;
    }
    Some(match single {
        true => finding(Verdict::Slow, "volume-attached")
            .why("each wake waits until the volume is attached to its node"),
        false => finding(Verdict::Unsafe, "volume-single")
            .why("only one node can have the volume: a second replica elsewhere never starts")
            .fix("one at most", subject.annotate("kaos.dev/max-scale=1")),
    })
}
