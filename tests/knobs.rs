//! The reference page of the knobs is the table of the knobs.

#[path = "../examples/knobs.rs"]
mod knobs;

#[test]
fn the_reference_page_is_up_to_date() {
    let written = include_str!("../docs/knobs.md");
    assert!(written == knobs::page(), "write it anew: cargo run --example knobs > docs/knobs.md");
}
