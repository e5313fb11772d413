//! Writes blocks of fields.

use crate::hpack::integer;
use crate::hpack::table::STATIC;
use crate::http1::write::decimal;

/// The first block of a connection begins with this: nothing is put into the other end's table, whatever size it would let it
/// have (RFC 7541 §4.2).
pub(crate) const NO_TABLE: u8 = 0x20;

/// Names of up to so many bytes are looked up.
const LONGEST: usize = 27;
/// The numbers of the names of each length in [`STATIC`], a 0 where there are no more.
static BY_LENGTH: [[u8; 8]; LONGEST + 1] = by_length();

#[expect(clippy::indexing_slicing, reason = "done by the compiler, where a wrong index is an error")]
const fn by_length() -> [[u8; 8]; LONGEST + 1] {
    let mut numbers = [[0; 8]; LONGEST + 1];
    // Behind the pseudo-fields no name stands there twice.
    let mut index = 14;
    while index < STATIC.len() {
        let row = &mut numbers[STATIC[index].0.len()];
        let mut place = 0;
        while row[place] != 0 {
            place += 1;
        }
        row[place] = index as u8 + 1;
        index += 1;
    }
    numbers
}

/// Writes `:status`.
pub(crate) fn status(out: &mut Vec<u8>, status: u16) {
    let known: u8 = match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            let digit = |place: u16| b'0' + (status / place % 10) as u8;
            return out.extend_from_slice(&[8, 3, digit(100), digit(10), digit(1)]);
        }
    };
    out.push(0x80 | known);
}

/// Writes the head of a request: its method, its scheme, which is `http`, whom it asks and for what.
pub(crate) fn request(out: &mut Vec<u8>, method: &[u8], authority: &[u8], path: &[u8]) {
    match method {
        b"GET" => out.push(0x82),
        b"POST" => out.push(0x83),
        _ => value_of(out, 2, method),
    }
    out.push(0x86);
    value_of(out, 1, authority);
    match path {
        b"/" => out.push(0x84),
        _ => value_of(out, 4, path),
    }
}

/// Writes the value of a field that the static table names.
fn value_of(out: &mut Vec<u8>, name: usize, value: &[u8]) {
    integer::put(out, 0, 4, name);
    string(out, value);
}

/// Writes a field of any name, which is written in lower case.
pub(crate) fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let numbers = BY_LENGTH.get(name.len()).into_iter().flatten();
    let known = numbers.take_while(|number| **number != 0).find(|number| {
        STATIC.get(usize::from(**number) - 1).is_some_and(|field| field.0.eq_ignore_ascii_case(name))
    });
    match known {
        Some(number) => value_of(out, usize::from(*number), value),
        None => {
            out.push(0);
            integer::put(out, 0, 7, name.len());
            out.extend(name.iter().map(u8::to_ascii_lowercase));
            string(out, value);
        }
    }
}

/// Writes a field whose value is a number.
pub(crate) fn number(out: &mut Vec<u8>, name: &[u8], number: u64) {
    let mut digits = Vec::with_capacity(20);
    decimal(&mut digits, number);
    field(out, name, &digits);
}

/// Writes a string as it is: Huffman's code would save a quarter of the bytes, and cost more than all the rest.
fn string(out: &mut Vec<u8>, value: &[u8]) {
    integer::put(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpack::Decoder;
    use crate::hpack::decode::tests::read;

    #[test]
    fn what_is_written_is_read_again() {
        let mut block = vec![NO_TABLE];
        let statuses = [100, 200, 204, 206, 304, 400, 404, 418, 500, 503];
        statuses.iter().for_each(|code| status(&mut block, *code));
        let long = "y".repeat(1000);
        let fields = [
            ("Content-Type", "text/plain"),
            ("access-control-allow-origin", "*"),
            ("age", "1"),
            ("X-Request-Id", "2"),
            ("via", ""),
            (&long, &long),
        ];
        fields.iter().for_each(|(name, value)| field(&mut block, name.as_bytes(), value.as_bytes()));
        let read = read(&mut Decoder::default(), &block).unwrap();
        let mut expected: Vec<_> =
            statuses.iter().map(|code| (":status".to_owned(), code.to_string())).collect();
        expected.extend(fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())));
        assert_eq!(read, expected);
    }

    #[test]
    fn a_request_says_what_it_asks_for() {
        for (method, path) in [("GET", "/"), ("POST", "/a?b"), ("PUT", "*")] {
            let mut block = Vec::new();
            request(&mut block, method.as_bytes(), b"shop", path.as_bytes());
            let read = read(&mut Decoder::default(), &block).unwrap();
            let expected =
                [(":method", method), (":scheme", "http"), (":authority", "shop"), (":path", path)];
            assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
    }

    #[test]
    fn known_names_are_numbers() {
        for (index, (name, _)) in STATIC.iter().enumerate().skip(14) {
            let mut block = Vec::new();
            field(&mut block, name, b"");
            assert!(block.len() < 4, "{}", index + 1);
            let mut number = &block[..];
            assert_eq!(integer::take(&mut number, 4), Some(index + 1));
        }
    }
}
