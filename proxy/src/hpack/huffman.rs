//! The code of strings (RFC 7541 §5.2 and appendix B).
//!
//! It is canonical: codes of one length follow each other in the order of what they stand for, and longer ones follow
//! shorter ones. So the lengths are all that has to be known.

const SYMBOLS: usize = 257;
/// Shortest and longest code, in bits.
const SHORTEST: usize = 5;
const LONGEST: usize = 30;
/// Stands for no byte, and may not be sent.
const END: u16 = 256;

/// Bits of the code of each byte, and of [`END`].
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The codes of one length, as if they were the first of 32 bits.
#[derive(Clone, Copy)]
struct Row {
    first: u32,
    /// Where the codes of this length end.
    end: u64,
    /// The place of the first among all.
    place: u16,
}

struct Code {
    rows: [Row; LONGEST + 1],
    /// What the codes stand for, in their order.
    symbols: [u16; SYMBOLS],
}

static CODE: Code = code();

#[expect(clippy::indexing_slicing, reason = "done by the compiler, where a wrong index is an error")]
const fn code() -> Code {
    let mut code = Code { rows: [Row { first: 0, end: 0, place: 0 }; LONGEST + 1], symbols: [0; SYMBOLS] };
    let (mut length, mut place, mut next) = (1, 0, 0u64);
    while length <= LONGEST {
        code.rows[length].first = next as u32;
        code.rows[length].place = place as u16;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                code.symbols[place] = symbol as u16;
                place += 1;
                next += 1 << (32 - length);
            }
            symbol += 1;
        }
        code.rows[length].end = next;
        length += 1;
    }
    code
}

/// Reads a string to the end of `out`. `None`: it is no string in this code.
pub(super) fn decode(mut bytes: &[u8], out: &mut Vec<u8>) -> Option<()> {
    // Its first bits are the next ones.
    let mut bits = 0u64;
    let mut known = 0;
    loop {
        while known <= 56
            && let Some((byte, rest)) = bytes.split_first()
        {
            bits |= u64::from(*byte) << (56 - known);
            known += 8;
            bytes = rest;
        }
        if known == 0 {
            return Some(());
        }
        let next = (bits >> 32) as u32;
        let rows = CODE.rows.iter().enumerate().skip(SHORTEST);
        let (length, row) = rows.into_iter().find(|(_, row)| u64::from(next) < row.end)?;
        if length > known {
            // The end of the last byte is filled with the beginning of the code of END.
            let filled = known < 8 && bits >> (64 - known) == (1 << known) - 1;
            return filled.then_some(());
        }
        let place = usize::from(row.place) + ((next - row.first) >> (32 - length)) as usize;
        let symbol = *CODE.symbols.get(place)?;
        if symbol == END {
            return None;
        }
        out.push(symbol as u8);
        bits <<= length;
        known -= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(bytes, &mut out).map(|()| out)
    }

    /// The codes again, bit by bit.
    fn encoded(text: &[u8]) -> Vec<u8> {
        let mut bits = Vec::new();
        for byte in text {
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let row = CODE.rows[length];
            let place = CODE.symbols.iter().position(|symbol| *symbol == u16::from(*byte)).unwrap();
            let code = (row.first >> (32 - length)) + (place - usize::from(row.place)) as u32;
            bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
        }
        while !bits.len().is_multiple_of(8) {
            bits.push(true);
        }
        bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // RFC 7541, C.4.1 and C.6.1.
        let authority = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&authority).unwrap(), b"www.example.com");
        let date = [
            0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81, 0x66,
            0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
        ];
        assert_eq!(decoded(&date).unwrap(), b"Mon, 21 Oct 2013 20:13:21 GMT");
        assert_eq!(encoded(b"www.example.com"), authority);
    }

    #[test]
    fn every_byte_comes_back_wherever_it_stands() {
        assert_eq!(CODE.rows[LONGEST].end, 1 << 32);
        let all: Vec<u8> = (0..=255).collect();
        for shift in 0..256 {
            let text = [&all[shift..], &all[..shift]].concat();
            assert_eq!(decoded(&encoded(&text)).unwrap(), text);
        }
    }

    #[test]
    fn a_wrong_end_is_no_end() {
        assert_eq!(decoded(&[]).unwrap(), b"");
        // "0" is 00000, then three bits that must be ones.
        assert_eq!(decoded(&[0b0000_0111]).unwrap(), b"0");
        for bytes in [&[0b0000_0110][..], &[0b0000_0111, 255], &[255], &[255; 4], &[255, 255, 255, 252]] {
            assert_eq!(decoded(bytes), None, "{bytes:?}");
        }
    }
}
