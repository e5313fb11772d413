//! Looking into plain objects: nothing that stands there is believed to have the right shape.

use serde_json::Value;

use crate::object::Pairs;

/// A member as text; empty if it isn't there.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The members of a list; none if it isn't one.
pub(crate) fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A member as a whole number.
pub(crate) fn whole(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// The members of an object.
pub(crate) fn entries<'v>(
    value: &'v Value,
    pointer: &str,
) -> impl Iterator<Item = (&'v str, &'v Value)> + use<'v> {
    let map = value.pointer(pointer).and_then(Value::as_object);
    map.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

pub(crate) fn kind(object: &Value) -> &str {
    text(object, "/kind")
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// A label; empty if it isn't there.
pub(crate) fn label<'v>(object: &'v Value, name: &str) -> &'v str {
    member(object, "/metadata/labels", name)
}

/// All labels.
pub(crate) fn labels(object: &Value) -> Pairs {
    let text = |(name, value): (&str, &Value)| Some((Box::from(name), Box::from(value.as_str()?)));
    let mut all: Vec<(Box<str>, Box<str>)> = entries(object, "/metadata/labels").filter_map(text).collect();
    all.sort();
    all.into()
}

/// An annotation; empty if it isn't there.
pub(crate) fn annotation<'v>(object: &'v Value, name: &str) -> &'v str {
    member(object, "/metadata/annotations", name)
}

fn member<'v>(object: &'v Value, map: &str, name: &str) -> &'v str {
    object.pointer(map).and_then(|map| map.get(name)).and_then(Value::as_str).unwrap_or_default()
}

/// How `object` is called by people who think of `namespace`.
pub(crate) fn called(object: &Value, namespace: &str) -> String {
    let (kind, name, own) = (kind(object), name(object), self::namespace(object));
    if own == namespace { format!("{kind}/{name}") } else { format!("{own}/{kind}/{name}") }
}

/// Whether a label selector selects `labels`; an empty one selects everything.
pub(crate) fn selects(selector: &Value, labels: &Pairs) -> bool {
    let value = |name: &str| labels.iter().find(|(named, _)| **named == *name).map(|(_, value)| &**value);
    let equal = entries(selector, "/matchLabels").all(|(name, wanted)| value(name) == wanted.as_str());
    let expressions = list(selector, "/matchExpressions").iter().all(|one| {
        let is = value(text(one, "/key"));
        let among = list(one, "/values").iter().any(|wanted| wanted.as_str() == is && is.is_some());
        match text(one, "/operator") {
            "In" => among,
            "NotIn" => !among,
            "Exists" => is.is_some(),
            "DoesNotExist" => is.is_none(),
            _ => false,
        }
    });
    equal && expressions
}

/// Everything that the pattern leads to, each with its JSON pointer: members by name, `*` for all of a list.
pub(crate) fn all<'v>(object: &'v Value, pattern: &str) -> Vec<(String, &'v Value)> {
    let mut found = vec![(String::new(), object)];
    for step in pattern.split('/') {
        found = found.into_iter().flat_map(|(at, value)| children(&at, value, step)).collect();
    }
    found
}

fn children<'v>(at: &str, value: &'v Value, step: &str) -> Vec<(String, &'v Value)> {
    match (step, value) {
        ("*", Value::Array(all)) => {
            all.iter().enumerate().map(|(nth, one)| (format!("{at}/{nth}"), one)).collect()
        }
        _ => value.get(step).map(|one| (format!("{at}/{step}"), one)).into_iter().collect(),
    }
}

/// A JSON pointer as people write fields: `spec.rules[0].host`.
pub(crate) fn field(pointer: &str) -> String {
    let mut out = String::new();
    for step in pointer.split('/').filter(|step| !step.is_empty()) {
        match step.bytes().all(|byte| byte.is_ascii_digit()) {
            true => out.push_str(&format!("[{step}]")),
            false if out.is_empty() => out.push_str(step),
            false => out.push_str(&format!(".{step}")),
        }
    }
    out
}
