//! When it is worth reading a head again that wasn't whole: not at every byte that comes.
//!
//! A sender that sends its head byte by byte would have it read from the start each time, a work of the square of its
//! length. So it is read again once an empty line has come, or once there is twice as much as the last time: what is
//! malformed is still refused before the end, and the work stays in proportion to the length.

/// What is known of a head that has come in part.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Partial {
    /// Bytes that were there when it was last read.
    read: usize,
    /// Bytes that were searched for an empty line.
    searched: usize,
    /// Something other than empty lines has come.
    begun: bool,
}

impl Partial {
    /// Whether the head that begins with `bytes` may be whole, or wrong, by now. `largest`: no more bytes than this will
    /// be waited for.
    pub(crate) fn is_worth_reading(&mut self, bytes: &[u8], largest: usize) -> bool {
        // The first time nothing is searched: most heads come whole.
        let worth = self.read == 0
            || self.has_empty_line(bytes)
            || bytes.len() >= largest
            || bytes.len() >= self.read * 2;
        if worth {
            self.read = bytes.len();
        }
        worth
    }

    /// Whether an empty line has come since the last search, after something that isn't one (RFC 9112 §2.2).
    fn has_empty_line(&mut self, bytes: &[u8]) -> bool {
        let from = std::mem::replace(&mut self.searched, bytes.len());
        let mut found = false;
        for (at, byte) in bytes.iter().enumerate().skip(from) {
            let before = bytes.get(..at).unwrap_or_default();
            found |= self.begun && *byte == b'\n' && matches!(before, [.., b'\n'] | [.., b'\n', b'\r']);
            self.begun |= !matches!(byte, b'\r' | b'\n');
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes read and the lengths at which it was read, when `bytes` come in pieces of `piece`.
    fn reads(bytes: &[u8], piece: usize) -> (usize, Vec<usize>) {
        let mut partial = Partial::default();
        let ends = (1..).map(|count| count * piece).take_while(|end| *end < bytes.len());
        let mut read = Vec::new();
        for end in ends.chain([bytes.len()]) {
            if partial.is_worth_reading(&bytes[..end], 1 << 20) {
                read.push(end);
            }
        }
        (read.iter().sum(), read)
    }

    #[test]
    fn byte_by_byte_is_read_in_proportion_and_at_its_end() {
        let head = [&b"GET / HTTP/1.1\r\n"[..], &b"A: b\r\n".repeat(5000), b"\r\n"].concat();
        let (work, read) = reads(&head, 1);
        assert!(work < 4 * head.len(), "{work} for {}", head.len());
        assert_eq!(read.last(), Some(&head.len()));
    }

    #[test]
    fn empty_lines_alone_are_no_end() {
        let lines = b"\r\n".repeat(5000);
        let (work, _) = reads(&lines, 2);
        assert!(work < 4 * lines.len(), "{work} for {}", lines.len());
    }

    #[test]
    fn an_empty_line_is_seen_however_it_is_cut() {
        for end in ["\r\n\r\n", "\n\n", "\r\n\n", "\n\r\n"] {
            let head = format!("GET / HTTP/1.1\r\nHost: a{end}");
            for piece in 1..=head.len() {
                assert_eq!(reads(head.as_bytes(), piece).1.last(), Some(&head.len()), "{end:?} by {piece}");
            }
        }
    }

    proptest! {
        /// Whatever comes in whatever pieces: the work is bounded by the empty lines and the doublings.
        #[test]
        fn nothing_is_read_more_often_than_it_has_empty_lines_and_doublings(
            bytes in "[a\r\n]{1,300}", piece in 1usize..7,
        ) {
            let (_, read) = reads(bytes.as_bytes(), piece);
            let empty = bytes.replace('\r', "").matches("\n").count();
            prop_assert!(read.len() <= empty + 10, "{read:?}");
        }
    }
}
