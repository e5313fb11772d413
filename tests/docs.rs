//! What the documents say is what the code says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

use std::collections::BTreeSet;

#[path = "../examples/knobs.rs"]
mod knobs;

#[test]
fn the_reference_page_of_the_knobs_is_up_to_date() {
    let written = include_str!("../docs/knobs.md");
    assert!(written == knobs::page(), "write it anew: cargo run --example knobs > docs/knobs.md");
}

#[test]
fn the_annotations_that_are_no_knobs_are_documented() {
    let page = include_str!("../docs/kubernetes.md");
    let table = page.split("### Annotations").nth(1).unwrap().split("\n\n").nth(1).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeSet<&str> = rows.filter_map(|row| row.split_once('`')).map(|(name, _)| name).collect();
    assert_eq!(told, BTreeSet::from(kaos_core::annotation::NAMES));
}

#[test]
fn every_dependency_has_its_line_and_every_line_its_dependency() {
    let manifest: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
    let table = manifest["workspace"]["dependencies"].as_table().unwrap();
    let named: BTreeSet<&str> = table
        .iter()
        .filter(|(_, entry)| entry.get("path").is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    let rows = include_str!("../docs/dependencies.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeSet<&str> = rows.filter_map(|row| row.split_once('`')).map(|(name, _)| name).collect();
    assert_eq!(named, told, "docs/dependencies.md");
}
