//! The trace that a request belongs to, as `traceparent` says it (W3C Trace Context, §3.2). The field itself goes through
//! untouched; this is for the log alone.
//!
//! Strict: version 00, every part of its exact length and in lower case. Of what is anything else nothing is known.

/// The 32 hexadecimal digits that all of a trace shares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id in the value of a `traceparent`.
    pub(crate) fn read(value: &[u8]) -> Option<TraceId> {
        let (version, rest) = value.split_first_chunk::<3>()?;
        let (trace, rest) = rest.split_first_chunk::<32>()?;
        let (dash, rest) = rest.split_first_chunk::<1>()?;
        let (parent, flags) = rest.split_first_chunk::<16>()?;
        let flags: &[u8; 3] = flags.try_into().ok()?;
        let separated = version == b"00-" && dash == b"-" && flags.first() == Some(&b'-');
        let sound = separated && is_id(trace) && is_id(parent) && flags.iter().skip(1).all(is_digit);
        sound.then_some(TraceId(*trace))
    }
}

impl std::fmt::Debug for TraceId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

fn is_digit(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Digits, not all of them zero.
fn is_id(bytes: &[u8]) -> bool {
    bytes.iter().all(is_digit) && bytes.iter().any(|byte| *byte != b'0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_sound_field_says_its_trace() {
        for flags in ["00", "01", "ff"] {
            let value = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
            assert_eq!(TraceId::read(value.as_bytes()).unwrap().as_str(), TRACE);
        }
    }

    #[test]
    fn what_isnt_sound_says_nothing() {
        for value in [
            "",
            "00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-001",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736000f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
        ] {
            assert_eq!(TraceId::read(value.as_bytes()), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_id_is_read(trace in 1u128.., parent in 1u64.., flags: u8) {
            let id = format!("{trace:032x}");
            let read = TraceId::read(format!("00-{id}-{parent:016x}-{flags:02x}").as_bytes());
            prop_assert_eq!(read.map(|read| read.as_str().to_owned()), Some(id));
        }

        /// What is read is what the standard's grammar has, and nothing else.
        #[test]
        fn nothing_else_is_read(value in "[0-9a-fA-F_-]{50,58}|00-[0-9a-f]{31,33}-[0-9a-f]{16}-[0-9a-f]{2}") {
            if TraceId::read(value.as_bytes()).is_some() {
                let parts: Vec<&str> = value.split('-').collect();
                prop_assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
                prop_assert!(parts[0] == "00" && value == value.to_lowercase());
            }
        }

        #[test]
        fn no_bytes_panic(value in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = TraceId::read(&value);
        }
    }
}
