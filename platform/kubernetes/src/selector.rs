//! A label selector as one line of text, as the API server takes it in a query, and as people write it. Knows no object and no
//! encoding.

use crate::object::Pairs;

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

/// A label selector as people write it for `kubectl -l`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

/// One of its requirements.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    key: String,
    /// The values that are meant. `None`: whatever it is.
    values: Option<Vec<String>>,
    /// What is meant isn't to be so.
    not: bool,
}

impl Selector {
    /// Reads `app=shop,tier!=db,env in (prod,test),env notin (dev),canary,!canary`. The error says what is allowed.
    pub fn parse(text: &str) -> Result<Selector, String> {
        let mut terms = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            // A comma between parentheses is one of a list.
            let open = rest.find('(').unwrap_or(rest.len());
            let from = if rest.find(',').is_some_and(|comma| comma < open) {
                0
            } else {
                rest.find(')').unwrap_or(0)
            };
            let end = rest[from..].find(',').map_or(rest.len(), |at| from + at);
            terms.push(Term::parse(rest[..end].trim()).ok_or_else(|| {
                "allowed is a label selector such as app=shop, tier!=db, env in (prod,test), canary or !canary".to_owned()
            })?);
            rest = rest.get(end + 1..).unwrap_or_default().trim_start();
        }
        Ok(Selector(terms))
    }

    /// Whether it selects what has `labels`.
    pub(crate) fn selects(&self, labels: &Pairs) -> bool {
        self.0.iter().all(|term| {
            let is = labels.iter().find(|(name, _)| **name == *term.key).map(|(_, value)| &**value);
            let meant = match &term.values {
                None => is.is_some(),
                Some(values) => values.iter().any(|value| Some(value.as_str()) == is),
            };
            meant != term.not
        })
    }
}

impl Term {
    fn parse(text: &str) -> Option<Term> {
        let term =
            |key: &str, values: Option<Vec<String>>, not| Term { key: key.trim().to_owned(), values, not };
        let one = |value: &str| Some(vec![value.trim().to_owned()]);
        let read = if let Some((key, list)) = text.split_once('(') {
            let values = list.strip_suffix(')')?.split(',').map(|value| value.trim().to_owned()).collect();
            match key.split_whitespace().collect::<Vec<_>>()[..] {
                [key, "in"] => term(key, Some(values), false),
                [key, "notin"] => term(key, Some(values), true),
                _ => return None,
            }
        } else if let Some((key, value)) = text.split_once("!=") {
            term(key, one(value), true)
        } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            term(key, one(value), false)
        } else if let Some(key) = text.strip_prefix('!') {
            term(key, None, true)
        } else {
            term(text, None, false)
        };
        let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let sound = |text: &str| text.bytes().all(byte);
        let values = read.values.iter().flatten();
        (!read.key.is_empty() && sound(&read.key) && values.clone().all(|value| sound(value))).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels: Vec<(Box<str>, Box<str>)> =
            labels.iter().map(|(name, value)| (Box::from(*name), Box::from(*value))).collect();
        Selector::parse(selector).unwrap().selects(&labels.into())
    }

    #[test]
    fn selectors_are_read_as_kubectl_reads_them() {
        let shop = [("app", "shop"), ("env", "prod")];
        for selector in [
            "",
            "app=shop",
            "app==shop, env = prod",
            "tier!=db",
            "app",
            "!canary",
            "env in (prod, test),app",
            "env notin (dev)",
            "tier notin (db),app=shop",
        ] {
            assert!(selects(selector, &shop), "{selector}");
        }
        for selector in [
            "app=cart",
            "app=shop,env=dev",
            "env!=prod",
            "!app",
            "canary",
            "env in (dev,test)",
            "env notin (dev,prod)",
            "tier in (db)",
        ] {
            assert!(!selects(selector, &shop), "{selector}");
        }
        for wrong in ["=shop", "env in prod", "env in (prod", "env of (prod)", ",", "a b", "app=shop,,env"] {
            assert!(Selector::parse(wrong).is_err(), "{wrong}");
        }
    }
}
