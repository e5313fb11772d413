//! A file line by line, with a bound on each. Knows nothing of what is in them.

use std::borrow::Cow;
use std::io::{BufRead, Read};

use super::{Source, TraceError};

/// Most bytes of a line.
const LONGEST: usize = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The lines of a file that aren't blank.
pub(super) struct Lines<'a> {
    source: Source<'a>,
    number: u64,
    /// With its end, which a torn one has been given.
    bytes: Vec<u8>,
    torn: bool,
    again: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Lines { source, number: 0, bytes: Vec::new(), torn: false, again: false }
    }

    /// Goes to the next line that isn't blank. `false`: there is none.
    pub(super) fn advance(&mut self) -> Result<bool, TraceError> {
        if std::mem::take(&mut self.again) {
            return Ok(true);
        }
        loop {
            self.bytes.clear();
            let mut bounded = (&mut *self.source.read).take(LONGEST as u64 + 1);
            match bounded.read_until(b'\n', &mut self.bytes) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) => return Err(self.whole(format!("can't be read: {error}"))),
            }
            self.number += 1;
            self.torn = !self.bytes.ends_with(b"\n");
            if self.torn && self.bytes.len() > LONGEST {
                return Err(self.wrong(format!("is longer than {LONGEST} bytes")));
            }
            if self.torn {
                self.bytes.push(b'\n');
            }
            if self.number == 1 && self.bytes.starts_with(BYTE_ORDER_MARK) {
                self.bytes.drain(..BYTE_ORDER_MARK.len());
            }
            if !self.bytes.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Lets the next [`advance`](Self::advance) stay at this line.
    pub(super) fn again(&mut self) {
        self.again = true;
    }

    /// This line with its end.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// This line with its end, as text: what isn't UTF-8 in it is U+FFFD, which [`check`](Self::check) tells from one that
    /// was written.
    pub(super) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// Refuses a part of the [`text`](Self::text) that wasn't UTF-8.
    pub(super) fn check(&self, part: &str) -> Result<(), TraceError> {
        if !part.contains(char::REPLACEMENT_CHARACTER) {
            return Ok(());
        }
        match std::str::from_utf8(&self.bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.wrong(format!("byte {} isn't UTF-8", error.valid_up_to() + 1))),
        }
    }

    /// Whether this line has no end: the file's last one, which may have been cut.
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }

    /// The number of this line, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What is wrong with this line.
    pub(super) fn wrong(&self, what: impl Into<String>) -> TraceError {
        TraceError { line: self.number, ..self.whole(what) }
    }

    /// What is wrong with the file.
    pub(super) fn whole(&self, what: impl Into<String>) -> TraceError {
        TraceError::whole(self.source.name, what)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufReader};

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u64, String, bool)>, String> {
        let mut read = bytes;
        let mut lines = Lines::new(Source { name: "log", read: &mut read });
        let mut seen = Vec::new();
        while lines.advance().map_err(|error| error.to_string())? {
            lines.check(&lines.text()).map_err(|error| error.to_string())?;
            seen.push((lines.number(), lines.text().trim().to_owned(), lines.is_torn()));
        }
        Ok(seen)
    }

    #[test]
    fn blank_lines_are_counted_and_nothing_more() {
        let seen = all(b"\xEF\xBB\xBFone\r\n\r\n  \n two\nthree").unwrap();
        let expected = [(1, "one", false), (4, "two", false), (5, "three", true)];
        assert_eq!(seen, expected.map(|(number, text, torn)| (number, text.to_owned(), torn)));
        assert_eq!(all(b"\xEF\xBB\xBF\n\n"), Ok(vec![]));
    }

    #[test]
    fn a_line_has_a_bound() {
        let longest = vec![b'a'; LONGEST];
        assert_eq!(all(&longest).unwrap().len(), 1);
        assert_eq!(all(&[&longest, &b"\nb\n"[..]].concat()).unwrap().len(), 2);
        let longer = [&b"b\n"[..], &longest, b"a"].concat();
        assert_eq!(all(&longer).unwrap_err(), "log:2: is longer than 1048576 bytes");
    }

    #[test]
    fn a_byte_that_is_no_text_is_named() {
        assert_eq!(all(b"one\ntw\xFFo\n").unwrap_err(), "log:2: byte 3 isn't UTF-8");
        assert_eq!(all("tw\u{FFFD}o\n".as_bytes()).unwrap().len(), 1);
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error() {
        let mut read = BufReader::new(Broken);
        let error = Lines::new(Source { name: "log", read: &mut read }).advance().unwrap_err();
        assert_eq!(error.to_string(), "log: can't be read: the disk is gone");
    }
}
