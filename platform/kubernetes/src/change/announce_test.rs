//! Transitions are told once, and only transitions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kaos_core::snapshot::{HandedTo, Mode, StartFailure, Workload};
use kaos_core::{Moment, Policy, Snapshot, WorkloadId};

use super::announce::Announcer;
use super::events::Of;
use crate::controller::Controller;
use crate::directory::Entry;
use crate::note::{Kind, Note, Object, ObjectNote};

struct Town {
    announcer: Announcer,
    entry: Entry,
    failure: Option<StartFailure>,
    notes: Vec<Note>,
    leads: bool,
    now: Moment,
}

impl Town {
    fn new() -> Town {
        let entry = Entry {
            controller: Controller::Deployment,
            uid: "u".into(),
            version: 1,
            generation: 1,
            replicas: 1,
            rolling: false,
            adopted: true,
            mode: Mode::Scale,
            hold: None,
            marked: false,
            contender: None,
            target: None,
            handed_to: None,
            namesake: None,
            invalid: Arc::default(),
            pods: Arc::default(),
        };
        Town {
            announcer: Announcer::default(),
            entry,
            failure: None,
            notes: vec![],
            leads: true,
            now: Moment::from_secs(1),
        }
    }

    /// `Reason: note` of what is told.
    fn look(&mut self) -> Vec<String> {
        let id = WorkloadId::new("shop", "cart");
        let workload = Workload {
            failure: self.failure.clone(),
            mode: self.entry.mode.clone(),
            ..Workload::new(id.clone(), Policy::default())
        };
        let snapshot = Snapshot { workloads: Arc::from([Arc::new(workload)]), ..Snapshot::default() };
        let entries = HashMap::from([(id, Arc::new(self.entry.clone()))]);
        let told = self.announcer.saw(&entries, &snapshot, &self.notes, self.leads, self.now);
        told.iter().map(|notice| format!("{}: {}", notice.reason.word(), notice.note)).collect()
    }

    fn sets(&mut self, replicas: u32, by: Option<&str>) -> Vec<String> {
        (self.entry.replicas, self.entry.contender) = (replicas, by.map(str::to_owned));
        self.now = self.now + Duration::from_secs(60);
        self.look()
    }
}

fn note(kind: Kind, text: &str) -> Note {
    Note { workload: WorkloadId::new("shop", "cart"), kind, text: text.into() }
}

#[test]
fn a_bad_annotation_is_told_once_and_the_next_one_too() {
    let mut town = Town::new();
    assert_eq!(town.look(), [""; 0]);
    let (target, window) = (note(Kind::Invalid, "target = x"), note(Kind::Invalid, "window = y"));
    town.notes = vec![target.clone()];
    assert_eq!(town.look(), ["InvalidAnnotation: target = x"]);
    assert_eq!(town.look(), [""; 0]);
    town.notes = vec![target.clone(), window];
    assert_eq!(town.look(), ["InvalidAnnotation: window = y"]);
    town.notes = vec![];
    assert_eq!(town.look(), [""; 0]);
    town.notes = vec![target];
    assert_eq!(town.look(), ["InvalidAnnotation: target = x"], "wrong again is news");
}

#[test]
fn the_next_leader_warns_again_and_a_follower_says_nothing() {
    let mut town = Town::new();
    town.notes = vec![note(Kind::HostConflict, "lost"), note(Kind::ObserveOnly, "a NodePort")];
    town.leads = false;
    assert_eq!(town.look(), [""; 0]);
    town.leads = true;
    assert_eq!(town.look(), ["HostConflict: lost", "ObserveOnly: a NodePort"]);
    assert_eq!(town.look(), [""; 0]);
}

#[test]
fn a_mere_fact_is_told_when_it_changes_and_not_after_a_restart() {
    let mut town = Town::new();
    town.notes = vec![note(Kind::Inferred, "port 80")];
    assert_eq!(town.look(), [""; 0]);
    town.notes = vec![note(Kind::Inferred, "port 81"), note(Kind::Limited, "no effect")];
    assert_eq!(town.look(), ["Inferred: port 81", "Limited: no effect"]);
    assert_eq!(town.look(), [""; 0]);
}

#[test]
fn a_start_that_fails_is_told_when_it_is_known_and_not_at_each_retry() {
    let mut town = Town::new();
    let failure = |known, attempts| StartFailure {
        because: "image-pull".into(),
        detail: "image shop:9 can't be pulled".into(),
        attempts,
        known,
        retry_at: Moment::ZERO,
    };
    town.failure = Some(failure(false, 1));
    assert_eq!(town.look(), [""; 0], "a quiet retry comes first");
    town.failure = Some(failure(true, 2));
    assert_eq!(town.look(), ["StartFailed: image shop:9 can't be pulled"]);
    town.failure = Some(failure(true, 3));
    assert_eq!(town.look(), [""; 0]);
    town.failure = None;
    assert_eq!(town.look(), [""; 0]);
}

#[test]
fn the_third_change_by_another_within_ten_minutes_names_it_and_the_fix() {
    let mut town = Town::new();
    assert_eq!(town.look(), [""; 0]);
    assert_eq!(town.sets(0, None), [""; 0], "our own");
    assert_eq!(town.sets(1, Some("argocd-controller")), [""; 0]);
    assert_eq!(town.sets(0, None), [""; 0]);
    assert_eq!(town.sets(1, Some("argocd-controller")), [""; 0]);
    let told = town.sets(2, Some("argocd-controller"));
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("ReplicasContested: argocd-controller keeps changing"), "{told:?}");
    assert!(told[0].contains("RespectIgnoreDifferences"), "{told:?}");
    assert_eq!(town.sets(2, Some("argocd-controller")), [""; 0], "no change");
    town.now = town.now + Duration::from_secs(3600);
    assert_eq!(town.sets(3, Some("argocd-controller")), [""; 0], "once an hour is no contest");
}

#[test]
fn who_was_there_before_the_first_look_or_is_made_anew_contests_nothing() {
    let mut town = Town::new();
    for round in 0..5_u32 {
        town.entry.uid = format!("u{round}").into();
        assert_eq!(town.sets(round, Some("kubectl")), [""; 0]);
    }
}

/// What is told of Ingresses is for somebody to act on: none of it is lost in a crowd, and the next leader says it again.
#[test]
fn of_many_ingresses_some_are_told_at_a_time_and_each_in_the_end() {
    let note = |at: usize, text: &str| ObjectNote {
        of: Object::Ingress,
        namespace: "shop".into(),
        name: format!("i{at:02}").into(),
        uid: "u".into(),
        kind: Kind::Unsupported,
        text: text.to_owned(),
    };
    let mut announcer = Announcer::default();
    let mut notes: Vec<ObjectNote> = (0..25).map(|at| note(at, "x")).collect();
    assert_eq!(announcer.saw_objects(&notes, false), (vec![], false));
    let told: Vec<(usize, bool)> =
        (0..4).map(|_| announcer.saw_objects(&notes, true)).map(|(told, more)| (told.len(), more)).collect();
    assert_eq!(told, [(10, true), (10, true), (5, false), (0, false)]);
    notes[3] = note(3, "y");
    let (told, more) = announcer.saw_objects(&notes, true);
    assert_eq!((told.len(), &*told[0].note, told[0].workload.name(), more), (1, "y", "i03", false));
    assert_eq!(told[0].reason.word(), "UnsupportedAnnotation");
    announcer.saw_objects(&notes, false);
    assert_eq!(announcer.saw_objects(&notes, true).0.len(), 10);
}

#[test]
fn above_zero_an_autoscalers_changes_are_no_contest() {
    let mut town = Town::new();
    assert_eq!(town.look(), [""; 0]);
    town.entry.handed_to = Some(HandedTo::above_zero("HPA cart"));
    let hpa = Some("kube-controller-manager (scale)");
    for count in [4, 2, 5, 3, 1, 2] {
        assert_eq!(town.sets(count, hpa), [""; 0]);
    }
    // Who puts it back from zero is somebody else.
    for _ in 0..2 {
        assert_eq!(town.sets(0, None), [""; 0]);
        assert_eq!(town.sets(1, Some("argocd-controller")), [""; 0]);
    }
    assert_eq!(town.sets(0, None), [""; 0]);
    assert!(town.sets(1, Some("argocd-controller"))[0].starts_with("ReplicasContested: argocd-controller"));
}

#[test]
fn whose_a_count_is_is_told_by_each_leader_and_a_taken_name_to_who_hasnt_it() {
    let mut town = Town::new();
    town.notes = vec![note(Kind::HandedOver, "handed over to HPA cart")];
    assert_eq!(town.look(), ["HandedOver: handed over to HPA cart"], "at the first look, too");
    assert_eq!(town.look(), [""; 0]);
    town.entry.namesake = Some((Controller::StatefulSet, "u-set".into()));
    let notes = [note(Kind::NameTaken, "older")];
    let entries = HashMap::from([(WorkloadId::new("shop", "cart"), Arc::new(town.entry.clone()))]);
    let told = town.announcer.saw(&entries, &Snapshot::default(), &notes, true, town.now);
    assert_eq!((told[0].of, told[0].uid.as_str()), (Of::Workload(Controller::StatefulSet), "u-set"));
}
