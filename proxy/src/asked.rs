//! A request as routes ask about it: how it came, its method, its fields, its query; and which of several workloads is its own.

use kaos_core::condition::{Asked, Condition};

use crate::head::Head;

impl Asked for Head {
    fn is_secure(&self) -> bool {
        self.secure
    }

    fn meets(&self, condition: &Condition) -> bool {
        condition.method.as_deref().is_none_or(|method| method == self.method.as_str())
            && condition.headers.iter().all(|(name, value)| says(self, name.as_bytes(), value.as_bytes()))
            && condition.query.iter().all(|(name, value)| asks(self, name.as_bytes(), value.as_bytes()))
    }
}

/// Whether the field `name` has this value. Several of that name are one, with commas between (RFC 9110 §5.3).
fn says(head: &Head, name: &[u8], wanted: &[u8]) -> bool {
    let mut values =
        head.fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
    let mut rest = match values.next() {
        Some(first) if first.len() > wanted.len() => return false,
        Some(first) if wanted.starts_with(first) => wanted.get(first.len()..).unwrap_or_default(),
        _ => return false,
    };
    for value in values {
        let Some(behind) = rest.strip_prefix(b",") else { return false };
        let behind = behind.strip_prefix(b" ").unwrap_or(behind);
        let Some(behind) = behind.strip_prefix(value) else { return false };
        rest = behind;
    }
    rest.is_empty()
}

/// Whether the first parameter `name` of the query has this value.
fn asks(head: &Head, name: &[u8], wanted: &[u8]) -> bool {
    let Some(at) = head.target.iter().position(|byte| *byte == b'?') else { return false };
    let query = head.target.get(at + 1..).unwrap_or_default();
    let parts =
        query.split(|byte| *byte == b'&').map(|pair| match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (pair.get(..at).unwrap_or_default(), pair.get(at + 1..).unwrap_or_default()),
            None => (pair, &[][..]),
        });
    let mut named = parts.filter(|(known, _)| decoded(known).eq(name.iter().copied()));
    named.next().is_some_and(|(_, value)| decoded(value).eq(wanted.iter().copied()))
}

/// A name or value of a query (URL Standard, `application/x-www-form-urlencoded`). What isn't an encoding stands for itself.
fn decoded(mut text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    std::iter::from_fn(move || {
        let (first, rest) = text.split_first()?;
        text = rest;
        let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        Some(match first {
            b'+' => b' ',
            b'%' => match (digit(0), digit(1)) {
                (Some(high), Some(low)) => {
                    text = rest.get(2..).unwrap_or_default();
                    (high * 16 + low) as u8
                }
                _ => b'%',
            },
            byte => *byte,
        })
    })
}

/// A number for the request of this id, spread evenly: wherever the request comes by, it has the same.
pub(crate) fn number(request_id: &str) -> u64 {
    // FNV-1a, and what is left of splitmix64 for its high bits.
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in request_id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(target: &str, fields: &[(&str, &str)]) -> Head {
        let mut head = Head { target: target.into(), ..Head::default() };
        fields.iter().for_each(|(name, value)| head.fields.push(name.as_bytes(), value.as_bytes()));
        head
    }

    #[test]
    fn a_field_is_compared_whole_and_several_as_one() {
        let one = [("Version", "two")];
        let list = [("color", "blue"), ("x", "1"), ("Color", "green")];
        for (fields, name, value, is) in [
            (&one[..], "version", "two", true),
            (&one, "version", "tw", false),
            (&one, "version", "two, three", false),
            (&one, "versio", "two", false),
            (&list, "color", "blue,green", true),
            (&list, "color", "blue, green", true),
            (&list, "color", "blue", false),
            (&list, "color", "blue,green,red", false),
        ] {
            assert_eq!(says(&head("/", fields), name.as_bytes(), value.as_bytes()), is, "{name} {value}");
        }
    }

    #[test]
    fn a_parameter_is_compared_decoded_and_the_first_counts() {
        for (target, name, value, is) in [
            ("/?animal=whale", "animal", "whale", true),
            ("/a?x&animal=whale&animal=dog", "animal", "whale", true),
            ("/a?animal=dog&animal=whale", "animal", "whale", false),
            ("/?animal=wh%61le+1", "animal", "whale 1", true),
            ("/?anim%61l=%2", "animal", "%2", true),
            ("/?animal", "animal", "", true),
            ("/?Animal=whale", "animal", "whale", false),
            ("/animal=whale", "animal", "whale", false),
            ("/?animal=whaler", "animal", "whale", false),
        ] {
            assert_eq!(asks(&head(target, &[]), name.as_bytes(), value.as_bytes()), is, "{target}");
        }
    }

    #[test]
    fn numbers_are_spread_evenly() {
        let mut counts = [0; 8];
        for at in 0..8000 {
            counts[(number(&format!("0123456789abcdef{at:016x}")) >> 61) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }
}
