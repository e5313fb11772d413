//! What a replica answers.

use super::{Case, Outcome, Section, Seen, Sent, raw, shown, test};

pub fn sections() -> Vec<Section> {
    vec![broken(), interim(), contentless(), behind(), fields()]
}

fn answer(what: &str, method: &'static str, bytes: &str, outcome: Outcome) -> Case {
    Case { what: what.to_owned(), sent: Sent::Answer { method, bytes: raw(bytes) }, outcome }
}

fn unusable() -> Outcome {
    Outcome::Refused(502, "upstream-protocol")
}

const BODY: &str = "Content-Length: 5\r\n\r\nhello";

fn broken() -> Section {
    let many: String = (0..101).map(|at| format!("X-{at}: y\r\n")).collect();
    let mut cases: Vec<Case> = BROKEN
        .iter()
        .map(|head| answer(&format!("`{}`", shown(head)), "GET", &format!("{head}\r\n{BODY}"), unusable()))
        .collect();
    cases.extend(BROKEN_LENGTHS.iter().map(|lines| {
        let bytes = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n0\r\n\r\n");
        answer(&format!("`{}`", shown(lines)), "GET", &bytes, unusable())
    }));
    let of = |what: &str, bytes: &str| answer(what, "GET", bytes, unusable());
    cases.extend([
        of(
            "`Transfer-Encoding: chunked` of HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        of("101 fields", &format!("HTTP/1.1 200 OK\r\n{many}{BODY}")),
        of("a head of more than 64 KiB", &format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(70_000))),
        of("a reason of more than 64 KiB", &format!("HTTP/1.1 200 {}", "x".repeat(70_000))),
        of("`SSH-2.0-OpenSSH_9.2`", "SSH-2.0-OpenSSH_9.2\r\n"),
        of("an alert of TLS", "\u{16}\u{3}\u{3}\0\u{2}\u{2}\u{28}"),
        of("zeros", "\0\0\0\0"),
        of("a request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        test(
            "a malformed chunk with the head",
            "a replica, to HTTP/1",
            "502 `upstream-protocol`",
            "cuts::a_malformed_chunk_that_comes_with_the_head_is_a_502",
        ),
    ]);
    Section {
        rule: "sound_answers",
        title: "Answers that break the rules",
        why: "A replica may be taken over, or a bug away from it: what a client could read in two ways is an answer for somebody else. The \
              client gets a 502 that is whole, and the connection to the replica is closed.",
        cases,
    }
}

fn interim() -> Section {
    let some = |interim: &str, count: usize| format!("{}HTTP/1.1 200 OK\r\n{BODY}", interim.repeat(count));
    let fine = || Outcome::Relayed(200, vec![Seen::Body("hello")]);
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    Section {
        rule: "interim",
        title: "Interim answers",
        why: "They end at the proxy, which has told the client itself to go on. A replica that sends no end of them would keep a core busy.",
        cases: vec![
            answer("a 100", "GET", &some("HTTP/1.1 100 Continue\r\n\r\n", 1), fine()),
            answer("a 102", "GET", &some("HTTP/1.1 102 Processing\r\n\r\n", 1), fine()),
            answer("16 of 103", "GET", &some(hints, 16), fine()),
            answer("17 of 103", "GET", &some(hints, 17), unusable()),
            answer("500 of 199", "GET", &some("HTTP/1.1 199 X\r\n\r\n", 500), unusable()),
        ],
    }
}

fn contentless() -> Section {
    let none = |status, length: Option<&'static str>| {
        let length =
            length.map_or(Seen::Without("Content-Length"), |said| Seen::Field("Content-Length", vec![said]));
        Outcome::Relayed(status, vec![length, Seen::Body("")])
    };
    Section {
        rule: "contentless",
        title: "Answers without content",
        why: "HEAD, 204, 205 and 304 have none (RFC 9110 §6.4.1), whatever the replica sends: it would be read as the next answer. What a HEAD or a 304 says of the length stays.",
        cases: vec![
            answer(
                "content behind a HEAD",
                "HEAD",
                &format!("HTTP/1.1 200 OK\r\n{BODY}"),
                none(200, Some("5")),
            ),
            answer(
                "chunks behind a HEAD",
                "HEAD",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                none(200, None),
            ),
            answer("content of a 204", "GET", &format!("HTTP/1.1 204 No Content\r\n{BODY}"), none(204, None)),
            answer(
                "content of a 304",
                "GET",
                &format!("HTTP/1.1 304 Not Modified\r\n{BODY}"),
                none(304, Some("5")),
            ),
            answer(
                "content of a 205",
                "GET",
                &format!("HTTP/1.1 205 Reset Content\r\n{BODY}"),
                none(205, Some("0")),
            ),
        ],
    }
}

fn behind() -> Section {
    let whole = || Outcome::Relayed(200, vec![Seen::Body("hello")]);
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    Section {
        rule: "bytes_behind",
        title: "Bytes behind an answer",
        why: "They are nobody's answer. The connection that brought them is closed, for the next request on it would get them.",
        cases: vec![
            answer("a byte", "GET", &format!("HTTP/1.1 200 OK\r\n{BODY}x"), whole()),
            answer("an answer to nobody", "GET", &format!("HTTP/1.1 200 OK\r\n{BODY}{forged}"), whole()),
            test(
                "the next request then",
                "a replica",
                "gets an answer of its own, on a new connection",
                "answers::bytes_behind_an_answer_are_never_anothers_answer",
            ),
        ],
    }
}

fn fields() -> Section {
    let without = |line: &str, name: &'static str| {
        answer(
            &format!("`{line}`"),
            "GET",
            &format!("HTTP/1.1 200 OK\r\n{line}\r\n{BODY}"),
            Outcome::Relayed(200, vec![Seen::Without(name), Seen::Body("hello")]),
        )
    };
    Section {
        rule: "answer_fields",
        title: "Fields of an answer",
        why: "What speaks of the replica's connection ends with it: a `Connection: close` passed on would close the client's. What only the proxy can know only the proxy says.",
        cases: vec![
            without("Connection: close, X-Private\r\nX-Private: y", "X-Private")
                .shown_as("`Connection: close, X-Private`"),
            without("Keep-Alive: timeout=5", "Keep-Alive"),
            without("Proxy-Authenticate: Basic", "Proxy-Authenticate"),
            without("Upgrade: h2c", "Upgrade"),
            without("X-Kaos-Cold-Start: true", "X-Kaos-Cold-Start"),
            without("X-Kaos-Hop: moved", "X-Kaos-Hop"),
            without("Transfer_Encoding: chunked", "Transfer_Encoding"),
        ],
    }
}

impl Case {
    fn shown_as(self, what: &str) -> Case {
        Case { what: what.to_owned(), ..self }
    }
}

/// Heads without their last field.
const BROKEN: &[&str] = &[
    "HTTP/1.1 99 X",
    "HTTP/1.1 1000 X",
    "HTTP/1.1 000 X",
    "HTTP/1.1 2x0 X",
    "HTTP/1.1 -20 X",
    "HTTP/1.1  200 X",
    "HTTP/1.1",
    "HTTP/1.2 200 OK",
    "HTTP/2.0 200 OK",
    "http/1.1 200 OK",
    "ICY 200 OK",
    "hello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
    "HTTP/1.1 200 OK\r\nContent-Length: 5",
    "HTTP/1.1 200 OK\r\nContent-Length: 6",
    "HTTP/1.1 200 OK\r\nX: y\r\n folded",
    "HTTP/1.1 200 OK\r\nX : y",
    "HTTP/1.1 200 OK\r\n X: y",
    "HTTP/1.1 200 OK\r\nX y: z",
    "HTTP/1.1 200 OK\r\nX: \0",
    "HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: z",
    "HTTP/1.1 200 OK\r\n: y",
    "HTTP/1.1 200 OK\r\nX",
];

/// Fields that say the length.
const BROKEN_LENGTHS: &[&str] = &[
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Content-Length: 5, 5",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 0x5",
    "Content-Length:",
    "Content-Length: 9223372036854775808",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: , chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
];
