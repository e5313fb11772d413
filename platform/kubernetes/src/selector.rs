//! A label selector as one line of text, as the API server takes it in a query. Knows no object and no encoding.

/// The requirements of a selector: its labels with their values, and its expressions (key, operator, values). `None` if it
/// selects everything, or an operator isn't known.
pub(crate) fn text<'a>(
    labels: impl Iterator<Item = (&'a str, &'a str)>,
    expressions: impl Iterator<Item = (&'a str, &'a str, String)>,
) -> Option<String> {
    let mut terms: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    for (key, operator, values) in expressions {
        terms.push(match operator {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}
