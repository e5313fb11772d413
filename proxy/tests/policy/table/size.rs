//! How large a head may be.

use super::{Case, Outcome, Section, Seen, http1, http2, request, test};

pub fn sections() -> Vec<Section> {
    let fields = |count: usize| (0..count).map(|at| format!("X-{at}: y\r\n")).collect::<String>();
    let large = || Outcome::Refused(431, "header-too-large");
    let long = || Outcome::Refused(414, "uri-too-long");
    let sound = || Outcome::Passed(vec![]);
    let h1 = |what: &str, start: &str, more: String, outcome| {
        http1(what, &format!("{start}\r\nHost: shop\r\n{more}\r\n"), outcome)
    };
    let get = "GET / HTTP/1.1";
    let x = |length: usize| "x".repeat(length);
    let target = |length: usize| format!("GET /{} HTTP/1.1", x(length - 1));
    vec![Section {
        rule: "head_size",
        title: "Size",
        why: "A head is held whole before anybody has decided that it is worth anything: 32 KiB (`--max-header-size`), 100 fields, a target of 16 KiB.",
        cases: vec![
            h1("100 fields", get, fields(99), sound()),
            h1("101 fields", get, fields(100), large()),
            h1("a field of 31 KiB", get, format!("X: {}\r\n", x(31 * 1024)), sound()),
            h1("a field of 33 KiB", get, format!("X: {}\r\n", x(33 * 1024)), large()),
            h1("a field's name of 33 KiB", get, format!("{}: y\r\n", x(33 * 1024)), large()),
            http1("33 KiB of a field that doesn't end", &format!("{get}\r\nX: {}", x(33 * 1024)), large()),
            h1("a target of 16 KiB", &target(16 * 1024), String::new(), sound()),
            h1("a target of 16 KiB and a byte", &target(16 * 1024 + 1), String::new(), long()),
            http1("40 KiB of a target that doesn't end", &format!("GET /{}", x(40 * 1024)), long()),
            h1("a method of 40 KiB", &format!("{} / HTTP/1.1", "M".repeat(40 * 1024)), String::new(), long()),
            http1("80 KiB of empty lines", &"\r\n".repeat(40 * 1024), large()),
            stream("a target of 16 KiB and a byte", &x(16 * 1024), &[], long()),
            stream("a field of 16 KiB", "", &[("x", &x(16 * 1024))], sound()),
            stream("a field of 33 KiB", "", &[("x", &x(33 * 1024))], Outcome::Relayed(431, vec![])),
            test(
                "33 KiB, byte by byte",
                "HTTP/1",
                "431 `header-too-large` at the same size",
                "target::a_head_that_comes_byte_by_byte_is_refused_at_the_same_size",
            ),
        ],
    }]
}

fn stream(what: &str, target: &str, more: &[(&str, &str)], outcome: Outcome) -> Case {
    let target = format!("/{target}");
    let mut fields = request("GET", &target, "shop");
    fields.extend(more);
    let outcome = match outcome {
        Outcome::Passed(_) => Outcome::Passed(vec![Seen::Body("")]),
        outcome => outcome,
    };
    http2(what, &fields, None, outcome)
}
