//! Access logs in the format `combined`.

use super::any_test::{read, read_by, told};
use super::*;

const LINE: &str = r#"192.0.2.7 - - [09/Nov/2026:13:55:36 +0000] "GET / HTTP/1.1" 200 123 "https://example.com/" "curl/8.0""#;

/// Seconds since the first second of the file, rounded down, and milliseconds that it takes.
fn seconds(trace: &Trace) -> Vec<(u64, u64)> {
    let all = trace.functions.iter().flat_map(|function| &function.requests);
    all.map(|request| (request.at / 1_000_000, request.takes / 1_000)).collect()
}

/// The workloads and durations of lines that end with `tail`.
fn with(tail: &str) -> Result<Vec<(String, u64)>, String> {
    let trace = read(format!("{LINE}{tail}\n"))?;
    Ok(trace.functions.into_iter().map(|one| (one.name, one.requests[0].takes)).collect())
}

#[test]
fn lines_are_requests_spread_over_their_second() {
    let file = format!("{LINE}\n").repeat(100);
    let trace = read_by(1, &file).unwrap();
    assert_eq!(trace, read_by(1, &file).unwrap());
    assert_ne!(trace, read_by(2, &file).unwrap());
    assert_eq!(seconds(&trace), [(0, 100); 100]);
    assert!(trace.functions[0].requests[99].at > 800_000);
    assert_eq!((trace.functions[0].name.as_str(), trace.span), ("all", MINUTE));
}

#[test]
fn a_virtual_host_is_a_workload() {
    let users = [
        "shop.example:443 192.0.2.7 - - ",
        "192.0.2.7 - frank ",
        "192.0.2.7 - john doe ",
        "cart.example:80 2001:db8::1 - john [x] ",
        "192.0.2.7 ident frank ",
    ];
    let lines: Vec<String> = users.iter().map(|who| LINE.replace("192.0.2.7 - - ", who) + "\n").collect();
    let trace = read(lines.concat()).unwrap();
    let counts: Vec<(&str, usize)> = told(&trace).into_iter().map(|(name, all)| (name, all.len())).collect();
    assert_eq!(counts, [("shop.example:443", 1), ("all", 3), ("cart.example:80", 1)]);
}

#[test]
fn a_number_at_the_end_is_how_long_before_it_came() {
    let early = LINE.replace("13:55:36", "13:55:30");
    let trace = read(format!("{LINE} 5.000\n{early}\n")).unwrap();
    let at: Vec<u64> = trace.functions[0].requests.iter().map(|request| request.at).collect();
    assert!(at[0] == 0 && at[1] < 2_000_000, "{at:?}");
    let mut takes: Vec<u64> = trace.functions[0].requests.iter().map(|request| request.takes).collect();
    takes.sort_unstable();
    assert_eq!(takes, [TAKES, 5_000_000]);
}

#[test]
fn what_is_at_the_end_is_understood_or_refused() {
    let all = |takes| Ok(vec![("all".to_owned(), takes)]);
    assert_eq!(with(""), all(TAKES));
    assert_eq!(with(" -"), all(TAKES));
    assert_eq!(with(" 0.250"), all(250_000));
    assert_eq!(with(" 2"), all(2_000_000));
    assert_eq!(with(" \"192.0.2.9\""), all(TAKES));
    assert_eq!(with(" \"192.0.2.9\" 0.250 0.249 ."), all(250_000));
    let ingress = " 345 0.250 [default-shop-80] [] 10.0.0.1:8080 12 0.249 200 4fa3";
    assert_eq!(with(ingress), Ok(vec![("default-shop-80".to_owned(), 250_000)]));
    assert_eq!(with(" 345 0.250 [] [] - - - - 4fa3"), all(250_000));
    let error = |tail: &str| {
        format!(
            "log:1: in the end comes {tail:?}; expected nothing, or first the seconds that the request took (Apache's \
             %D is microseconds)"
        )
    };
    for tail in ["rt=0.250", "-0.1", "NaN", "86401", "12 345", "345 x [default-shop-80]"] {
        assert_eq!(with(&format!(" {tail}")), Err(error(tail)), "{tail}");
    }
}

#[test]
fn odd_requests_are_requests() {
    for request in
        [r"\x16\x03\x01", "-", "", r#"GET /\"x\" HTTP/1.1"#, r"GET /\x22 HTTP/1.1", r"\\", "GET / [] HTTP"]
    {
        let line = LINE.replace("GET / HTTP/1.1", request);
        assert_eq!(
            read(format!("{line} 0.5\n")).map(|trace| seconds(&trace)),
            Ok(vec![(0, 500)]),
            "{request}"
        );
    }
    let line = LINE.replace("curl/8.0", r#"a \"b\" c"#).replace("200 123", "400 -");
    assert_eq!(read(format!("{line} 0.5\n")).map(|trace| seconds(&trace)), Ok(vec![(0, 500)]));
    // The format `common` has neither a referer nor an agent.
    let common = LINE.split(" \"https").next().unwrap();
    assert_eq!(read(format!("{common}\n")).map(|trace| seconds(&trace)), Ok(vec![(0, 100)]));
}

#[test]
fn a_line_that_is_none_is_refused_with_its_number() {
    for (line, what) in [
        (
            "hello",
            "got \"hello\"; expected: address - user [time] \"request\" status bytes \"referer\" \"agent\"",
        ),
        (
            &LINE.replace("Nov", "Nev"),
            "the time is \"09/Nev/2026:13:55:36 +0000\"; expected one such as \
                                        09/Nov/2026:13:55:36 +0000",
        ),
        (&LINE.replace("- - ", ""), "before the time comes \"192.0.2.7\"; expected address - user"),
        (
            &LINE.replace("200", "OK"),
            "after the request comes \"OK 123\"; expected a status and a number of bytes",
        ),
        (
            &LINE.replace("1.1\" 200 123 \"https://example.com/\" \"curl/8.0\"", "1.1"),
            "the request's quote doesn't end",
        ),
        (&LINE.replace("8.0\"", "8.0"), "a quote after the status doesn't end"),
        ("{}", "got \"{}\"; expected: address - user [time] \"request\" status bytes \"referer\" \"agent\""),
    ] {
        assert_eq!(read(format!("{LINE}\n\n{line}\n{LINE}\n")), Err(format!("log:3: {what}")), "{line}");
    }
}

#[test]
fn only_a_name_has_to_be_text() {
    let (before, after) = LINE.split_once("GET").unwrap();
    let line = [before.as_bytes(), b"\xFF\x16", after.as_bytes(), b" 0.5\n"].concat();
    assert_eq!(read(&line).map(|trace| seconds(&trace)), Ok(vec![(0, 500)]));
    let bytes = [LINE.as_bytes(), b"\na.ex\xFFample:80 ", &line].concat();
    assert_eq!(read(bytes).unwrap_err(), "log:2: byte 5 isn't UTF-8");
}

#[test]
fn a_torn_last_line_is_left_out() {
    let whole = read(format!("{LINE}\n")).unwrap();
    for end in 1..LINE.find(" 123").unwrap() {
        assert_eq!(read(format!("{LINE}\n{}", &LINE[..end])), Ok(whole.clone()), "{end}");
    }
    assert_eq!(read([LINE.as_bytes(), b"\n\xC3"].concat()), Ok(whole));
    // What can be read is a request.
    assert_eq!(read(format!("{LINE}\n{LINE}")).unwrap().functions[0].requests.len(), 2);
    let torn = LINE.split(" 123").next().unwrap();
    assert_eq!(read(torn).unwrap_err(), "log: holds no request");
}
