//! Clients, replicas and hours that are bad rather than malformed: what other tests show.

use super::{Section, test};

pub fn sections() -> Vec<Section> {
    vec![leaving(), slow(), large(), replicas(), cut(), floods(), scarce(), going(), panics(), strays()]
}

fn leaving() -> Section {
    Section {
        rule: "leave_queue",
        title: "Clients that leave",
        why: "A place that is held for nobody keeps others out. A client that only ends its sending side can't be told from one that has left, \
              and counts as such; so does nginx.",
        cases: vec![
            test(
                "a client that leaves while it waits: by FIN, half-close or reset, its body sent, partly sent or held back, a second request behind the first",
                "HTTP/1",
                "its place is free within 100 ms, counted as 499",
                "leaving::a_client_that_leaves_while_it_waits_gives_its_place_back",
            ),
            test(
                "the same",
                "HTTP/2",
                "its place is free at once",
                "http2::a_stream_that_is_reset_gives_its_place_back",
            ),
            test(
                "ten thousand of them",
                "HTTP/1",
                "nothing stays behind",
                "leaving::ten_thousand_that_leave_leave_nothing_behind",
            ),
            test(
                "one that leaves within its upload or its answer",
                "HTTP/1",
                "the replica's connection ends",
                "leaving::a_replica_sees_its_connection_end_when_the_client_leaves",
            ),
            test(
                "the same",
                "HTTP/2",
                "the replica's connection ends, the slot is free",
                "http2::a_stream_that_is_reset_within_its_answer_frees_the_slot",
            ),
        ],
    }
}

fn slow() -> Section {
    Section {
        rule: "slow",
        title: "Clients that are slow",
        why: "A connection costs a client nothing and a proxy memory, a slot of a replica costs a replica. So every silence has an end, and a body \
              must move at 240 bytes a second (`min-transfer-rate`) on average over the time in which the client is waited for, \
              after 30 s. A replica that is silent is no fault of the client's: events, upgraded connections and messages of gRPC live \
              at any pace.",
        cases: vec![
            test("nothing", "HTTP/1", "closed after 10 s", "slow::who_says_nothing_is_let_go"),
            test("a part of the preface", "HTTP/2", "closed after 10 s", "slow::who_says_nothing_is_let_go"),
            test(
                "a part of a head, then silence; a head, byte by byte; empty lines without end",
                "HTTP/1",
                "408 `request-timeout` after 10 s",
                "slow::a_head_must_come_in_time",
            ),
            test(
                "nothing behind an answer",
                "HTTP/1",
                "closed after 60 s",
                "slow::who_asks_nothing_more_is_let_go",
            ),
            test(
                "nothing behind the preface, or behind an answer; fields that don't end",
                "HTTP/2",
                "GOAWAY after 30 to 60 s, and closed",
                "slow::an_http2_connection_without_streams_is_let_go",
            ),
            test(
                "a body that stops, or comes a byte at a time",
                "HTTP/1, HTTP/2",
                "408 `request-timeout`, and the replica's request is cut",
                "slow::a_body_must_move",
            ),
            test(
                "an answer that is taken a few bytes at a time, or not at all",
                "HTTP/1, HTTP/2",
                "cut",
                "slow::an_answer_must_be_taken",
            ),
            test(
                "a body of a few hundred bytes a second",
                "HTTP/1",
                "lives",
                "slow::who_is_slow_and_honest_lives",
            ),
            test(
                "events from time to time; messages of gRPC from time to time; an upgraded connection",
                "HTTP/1, HTTP/2",
                "lives",
                "slow::streams_live_at_any_pace",
            ),
            test(
                "a connection of an hour",
                "HTTP/2",
                "GOAWAY, at random within a quarter of an hour more, so that not all go at once; what is under way goes on",
                "slow::an_old_http2_connection_is_asked_to_go",
            ),
        ],
    }
}

fn large() -> Section {
    let word = "413 `body-too-large`";
    Section {
        rule: "body_size",
        title: "Large bodies",
        why: "Bodies are moved, not held, so they have no bound unless the workload has one (`max-request-body`). One that says that it is larger \
              doesn't wake anything.",
        cases: vec![
            test(
                "a length above the bound",
                "HTTP/1, HTTP/2",
                word,
                "cuts::a_body_that_is_too_large_is_refused",
            ),
            test(
                "chunks or frames beyond the bound",
                "HTTP/1, HTTP/2",
                "the same, and the replica's request is cut",
                "cuts::a_body_that_is_too_large_is_refused",
            ),
            test(
                "an answer before the body's end",
                "HTTP/1",
                "relayed at once, the connection then ends",
                "cuts::an_answer_before_the_end_of_the_upload_is_relayed_and_ends_it",
            ),
            test(
                "the same",
                "HTTP/2",
                "relayed at once, the connection goes on",
                "http2_streams::an_answer_before_the_end_of_the_upload_is_relayed",
            ),
        ],
    }
}

fn replicas() -> Section {
    Section {
        rule: "refused",
        title: "Replicas that don't answer",
        why: "What wasn't done may be done by another, what may have been done is not done twice.",
        cases: vec![
            test(
                "a connection that is refused",
                "a replica",
                "another replica, or the queue until the deadline; then 503 `upstream-unreachable`",
                "retries::where_the_only_replica_refuses_the_request_waits_until_it_comes_back",
            ),
            test(
                "one that ends before the answer: GET and others that may be repeated",
                "a replica",
                "sent again, twice at most",
                "retries::what_may_be_done_twice_is_sent_again_after_a_reset",
            ),
            test(
                "the same: POST",
                "a replica",
                "502 `upstream-protocol`",
                "retries::what_may_not_be_done_twice_is_sent_once",
            ),
            test(
                "idle connections that end at any moment",
                "a replica",
                "no request fails",
                "retries::a_replica_that_closes_idle_connections_at_any_moment_fails_no_request",
            ),
            test(
                "another replica at the address of one that is gone",
                "a replica",
                "gets connections of its own",
                "retries::who_has_the_address_of_one_that_is_gone_gets_none_of_its_connections",
            ),
            test(
                "no answer in time",
                "a replica",
                "504 `response-timeout`",
                "admission::a_replica_that_doesnt_begin_to_answer_in_time_is_a_504",
            ),
        ],
    }
}

fn cut() -> Section {
    Section {
        rule: "visible_cut",
        title: "Answers that break off",
        why: "A client that takes half an answer for a whole one keeps it, caches it or acts on it.",
        cases: vec![
            test(
                "an end or a reset within the content",
                "a replica, to HTTP/1",
                "cut without an end; a reset where only the connection's end would tell",
                "cuts::an_answer_that_breaks_off_has_no_clean_end",
            ),
            test(
                "the same",
                "a replica, to HTTP/2",
                "the stream is reset",
                "http2::an_answer_that_breaks_off_resets_the_stream",
            ),
            test(
                "a malformed chunk",
                "a replica",
                "the same",
                "cuts::a_malformed_chunk_of_a_replica_cuts_the_answer",
            ),
        ],
    }
}

fn floods() -> Section {
    let gone = "the connection ends";
    Section {
        rule: "frames",
        title: "Floods of frames",
        why: "The library counts what is dear: resets, fields, empty content. The rest is cheap one by one, and is counted so that it stays so: 1000 at \
              once and 200 a second are free, and the client earns more by what it asks and gets: four for a request, one for every piece and every KiB \
              of an answer.",
        cases: vec![
            test(
                "PING, SETTINGS, WINDOW_UPDATE, PRIORITY, frames of unknown types",
                "HTTP/2",
                gone,
                "floods::frames_that_carry_nothing_are_counted",
            ),
            test(
                "streams that are opened and reset",
                "HTTP/2",
                gone,
                "floods::streams_that_are_reset_are_counted",
            ),
            test(
                "windows beyond 2³¹, windows of zero, content on streams that aren't open",
                "HTTP/2",
                gone,
                "floods::what_breaks_the_rules_of_streams_ends_the_connection",
            ),
            test(
                "fields without end, empty ones too; fields that a few bytes repeat",
                "HTTP/2",
                gone,
                "floods::fields_without_end_are_not_held",
            ),
            test(
                "empty content, content byte by byte",
                "HTTP/2",
                gone,
                "floods::content_without_content_is_counted",
            ),
            test(
                "more streams than 100",
                "HTTP/2",
                "refused with REFUSED_STREAM; in the end the connection ends",
                "floods::streams_beyond_the_limit_are_refused",
            ),
            test(
                "a hundred attackers who come back again and again",
                "HTTP/2",
                "others are served",
                "crowd::a_hundred_attackers_keep_nobody_from_being_served",
            ),
        ],
    }
}

fn scarce() -> Section {
    Section {
        rule: "crowd",
        title: "Crowds",
        why: "What there isn't enough of is kept for those who are served.",
        cases: vec![
            test(
                "more connections than `--max-connections`",
                "HTTP/1, HTTP/2",
                "closed at once, where none is idle",
                "scarce::busy_connections_make_no_room",
            ),
            test(
                "more connections of one address than `--max-connections-per-client`",
                "HTTP/1, HTTP/2",
                "closed at once",
                "scarce::one_client_has_no_more_connections_than_it_may",
            ),
            test(
                "100 connections of 100 streams each that wait",
                "HTTP/2",
                "all wait, at a few KiB each",
                "crowd::ten_thousand_streams_wait_in_little_memory",
            ),
            test(
                "no descriptor left",
                "HTTP/1, HTTP/2",
                "idle connections make room",
                "descriptors::when_descriptors_run_out_idle_connections_make_room",
            ),
            test(
                "memory at 85, 92, 95 % of the limit",
                "HTTP/1, HTTP/2",
                "no waiting; nothing idle; no new connection",
                "scarce::as_memory_fills_the_proxy_gives_up_one_thing_after_the_other",
            ),
        ],
    }
}

fn going() -> Section {
    Section {
        rule: "going",
        title: "A proxy that goes away",
        why: "Those who send clients here learn it later than the proxy. Until then it serves, and asks everybody to go elsewhere next.",
        cases: vec![
            test(
                "requests during the delay, on new connections too",
                "HTTP/1",
                "served, with `Connection: close`",
                "shutdown::during_the_delay_everything_is_served_and_asked_to_go_elsewhere",
            ),
            test(
                "the same",
                "HTTP/2",
                "served, with GOAWAY",
                "shutdown::http2_clients_are_told_to_go_and_what_they_have_open_is_served",
            ),
            test(
                "a request that still waits at the end",
                "HTTP/1",
                "503 `draining`",
                "shutdown::who_waits_at_the_end_of_the_drain_is_told_that_the_proxy_goes",
            ),
        ],
    }
}

fn panics() -> Section {
    Section {
        rule: "panics",
        title: "A bug of ours",
        why: "It ends the one connection or stream in which it is, and what that held is given back. `kaos_panics_total` counts it.",
        cases: vec![test(
            "a panic while a replica's slot is held",
            "HTTP/1, HTTP/2",
            "the connection ends, or the stream; others go on",
            "sabotage::a_panic_ends_its_connection_alone",
        )],
    }
}

fn strays() -> Section {
    Section {
        rule: "strays",
        title: "Names that nobody knows",
        why: "Labels of metrics and lines of the log come from what is known of the platform. A request makes neither.",
        cases: vec![
            test(
                "100 000 hosts",
                "HTTP/1",
                "404 `no-route`, counted as one",
                "target::a_hundred_thousand_hosts_leave_no_trace",
            ),
            test(
                "an `X-Request-Id` with odd bytes, or longer than 128",
                "HTTP/1",
                "replaced: it goes into logs",
                "hops::a_sane_request_id_is_kept_and_any_other_replaced",
            ),
        ],
    }
}
