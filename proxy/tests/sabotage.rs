//! With a rule turned off a test fails: each test of hostile bytes, clients and replicas proves something. Only in builds
//! with the feature `sabotage`: `cargo test -p kaos-proxy --features sabotage --test sabotage switches`.
//!
//! The other test files are part of this program, and it runs itself: once per rule, with the rule off.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]
#![allow(clippy::duplicate_mod, reason = "each of the files brings its own rig")]

#[path = "admission.rs"]
mod admission;
#[path = "answers.rs"]
mod answers;
#[path = "crowd.rs"]
mod crowd;
#[path = "cuts.rs"]
mod cuts;
#[path = "descriptors.rs"]
mod descriptors;
#[path = "expect.rs"]
mod expect;
#[path = "floods.rs"]
mod floods;
#[path = "framing.rs"]
mod framing;
#[path = "h2c_frames.rs"]
mod h2c_frames;
#[path = "hops.rs"]
mod hops;
#[path = "http2.rs"]
mod http2;
#[path = "http2_streams.rs"]
mod http2_streams;
#[path = "leaving.rs"]
mod leaving;
#[path = "policy/main.rs"]
mod policy;
#[path = "retries.rs"]
mod retries;
#[path = "scarce.rs"]
mod scarce;
#[path = "shutdown.rs"]
mod shutdown;
#[path = "slow.rs"]
mod slow;
#[path = "streams.rs"]
mod streams;
mod support;
#[path = "target.rs"]
mod target;
#[path = "tls.rs"]
mod tls;
#[path = "upgrade.rs"]
mod upgrade;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use support::frames::{End, Frames};
use support::{Replica, Rig, until};

/// The test that fails without a rule, where it isn't the table's section of the same name.
const TESTS: &[(&str, &str)] = &[
    ("trailers", "http2_streams::both_ways_go_on_at_once_and_trailers_close_them"),
    ("pipelines", "streams::requests_of_one_connection_are_answered_one_after_the_other"),
    ("answer_bytes", "policy::sound_answers"),
    ("bytes_behind", "answers::bytes_behind_an_answer_are_never_anothers_answer"),
    ("leave_queue", "leaving::a_client_that_leaves_while_it_waits_gives_its_place_back"),
    ("leave_answer", "leaving::a_replica_sees_its_connection_end_when_the_client_leaves"),
    ("half_close", "leaving::a_client_that_leaves_while_it_waits_gives_its_place_back"),
    ("first_bytes", "slow::who_says_nothing_is_let_go"),
    ("head_time", "slow::a_head_must_come_in_time"),
    ("idle_time", "slow::an_http2_connection_without_streams_is_let_go"),
    ("body_rate", "slow::a_body_must_move"),
    ("answer_time", "admission::a_replica_that_doesnt_begin_to_answer_in_time_is_a_504"),
    ("refused", "retries::where_the_only_replica_refuses_the_request_waits_until_it_comes_back"),
    ("stale", "retries::what_may_be_done_twice_is_sent_again_after_a_reset"),
    ("identity", "retries::who_has_the_address_of_one_that_is_gone_gets_none_of_its_connections"),
    ("once", "retries::what_may_not_be_done_twice_is_sent_once"),
    ("retry_budget", "retries::what_fails_everywhere_is_sent_little_more_than_once"),
    ("visible_cut", "cuts::an_answer_that_breaks_off_has_no_clean_end"),
    ("early_answer", "cuts::an_answer_before_the_end_of_the_upload_is_relayed_and_ends_it"),
    ("body_size", "cuts::a_body_that_is_too_large_is_refused"),
    ("unprocessed", "h2c_frames::after_goaway_the_old_streams_finish_and_the_others_are_sent_again"),
    ("server_names", "tls::each_name_gets_its_certificate_and_any_other_the_first"),
    ("misdirected", "tls::a_host_of_another_certificate_is_misdirected_and_one_of_none_is_not"),
    ("reloads", "tls::a_new_certificate_is_for_new_connections_and_the_old_ones_stay"),
    ("handshake_time", "tls::a_handshake_must_come_in_time"),
    ("handshakes", "tls::handshakes_that_stall_make_room_for_others"),
    ("frames", "floods::frames_that_carry_nothing_are_counted"),
    ("faults", "floods::who_only_errs_is_sent_away"),
    ("sections", "floods::fields_without_end_are_not_held"),
    ("windows", "floods::content_beyond_its_window_ends_its_stream"),
    ("streams", "floods::streams_beyond_the_limit_are_refused"),
    ("age", "slow::an_old_http2_connection_is_asked_to_go"),
    ("crowd", "scarce::busy_connections_make_no_room"),
    ("going", "shutdown::during_the_delay_everything_is_served_and_asked_to_go_elsewhere"),
    ("descriptors", "descriptors::when_descriptors_run_out_idle_connections_make_room"),
    ("memory", "scarce::as_memory_fills_the_proxy_gives_up_one_thing_after_the_other"),
    ("delays", "a_worker_that_is_held_up_says_so"),
    ("panics", "a_panic_ends_its_connection_alone"),
    ("strays", "target::a_hundred_thousand_hosts_leave_no_trace"),
];

/// What goes wrong without some of the rules is a matter of chance: of so many runs one must show it.
const CHANCES: usize = 5;

/// Runs at the same time.
const AT_ONCE: usize = 4;

/// Runs one test in a process of its own, with `rule` off. Whether it passes.
fn passes(test: &str, rule: &str) -> bool {
    let mut run = Command::new(std::env::current_exe().unwrap());
    run.args(["--exact", test]).env("KAOS_SABOTAGE", rule);
    let output = run.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("running 1 test"), "there is no test {test}:\n{said}");
    output.status.success()
}

#[test]
fn switches_turned_off_fail_a_test_each() {
    let tests: BTreeMap<&str, &str> = TESTS.iter().copied().collect();
    let left = Mutex::new(kaos_proxy::RULES.to_vec());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                loop {
                    let Some(rule) = left.lock().unwrap().pop() else { return };
                    let of_table = format!("policy::{rule}");
                    let test = tests.get(rule).copied().unwrap_or(&of_table);
                    if !passes(test, "") {
                        wrong.lock().unwrap().push(format!("{test} fails by itself"));
                    } else if (0..CHANCES).all(|_| passes(test, rule)) {
                        wrong.lock().unwrap().push(format!("without {rule}, {test} still passes"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_worker_that_is_held_up_says_so() {
    let mut rig = Rig::new(&[]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut client = rig.connect();
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(client.get("/stall").status(), 200);
    // The worker is held up for 300 ms, and looks every 50.
    until("it is counted", || {
        let delays = rig.totals().delays;
        let bound = kaos_proxy::DURATION_BOUNDS.partition_point(|bound| *bound <= 100_000);
        delays.buckets[bound..].iter().sum::<u64>() + delays.above > 0
    });
    drop(client);
    rig.finish();
}

#[test]
fn a_panic_ends_its_connection_alone() {
    let mut rig = Rig::new(&[("container-concurrency", "1")]);
    let replica = Replica::hello();
    rig.add("a", replica.address);
    let mut other = rig.connect();
    assert_eq!(other.get("/").status(), 200);
    let mut client = rig.connect();
    client.send("GET /panic HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert!(client.is_ended());
    until("it is counted", || rig.totals().panics == 1);
    let mut streams = Frames::open(&rig);
    streams.ask(1, &support::frames::get("/panic"), None);
    assert!(!matches!(streams.end(1), End::Answered(..)));
    until("it is counted", || rig.totals().panics == 2);
    // The one slot is free again.
    assert_eq!(other.get("/").status(), 200);
    drop((other, streams));
    rig.finish_after(2);
}
