//! How often what is said, and in which form.

use super::*;

fn notice(name: &str, reason: Reason, note: &str) -> Notice {
    let workload = WorkloadId::new("shop", name);
    Notice { of: Of::Workload(Controller::Deployment), workload, uid: "u".into(), reason, note: note.into() }
}

#[test]
fn one_workload_cant_use_up_the_room_of_others() {
    let start = Instant::now();
    let mut said = Said::new(start);
    let one = notice("one", Reason::ScaledUp, "1 to 2 replicas");
    let sent = (0..50).filter(|_| said.may(&one, start)).count();
    assert_eq!(sent, 10);
    assert!(said.may(&notice("two", Reason::ScaledUp, "1 to 2 replicas"), start));
    assert!(said.may(&one, start + REFILL) && !said.may(&one, start + REFILL));
}

#[test]
fn all_workloads_together_are_bounded_and_so_is_what_is_remembered() {
    let start = Instant::now();
    let mut said = Said::new(start);
    let name = |at: usize| notice(&format!("w{at}"), Reason::Adopted, "adopted");
    assert_eq!((0..10_000).filter(|at| said.may(&name(*at), start)).count(), 100);
    assert_eq!((said.each.len(), said.order.len()), (REMEMBERED, REMEMBERED));
}

#[test]
fn the_same_warning_is_said_once_and_another_at_once() {
    let start = Instant::now();
    let mut said = Said::new(start);
    let bad = notice("one", Reason::InvalidAnnotation, "kaos.dev/target = x");
    assert!(said.may(&bad, start) && !said.may(&bad, start + SAME / 2));
    assert!(said.may(&notice("one", Reason::InvalidAnnotation, "kaos.dev/target = y"), start));
    assert!(said.may(&bad, start + SAME));
}

#[test]
fn an_event_keeps_within_what_the_api_takes() {
    let long = Notice {
        of: Of::Object(Object::Ingress),
        workload: WorkloadId::new("shop", &"x-".repeat(126)),
        uid: "u".into(),
        reason: Reason::StartFailed,
        note: "ü".repeat(2000),
    };
    let event = event(&long, &"i".repeat(500), "2026-11-21T10:00:00.000000Z", u64::MAX);
    assert!(event["metadata"]["name"].as_str().unwrap().len() <= 253);
    assert_eq!(event["regarding"]["kind"], "Ingress");
    assert!(event["note"].as_str().unwrap().len() <= NOTE);
    assert!(event["reportingInstance"].as_str().unwrap().len() <= 128);
    assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("StartFailed")));
}
