//! Runs the cases of one section.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use super::support::frames::{End, Frames};
use super::support::{Answer, Replica, Request, Rig, until};
use super::table::{Case, Outcome, Section, Seen, Sent, sections, shown};

/// Runs all cases of `rule`: those of clients against one proxy, those of replicas against another.
pub(crate) fn run(rule: &str) {
    let section = sections().into_iter().find(|section| section.rule == rule).unwrap();
    let (answers, requests): (Vec<_>, Vec<_>) =
        section.cases.iter().partition(|case| matches!(case.sent, Sent::Answer { .. }));
    if !requests.is_empty() {
        requests_of_clients(&section, &requests);
    }
    if !answers.is_empty() {
        answers_of_replicas(&answers);
    }
}

fn requests_of_clients(section: &Section, cases: &[&Case]) {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    if section.rule == "same_host" {
        rig.change(|shop| {
            let hosts = ["app.test", "[::1]", "xn--bcher-kva.example"];
            shop.hosts = hosts.map(|host| kaos_core::host::HostPattern::parse(host).unwrap()).into();
        });
    }
    let warm = section.rule != "same_host";
    let mut failed = Failed::default();
    for case in cases {
        failed.note(case, || match &case.sent {
            Sent::Http1(bytes) => {
                for first in [true, false] {
                    if first || warm {
                        http1(&rig, &replica, bytes, &case.outcome, first);
                    }
                }
            }
            Sent::Http2(fields, body) => http2(&rig, &replica, fields, body.as_deref(), &case.outcome),
            _ => {}
        });
        if failed.is_last() {
            replica.seen();
        }
    }
    failed.tell();
    until("nothing is under way", || rig.in_flight() == 0);
    rig.finish();
    // What was refused within its body may have been begun: it was cut then.
    for seen in replica.seen() {
        let why = seen.expect_err("nothing that is refused reaches a replica");
        assert!(why.starts_with("cut "), "{why}");
    }
}

/// Whether an HTTP/1 connection ends with such an answer.
fn closes(status: u16) -> bool {
    matches!(status, 400 | 405 | 408 | 413 | 414 | 417 | 431)
}

fn http1(rig: &Rig, replica: &Replica, bytes: &[u8], outcome: &Outcome, first: bool) {
    let text: String = bytes.iter().take(400).map(|byte| char::from(*byte)).collect();
    let case = shown(&text);
    let mut client = rig.connect();
    if !first {
        assert_eq!(client.get("/sound").status(), 200);
        assert_eq!(saw(replica, &case).target, "/sound");
    }
    // The rest of what is refused may be refused too.
    client.try_send(bytes);
    let answer = client.answer();
    match outcome {
        Outcome::Refused(status, word) => {
            assert_eq!((answer.status(), answer.word().as_str()), (*status, *word), "{case}");
            answer.is_problem(*status, word);
            assert_eq!(answer.field("connection"), closes(*status).then_some("close"), "{case}");
            if closes(*status) {
                assert!(client.is_ended(), "nothing comes behind the refusal of {case}");
            }
        }
        Outcome::Passed(seen) => {
            assert_eq!(answer.status(), 200, "{case}: {}", answer.text());
            check_request(&saw(replica, &case), seen, &case);
        }
        _ => panic!("{case}: no outcome for a request of HTTP/1"),
    }
    let rest: Vec<_> = replica.seen().into_iter().filter(Result::is_ok).collect();
    assert!(rest.is_empty(), "{case}: {rest:?}");
}

fn http2(rig: &Rig, replica: &Replica, fields: &[(String, String)], body: Option<&str>, outcome: &Outcome) {
    let case: Vec<_> =
        fields.iter().map(|(name, value)| (name.as_str(), shown(&value[..value.len().min(80)]))).collect();
    let case = format!("{case:?}");
    let mut client = Frames::open(rig);
    client.ask(1, fields, body);
    let end = client.end(1);
    match (outcome, &end) {
        (Outcome::Refused(status, word), End::Answered(got, content)) => {
            assert_eq!(got, status, "{case}");
            let problem: serde_json::Value = serde_json::from_slice(content).unwrap();
            assert_eq!(problem["type"], format!("https://kaos.dev/problems/{word}"), "{case}");
        }
        (Outcome::Passed(seen), End::Answered(200, content)) => {
            assert_eq!(content, b"hello", "{case}");
            check_request(&saw(replica, &case), seen, &case);
        }
        (Outcome::Reset(code), End::Reset(got)) => assert_eq!(got, code, "{case}"),
        (Outcome::Gone(code), End::Gone(got)) => return assert_eq!(*got, Some(*code), "{case}"),
        (Outcome::Relayed(status, _), End::Answered(got, _)) => assert_eq!(got, status, "{case}"),
        _ => panic!("{case} came to {end:?}"),
    }
    assert!(client.get(3), "{case}");
    assert!(matches!(client.end(3), End::Answered(200 | 404, _)), "the connection goes on after {case}");
    let seen = replica.seen().into_iter().filter_map(Result::ok);
    let rest: Vec<_> = seen.filter(|request| request.target != "/").collect();
    assert!(rest.is_empty(), "{case}: {rest:?}");
}

/// The one request that the replica has read whole.
#[track_caller]
fn saw(replica: &Replica, case: &str) -> Request {
    let mut seen = replica.seen();
    assert_eq!(seen.len(), 1, "{case}: {seen:?}");
    seen.remove(0).unwrap_or_else(|why| panic!("{case}: {why}"))
}

#[track_caller]
fn check_request(request: &Request, seen: &[Seen], case: &str) {
    for one in seen {
        match one {
            Seen::Target(target) => assert_eq!(request.target, *target, "{case}"),
            Seen::Field(name, values) => assert_eq!(request.values(name), *values, "{case}: {name}"),
            Seen::Without(name) => assert_eq!(request.values(name), [""; 0], "{case}: {name}"),
            Seen::Body(body) => assert_eq!(request.body, body.as_bytes(), "{case}"),
        }
    }
}

fn answers_of_replicas(cases: &[&Case]) {
    let now: Arc<Mutex<Vec<u8>>> = Arc::default();
    let next = now.clone();
    // It says its piece, and then keeps silent.
    let replica = Replica::new(move |mut client| {
        if client.next_request().is_some() {
            let answer = next.lock().unwrap().clone();
            client.try_send(answer);
            client.read_to_end();
        }
    });
    let mut rig = Rig::new(&[("response-start-timeout", "5s")]);
    rig.add("a", replica.address);
    let mut failed = Failed::default();
    for case in cases {
        let Sent::Answer { method, bytes } = &case.sent else { continue };
        now.lock().unwrap().clone_from(bytes);
        for round in 0..3 {
            failed.note(case, || {
                let before = replica.accepted();
                if round < 2 {
                    to_http1(&rig, method, case);
                } else {
                    to_http2(&rig, method, case);
                }
                assert_eq!(replica.accepted(), before + 1, "it is asked once");
            });
            close_idle(&mut rig, &replica);
        }
    }
    failed.tell();
    rig.finish();
}

/// Has the proxy let go of its idle connection: the next answer is asked for on a new one.
fn close_idle(rig: &mut Rig, replica: &Replica) {
    rig.remove("a");
    rig.add("a", replica.address);
}

fn to_http1(rig: &Rig, method: &str, case: &Case) {
    let what = &case.what;
    let mut client = rig.connect();
    client.send(format!("{method} / HTTP/1.1\r\nHost: shop\r\n\r\n"));
    let bare = method == "HEAD" || matches!(case.outcome, Outcome::Relayed(304, _));
    let answer = if bare { Answer { head: client.head(), ..Answer::default() } } else { client.answer() };
    match &case.outcome {
        Outcome::Refused(status, word) => answer.is_problem(*status, word),
        Outcome::Relayed(status, seen) => {
            assert_eq!(answer.status(), *status, "{what}: {}", answer.text());
            for one in seen {
                match one {
                    Seen::Field(name, values) => {
                        assert_eq!(answer.field(name), values.first().copied(), "{what}");
                    }
                    Seen::Without(name) => assert_eq!(answer.field(name), None, "{what}"),
                    Seen::Body(body) => assert_eq!(answer.text(), *body, "{what}"),
                    Seen::Target(_) => panic!("{what}: an answer has no target"),
                }
            }
        }
        _ => panic!("{what}: no outcome for an answer"),
    }
    // Nothing is behind it: the next request is answered as it should be.
    client.send("GET /%zz HTTP/1.1\r\nHost: shop\r\n\r\n");
    let next = client.answer();
    assert!(next.head.starts_with("HTTP/1.1 400 "), "behind {what} comes {}", next.head);
}

fn to_http2(rig: &Rig, method: &str, case: &Case) {
    let what = &case.what;
    let mut client = Frames::open(rig);
    let mut fields = super::support::frames::get("/");
    fields[0].1 = method.to_owned();
    client.ask(1, &fields, None);
    match (&case.outcome, client.end(1)) {
        (Outcome::Refused(status, _), End::Answered(got, _)) => assert_eq!(got, *status, "{what}"),
        (Outcome::Relayed(status, seen), End::Answered(got, content)) => {
            assert_eq!(got, *status, "{what}");
            for one in seen {
                if let Seen::Body(body) = one {
                    assert_eq!(content, body.as_bytes(), "{what}");
                }
            }
        }
        (_, end) => panic!("{what} came to {end:?}"),
    }
}

/// Which cases have failed: all of a section are run, so that one change of mind shows all that it changes.
#[derive(Default)]
struct Failed {
    cases: Vec<String>,
    last: bool,
}

impl Failed {
    fn note(&mut self, case: &Case, run: impl FnOnce()) {
        if cfg!(feature = "sabotage") {
            // One that fails is enough there, and each may wait in vain.
            return run();
        }
        let failed = catch_unwind(AssertUnwindSafe(run)).err();
        self.last = failed.is_some();
        self.cases.extend(failed.map(|why| {
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            format!("{}: {why}", case.what)
        }));
    }

    fn is_last(&self) -> bool {
        self.last
    }

    #[track_caller]
    fn tell(self) {
        assert!(self.cases.is_empty(), "{:#?}", self.cases);
    }
}
