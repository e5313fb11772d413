//! What holds for all readers, and what their tests share.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

pub(super) fn read(text: impl AsRef<[u8]>) -> Result<Trace, String> {
    read_by(1, text)
}

pub(super) fn read_by(seed: u64, text: impl AsRef<[u8]>) -> Result<Trace, String> {
    requests(Source { name: "log", read: &mut text.as_ref() }, seed).map_err(|error| error.to_string())
}

pub(super) fn read_azure(invocations: impl AsRef<[u8]>, durations: Option<&[u8]>) -> Result<Trace, String> {
    let mut durations = durations;
    let durations = durations.as_mut().map(|read| Source { name: "durations", read });
    azure(Source { name: "invocations", read: &mut invocations.as_ref() }, durations, 1)
        .map_err(|error| error.to_string())
}

/// Each function's name with its requests' `at` and `takes`.
pub(super) fn told(trace: &Trace) -> Vec<(&str, Vec<(u64, u64)>)> {
    let pairs = |function: &Function| function.requests.iter().map(|one| (one.at, one.takes)).collect();
    trace.functions.iter().map(|function| (function.name.as_str(), pairs(function))).collect()
}

/// Whether a trace is what a replay relies on.
fn check(trace: &Trace) {
    assert!(trace.span > 0 && trace.span.is_multiple_of(MINUTE), "{}", trace.span);
    for function in &trace.functions {
        assert!(function.requests.is_sorted_by_key(|request| request.at));
        assert!(function.requests.iter().all(|request| request.at < trace.span));
    }
}

/// Pieces of all formats, in any order: more of them are nearly right than of any bytes.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    const KNOWN: [&[u8]; 36] = [
        b"\n",
        b"\r\n",
        b"\"",
        b"\\",
        b",",
        b"{",
        b"}",
        b":",
        b" ",
        b"[",
        b"]",
        b"-",
        b"\xEF\xBB\xBF",
        b"\xFF",
        b"time",
        b"time,workload,duration\n",
        b"1.5,a,0.25\n",
        b"2026-11-09T13:55:36Z,a,\n",
        b"HashOwner,HashApp,HashFunction,1,2\n",
        b"o,a,f,1,2\n",
        b"percentile_Average_0",
        b"NaN",
        b"1e400",
        b"-1",
        b"{\"ts\":\"2026-11-09T13:55:36.250Z\",\"workload\":\"a/b\",\"duration_ms\":1.5,\"queue_ms\":2}\n",
        b"{\"msec\":1.5,\"host\":\"a\",\"request_time\":\"0.1\"}\n",
        b"\"time\":",
        b"\\x22",
        b"\\ud800",
        b"10.0.0.1 - - [09/Nov/2026:13:55:36 +0000] \"GET / HTTP/1.1\" 200 12 \"-\" \"-\"",
        b" 0.25\n",
        b"a.example:443 10.0.0.1 - - [09/Nov/2026:13:55:36 +0000] \"",
        b" 200 12",
        b"345 0.100 [default-shop-80] []",
        b"99999999999999999999",
        "\u{2003}é".as_bytes(),
    ];
    prop::collection::vec(select(&KNOWN[..]), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_bytes_do_harm(
        one in prop_oneof![pieces(), prop::collection::vec(any::<u8>(), 0..200)],
        other in pieces(),
    ) {
        for trace in [read(&one), read_azure(&one, None), read_azure(&one, Some(&other))].iter().flatten() {
            check(trace);
        }
    }

    #[test]
    fn counts_of_minutes_come_out_as_they_are(
        counts in prop::collection::vec(prop::collection::vec(0_u64..50, 5), 1..6),
        seed in any::<u64>(),
    ) {
        // There is no minute 13.
        let mut file = "HashOwner,HashApp,HashFunction,Trigger,10,11,12,14,15\n".to_owned();
        for (row, counts) in counts.iter().enumerate() {
            let cells: Vec<String> = counts.iter().map(u64::to_string).collect();
            file.push_str(&format!("o,a,f{row},http,{}\n", cells.join(",")));
        }
        let trace = azure(Source { name: "invocations", read: &mut file.as_bytes() }, None, seed).unwrap();
        check(&trace);
        prop_assert_eq!((trace.functions.len(), trace.span), (counts.len(), 6 * MINUTE));
        for (function, counts) in trace.functions.iter().zip(&counts) {
            let mut found = [0; 6];
            for request in &function.requests {
                found[(request.at / MINUTE) as usize] += 1;
            }
            prop_assert_eq!(found.to_vec(), [&counts[..3], &[0], &counts[3..]].concat());
        }
    }

    #[test]
    fn the_order_of_lines_does_not_matter(times in prop::collection::vec(0_u64..1_000_000, 1..50)) {
        let file = |times: &[u64]| {
            let rows: Vec<String> = times.iter().map(|time| format!("{time},a,1\n")).collect();
            read(format!("time,workload,duration\n{}", rows.concat())).unwrap()
        };
        let mut sorted = times.clone();
        sorted.sort_unstable();
        prop_assert_eq!(file(&times), file(&sorted));
    }
}
