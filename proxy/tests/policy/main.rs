//! Runs the table of what becomes of odd and hostile requests, answers and clients, a test for each of its sections.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what breaks here fails the test")]

mod run;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::collections::BTreeSet;

use run::run;
use table::{Section, Sent, sections};

macro_rules! run_each {
    ($($rule:ident)*) => {
        const RULES: &[&str] = &[$(stringify!($rule)),*];
        $(
            #[test]
            fn $rule() {
                run(stringify!($rule));
            }
        )*
    };
}

run_each! {
    one_length chunk_grammar sound_length head_bytes line_ends one_host same_host target_host targets methods head_size
    hop_by_hop forwarding upgrades h2c expectations trailers pipelines sound_answers interim contentless bytes_behind
    answer_fields downgrade
}

#[test]
fn the_page_says_what_is_tested() {
    let written = include_str!("../../../docs/http-policy.md");
    assert!(
        written == table::page(),
        "write it anew: cargo run -p kaos-proxy --example policy > docs/http-policy.md"
    );
}

#[test]
fn every_section_is_run_and_every_test_that_is_named_is_there() {
    let is_of_cases =
        |section: &&Section| section.cases.iter().any(|case| !matches!(case.sent, Sent::Test { .. }));
    let run: BTreeSet<&str> = RULES.iter().copied().collect();
    let sections = sections();
    for section in &sections {
        assert!(!is_of_cases(&section) || run.contains(section.rule), "{} isn't run", section.rule);
        for case in &section.cases {
            let Sent::Test { test, .. } = case.sent else { continue };
            let (file, name) = test.split_once("::").unwrap();
            let path = format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"));
            let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(source.contains(&format!("#[test]\nfn {name}()")), "{path} has no test {name}");
        }
    }
    let rules: BTreeSet<&str> = sections.iter().map(|section| section.rule).collect();
    assert!(run.is_subset(&rules), "{run:?}");
    assert_eq!(rules.len(), sections.len(), "each rule has one section");
}
