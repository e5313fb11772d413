//! Lists in whatever chunks they come.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::list::{List, ListMeta};

/// Takes `text` apart in chunks of these sizes, over and over.
fn take(text: &[u8], sizes: &[usize]) -> Result<(Vec<Value>, ListMeta), String> {
    let (mut list, mut all) = (List::default(), Vec::new());
    let (mut rest, mut sizes) = (text, sizes.iter().cycle());
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        list.take(chunk, &mut |object| all.push(object))?;
        rest = after;
    }
    let meta = list.end(&mut |object| all.push(object))?;
    Ok((all, meta))
}

fn value() -> impl Strategy<Value = Value> {
    let text = select(vec!["", "items", "}", "{[", "\"", "\\", "\\\"", "\u{1F600}\n", "a,b]"]);
    let leaf = prop_oneof![
        text.prop_map(|text| json!(text)),
        any::<i32>().prop_map(|it| json!(it)),
        Just(Value::Null)
    ];
    leaf.prop_recursive(4, 24, 4, |within| {
        let name = select(vec!["items", "metadata", "x\\", "y\"", "{"]);
        prop_oneof![
            prop::collection::vec(within.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(name, within, 0..4)
                .prop_map(|map| map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_object_comes_out_as_it_went_in(
        items in prop::collection::vec(value(), 0..6), more in value(), pretty in any::<bool>(),
        sizes in prop::collection::vec(1..40_usize, 1..5),
    ) {
        let items: Vec<Value> = items.into_iter().map(|it| json!({"it": it})).collect();
        let list = json!({"kind": "items", "a": more, "items": items, "z": more,
                          "metadata": {"resourceVersion": "7", "continue": "on", "more": more}});
        let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) }.unwrap();
        let (read, meta) = take(text.as_bytes(), &sizes).unwrap();
        prop_assert_eq!(read, items);
        prop_assert_eq!((meta.resource_version.as_deref(), meta.token.as_deref()), (Some("7"), Some("on")));
        // Cut anywhere it is no list.
        for end in (0..text.trim_end().len()).step_by(7) {
            prop_assert!(take(&text.as_bytes()[..end], &sizes).is_err());
        }
    }

    #[test]
    fn whatever_comes_ends(bytes in prop::collection::vec(select(b"{}[]\",:\\ items01n".to_vec()), 0..60), size in 1..9_usize) {
        let _ = take(&bytes, &[size]);
    }
}

#[test]
fn a_list_of_nothing_has_a_version_all_the_same() {
    for items in ["[]", "null", "[ ]"] {
        let text = format!("{{\"metadata\":{{\"resourceVersion\":\"7\"}},\"items\":{items}}}");
        let (read, meta) = take(text.as_bytes(), &[3]).unwrap();
        assert_eq!((read.len(), meta.resource_version.as_deref(), meta.token), (0, Some("7"), None));
    }
}

#[test]
fn what_is_no_list_of_objects_is_refused() {
    for text in
        ["", "<html>", "[]", "{\"items\":[1]}", "{\"items\":[{}]]", "}", "{\"items\":[{]}", "{\"items\":[{}]"]
    {
        assert!(take(text.as_bytes(), &[2]).is_err(), "{text}");
    }
    let endless = format!("{{\"items\":[{{\"a\":\"{}", "x".repeat(17 << 20));
    assert!(take(endless.as_bytes(), &[1 << 16]).unwrap_err().contains("16777216 bytes"));
}

#[test]
fn a_long_object_is_looked_at_a_few_times_only() {
    // With a look per chunk this would be two billion bytes to read.
    let long = "x".repeat(2 << 20);
    let text = json!({"items": [{"a": long}], "metadata": {}}).to_string();
    let (read, _) = take(text.as_bytes(), &[1024]).unwrap();
    assert_eq!(read[0]["a"].as_str().map(str::len), Some(2 << 20));
}
