//! HTTP/2 of `kaos up` by h2spec, the cases that RFC 7540 and RFC 7541 make for a server: in cleartext and over TLS.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod up;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use up::{Kaos, run};

/// How long h2spec waits for one answer, in seconds: only what fails takes so long.
const ANSWER: &str = "20";
/// Longest time for all cases.
const PATIENCE: Duration = Duration::from_secs(600);
/// What version 2.2.1 has, with those that it calls strict.
const CASES: usize = 146;

/// Where a case stands in the suite, and what it does.
type Case = (String, String);

/// What fails in cleartext, and always will: the port speaks HTTP/1.1 too, whose readers are told by a 400 why the connection
/// ends, which h2spec takes for a broken frame. RFC 7540 §3.5 lets the GOAWAY be omitted, as this peer isn't using HTTP/2.
/// HAProxy, nginx and Caddy do the same on ports that speak both, and pass on those that speak HTTP/2 alone.
const KNOWN: [(&str, &str); 1] = [("http2/3.5", "Sends invalid connection preface")];

/// A `kaos up` before a server that answers every path to every method.
fn kaos(protocol: &str) -> (Kaos, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("tls.crt"), made.cert.pem()).unwrap();
    std::fs::write(at("tls.key"), made.signing_key.serialize_pem()).unwrap();
    let flags = ["--min-scale", "1", "--protocol", protocol, "--listen-tls", "127.0.0.1:0"];
    let pair = ["--tls-cert", &at("tls.crt"), "--tls-key", &at("tls.key")];
    (Kaos::up("h2spec", &[&flags[..], &pair].concat(), &[env!("CARGO_BIN_EXE_testbed-answer")]), folder)
}

/// Runs all cases. What became of each: `None` if it passed.
fn outcomes(address: SocketAddr, flags: &[&str]) -> BTreeMap<Case, Option<String>> {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.xml");
    let mut h2spec = kaos_testbed::h2spec().unwrap();
    h2spec.args(["--host", "127.0.0.1", "--port", &address.port().to_string(), "--path", "/bytes/1000"]);
    h2spec.args(["--strict", "--timeout", ANSWER, "--junit-report"]).arg(&report).args(flags);
    let (_, said) = run(&mut h2spec, PATIENCE);
    let report =
        std::fs::read_to_string(&report).unwrap_or_else(|error| panic!("no report ({error}): {said}"));
    let mut cases = BTreeMap::new();
    for case in report.split("<testcase ").skip(1) {
        let (attributes, rest) = case.split_once('>').unwrap();
        let of =
            |name: &str| attributes.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap();
        let became = rest.split_once("</testcase>").unwrap().0.trim();
        let key = (of("package").to_owned(), of("classname").replace("&#34;", "\""));
        let earlier = cases.insert(key, (!became.is_empty()).then(|| became.to_owned()));
        assert!(earlier.is_none(), "two cases have one name: {attributes}");
    }
    cases
}

/// Sees that what fails is what is known to fail, no more and no less.
#[track_caller]
fn judge(cases: &BTreeMap<Case, Option<String>>, known: &[(&str, &str)]) {
    assert_eq!(cases.len(), CASES, "cases");
    let failed: Vec<_> = cases.iter().filter_map(|(case, became)| Some((case, became.as_ref()?))).collect();
    let told: Vec<String> =
        failed.iter().map(|((section, case), became)| format!("{section}: {case}: {became}")).collect();
    let names: Vec<_> = failed.iter().map(|((section, case), _)| (section.as_str(), case.as_str())).collect();
    assert_eq!(names, known, "failed:\n{}", told.join("\n"));
}

#[test]
fn every_case_passes_in_cleartext_but_one_that_a_port_of_both_versions_cant_pass() {
    let (kaos, _folder) = kaos("http1");
    judge(&outcomes(kaos.listen, &[]), &KNOWN);
    kaos.lets_go();
}

#[test]
fn the_same_pass_where_the_replica_speaks_http2() {
    let (kaos, _folder) = kaos("h2c");
    judge(&outcomes(kaos.listen, &[]), &KNOWN);
    kaos.lets_go();
}

#[test]
fn every_case_passes_over_tls() {
    let (kaos, _folder) = kaos("http1");
    judge(&outcomes(kaos.listen_tls(), &["--tls", "--insecure"]), &[]);
    kaos.lets_go();
}
