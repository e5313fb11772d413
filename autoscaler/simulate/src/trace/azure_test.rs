//! The Azure Functions Trace.

use super::any_test::{read_azure, told};
use super::*;

const HEADER: &str = "HashOwner,HashApp,HashFunction,Trigger,480,481,483\n";
const PERCENTILES: &str = "percentile_Average_0,percentile_Average_1,percentile_Average_25,percentile_Average_50,\
                           percentile_Average_75,percentile_Average_99,percentile_Average_100";

fn invocations(rows: &str) -> Vec<u8> {
    format!("{HEADER}{rows}").into_bytes()
}

fn durations(rows: &str) -> Vec<u8> {
    format!("HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,{PERCENTILES}\n{rows}").into_bytes()
}

fn error(rows: &str) -> String {
    read_azure(invocations(rows), None).unwrap_err()
}

#[test]
fn a_trace_has_its_counts_and_its_durations() {
    let counts = invocations("o,a,one,http,3,0,2\no,a,two,timer,0,1,0\n");
    let times = durations("o,a,one,7,5,2,9.0,2,2,4,6,8,9,9\n");
    let trace = read_azure(&counts, Some(&times)).unwrap();
    assert_eq!(trace.span, 4 * MINUTE);
    let told = told(&trace);
    let [(one, first), (two, second)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((*one, *two), ("one", "two"));
    let minutes: Vec<u64> = first.iter().map(|(at, _)| at / MINUTE).collect();
    assert_eq!(minutes, [0, 0, 0, 3, 3]);
    assert!(first.iter().all(|(_, takes)| (2_000..=9_000).contains(takes)), "{first:?}");
    assert!(first.iter().any(|(_, takes)| *takes != first[0].1), "{first:?}");
    // It has no row of durations.
    assert_eq!((second[0].0 / MINUTE, second[0].1), (1, TAKES));
}

#[test]
fn durations_and_other_functions_leave_arrivals_as_they_are() {
    let at = |trace: &Trace, function: usize| -> Vec<u64> {
        trace.functions[function].requests.iter().map(|request| request.at).collect()
    };
    let alone = read_azure(invocations("o,a,one,http,30,0,2\no,a,two,http,9,9,9\n"), None).unwrap();
    let times = durations("o,a,one,7,5,2,9,2,2,4,6,8,9,9\n");
    let timed = read_azure(invocations("o,a,one,http,1,1,1\no,a,two,http,9,9,9\n"), Some(&times)).unwrap();
    assert_eq!(at(&alone, 1), at(&timed, 1));
    assert_ne!(at(&alone, 0)[..9], at(&alone, 1)[..9]);
}

#[test]
fn a_seed_is_one_trace() {
    let by = |seed| {
        let file = invocations("o,a,one,http,30,0,2\n");
        azure(Source { name: "invocations", read: &mut &file[..] }, None, seed).unwrap()
    };
    assert_eq!(by(7), by(7));
    assert_ne!(by(7), by(8));
}

#[test]
fn of_several_rows_of_durations_the_one_of_most_requests_holds() {
    let rows =
        "o,a,one,1,5,1,1,1,1,1,1,1,1,1\no,a,one,2,9,2,2,2,2,2,2,2,2,2\no,a,one,3,9,3,3,3,3,3,3,3,3,3\n";
    let trace = read_azure(invocations("o,a,one,http,1,0,0\n"), Some(&durations(rows))).unwrap();
    assert_eq!(trace.functions[0].requests[0].takes, 2_000);
}

#[test]
fn rows_of_one_function_add_up_and_a_shared_name_is_told_apart() {
    let rows = "o,a,one,http,1,0,1\no,b,one,http,1,0,0\no,a,two,http,0,0,0\no,a,one,timer,1,1,0\n";
    let trace = read_azure(invocations(rows), None).unwrap();
    let told = told(&trace);
    let minutes = |at: usize| told[at].1.iter().map(|(at, _)| at / MINUTE).collect::<Vec<_>>();
    assert_eq!(told.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["o/a/one", "o/b/one", "two"]);
    assert_eq!([minutes(0), minutes(1), minutes(2)], [vec![0, 0, 1, 3], vec![0], vec![]]);
}

#[test]
fn columns_may_be_in_any_order_and_the_trigger_may_be_missing() {
    let trace = read_azure("1,HashFunction,2,HashApp,HashOwner\n1,f,0,a,o\n", None).unwrap();
    assert_eq!((trace.functions[0].requests.len(), trace.span), (1, 2 * MINUTE));
}

#[test]
fn a_count_that_is_none_is_refused() {
    for (cell, got) in
        [("x", "\"x\""), ("-1", "\"-1\""), ("1.5", "\"1.5\""), ("NaN", "\"NaN\""), ("", "\"\"")]
    {
        let expected =
            format!("invocations:3: column \"481\": got {got}; expected a whole number from 0 to 10000000");
        assert_eq!(error(&format!("o,a,f,http,0,0,0\no,a,g,http,0,{cell},0\n")), expected);
    }
    let expected =
        "invocations:2: column \"480\": got \"10000001\"; expected a whole number from 0 to 10000000";
    assert_eq!(error("o,a,f,http,10000001,0,0\n"), expected);
}

#[test]
fn there_is_a_bound_on_all_requests() {
    let minutes: Vec<String> = (1..=101).map(|minute| minute.to_string()).collect();
    let header = format!("HashOwner,HashApp,HashFunction,{}", minutes.join(","));
    let file = format!("{header}\no,a,f{}\n", ",10000000".repeat(101));
    assert_eq!(
        read_azure(file, None).unwrap_err(),
        "invocations:2: more than 1000000000 requests up to here"
    );
}

#[test]
fn a_table_that_is_none_is_refused() {
    let short = "invocations:2: the number of cells is 6; expected 7, as in the header";
    assert_eq!(error("o,a,f,http,0,0\n"), short);
    assert_eq!(error(""), "invocations: has a header, but no rows");
    assert_eq!(read_azure("", None).unwrap_err(), "invocations: is empty");
    assert_eq!(read_azure("\n \r\n", None).unwrap_err(), "invocations: is empty");
    let name = "invocations:2: column \"HashFunction\": got \"\"; expected a name";
    assert_eq!(error("o,a,,http,0,0,0\n"), name);
    let bytes = [&invocations("o,a,f,ht")[..], b"\xFF,0,0,0\n"].concat();
    let text = "invocations:2: column \"Trigger\": byte 3 of the cell isn't UTF-8";
    assert_eq!(read_azure(bytes, None).unwrap_err(), text);
    assert_eq!(error("o,a,f,\"http,0,0,0\n"), "invocations:2: a quoted cell doesn't end in its line");
    let long = format!("o,a,f,{},0,0,0\n", "h".repeat(1 << 20));
    assert_eq!(error(&long), "invocations:2: is longer than 1048576 bytes");
}

#[test]
fn a_header_that_is_none_is_refused() {
    for (header, what) in [
        ("HashOwner,HashApp,1", "column \"HashFunction\": is missing"),
        ("HashOwner,HashApp,HashFunction,Trigger", "there is no column of a minute, such as \"1\""),
        ("HashOwner,HashApp,HashFunction,2,1", "column \"1\": comes after minute 2; minutes ascend"),
        ("HashOwner,HashApp,HashFunction,2,2", "column \"2\": is there twice"),
        ("HashOwner,HashApp,HashFunction,2,02", "column \"02\": comes after minute 2; minutes ascend"),
        (
            "HashOwner,HashApp,HashFunction,+1",
            "column \"+1\": unknown; allowed are HashOwner, HashApp, HashFunction, Trigger, and the numbers of minutes",
        ),
    ] {
        let file = format!("\n{header}\no,a,f,1,1\n");
        assert_eq!(read_azure(file, None).unwrap_err(), format!("invocations:2: {what}"), "{header}");
    }
}

#[test]
fn durations_that_are_none_are_refused() {
    let counts = invocations("o,a,f,http,0,0,0\n");
    let error = |file: &[u8]| read_azure(&counts, Some(file)).unwrap_err();
    for cell in ["-1", "NaN", "inf", "x", "", "10000000001"] {
        let expected = format!(
            "durations:2: column \"percentile_Average_75\": got \"{cell}\"; expected a number of milliseconds from 0 \
             to 10000000000"
        );
        assert_eq!(error(&durations(&format!("o,a,f,1,1,1,1,1,1,1,1,{cell},1,1\n"))), expected);
    }
    let count = "durations:2: column \"Count\": got \"1.5\"; expected a whole number";
    assert_eq!(error(&durations("o,a,f,1,1.5,1,1,1,1,1,1,1,1,1\n")), count);
    let missing = "durations:1: column \"percentile_Average_0\": is missing";
    assert_eq!(error(b"HashOwner,HashApp,HashFunction,Average\no,a,f,1\n"), missing);
    let unknown = format!(
        "durations:1: unknown columns \"Mean\", \"Mode\"; allowed are HashOwner, HashApp, HashFunction, Average, Count, \
         Minimum, Maximum, {}",
        PERCENTILES.replace(',', ", ")
    );
    assert_eq!(error(b"HashOwner,Mean,Mode\no,1,1\n"), unknown);
    assert_eq!(error(&durations("")), "durations: has a header, but no rows");
}
