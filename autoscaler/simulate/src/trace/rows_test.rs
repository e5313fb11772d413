//! Tables of requests.

use super::any_test::{read, read_by, told};
use super::*;

#[test]
fn a_table_has_its_columns_in_any_order() {
    let trace = read("duration,time,workload\n0.25,10.5,shop\n1,10,\"cart, the\"\n").unwrap();
    let expected = [("shop", vec![(500_000, 250_000)]), ("cart, the", vec![(0, 1_000_000)])];
    assert_eq!(told(&trace), expected);
    assert_eq!(trace.span, MINUTE);
}

#[test]
fn what_a_table_does_not_say_has_a_rule() {
    let trace = read("\u{feff}time\r\n3\r\n\r\n1").unwrap();
    assert_eq!(told(&trace), [("all", vec![(0, TAKES), (2_000_000, TAKES)])]);
    let trace = read("time, workload, duration\n3, , \n1, a, 0\n").unwrap();
    assert_eq!(told(&trace), [("all", vec![(2_000_000, TAKES)]), ("a", vec![(0, 0)])]);
}

#[test]
fn dates_are_times_too() {
    let rows = "2026-11-09T13:55:36.5Z\n2026-11-09T14:55:36+01:00\n2026-11-09T13:56:36Z\n";
    let trace = read(format!("time\n{rows}")).unwrap();
    assert_eq!(told(&trace), [("all", vec![(0, TAKES), (500_000, TAKES), (60_000_000, TAKES)])]);
    assert_eq!(trace.span, 2 * MINUTE);
}

#[test]
fn dates_without_fractions_are_spread_by_the_seed() {
    let file = format!("time\n{}", "2026-11-09T13:55:36Z\n".repeat(100));
    let trace = read_by(1, &file).unwrap();
    assert_eq!(trace, read_by(1, &file).unwrap());
    assert_ne!(trace, read_by(2, &file).unwrap());
    let at: Vec<u64> = trace.functions[0].requests.iter().map(|request| request.at).collect();
    assert!(at[0] == 0 && (800_000..1_000_000).contains(&at[99]), "{at:?}");
    // A number says what it says.
    let trace = read(format!("time\n{}", "36\n".repeat(100))).unwrap();
    assert!(trace.functions[0].requests.iter().all(|request| request.at == 0));
}

#[test]
fn a_time_that_is_none_is_refused() {
    const EXPECTED: &str =
        "expected a number of seconds from 0 to 100000000000, or a date such as 2026-11-09T13:55:36.250Z";
    for cell in
        ["-1", "NaN", "inf", "-inf", "soon", "", "1731160536123", "2026-11-09", "2026-02-30T00:00:00Z"]
    {
        let error = read(format!("workload,time\na,1\nb,{cell}\n")).unwrap_err();
        assert_eq!(error, format!("log:3: column \"time\": got \"{cell}\"; {EXPECTED}"));
    }
    let error = read("time\n1\n2026-11-09T13:55:36Z\n").unwrap_err();
    assert_eq!(error, "log:3: the time is a date, but a number of seconds in line 2; one file has one kind");
    let error = read("time\n2026-11-09T13:55:36Z\n1\n").unwrap_err();
    assert_eq!(error, "log:3: the time is a number of seconds, but a date in line 2; one file has one kind");
}

#[test]
fn a_duration_that_is_none_is_refused() {
    for cell in ["-0.5", "NaN", "inf", "1s", "10000001"] {
        let error = read(format!("time,duration\n1,{cell}\n")).unwrap_err();
        let expected = "expected a number of seconds from 0 to 10000000";
        assert_eq!(error, format!("log:2: column \"duration\": got \"{cell}\"; {expected}"));
    }
}

#[test]
fn a_header_that_is_none_is_refused() {
    for (file, what) in [
        ("", "log: is empty"),
        ("\r\n\n", "log: is empty"),
        ("time\n", "log: has a header, but no rows"),
        ("workload\na\n", "log:1: column \"time\": is missing"),
        ("time,workload,time\n1,a,1\n", "log:1: column \"time\": is there twice"),
        (
            "time,length,colour\n1,2,3\n",
            "log:1: unknown columns \"length\", \"colour\"; allowed are time, workload, duration",
        ),
        (
            "time,1,2,3,4,5,6,7\n",
            "log:1: unknown columns \"1\", \"2\", \"3\", \"4\", \"5\", and 2 more; allowed are time, workload, duration",
        ),
        (
            "hello\n",
            "log:1: unknown columns \"hello\"; allowed are time, workload, duration (as it is neither JSON nor the line \
             of an access log, this is read as a table's header)",
        ),
    ] {
        assert_eq!(read(file).unwrap_err(), what, "{file:?}");
    }
}

#[test]
fn a_row_that_is_none_is_refused() {
    for (row, what) in [
        ("1,a,1", "the number of cells is 3; expected 2, as in the header"),
        ("1", "the number of cells is 1; expected 2, as in the header"),
        ("1,\"a\nb\"", "a quoted cell doesn't end in its line"),
        ("1,\"a", "a quoted cell doesn't end in its line"),
    ] {
        assert_eq!(
            read(format!("time,workload\n1,a\n{row}\n")).unwrap_err(),
            format!("log:3: {what}"),
            "{row}"
        );
    }
    let error = read(b"time,workload\r\n1,a\r\n1,b\xC3\r\n").unwrap_err();
    assert_eq!(error, "log:3: column \"workload\": byte 2 of the cell isn't UTF-8");
    let error = read(format!("time\n{}1\n", " ".repeat(1 << 20))).unwrap_err();
    assert_eq!(error, "log:2: is longer than 1048576 bytes");
    let error = read(format!("time\n{}\n", "x".repeat(70))).unwrap_err();
    assert!(error.contains(&format!("got \"{}\"…; expected", "x".repeat(60))), "{error}");
}
