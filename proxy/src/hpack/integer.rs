//! Numbers (RFC 7541 §5.1).

/// Bytes that a number may take: more would be a number beyond 2^28, and nothing here is that long.
const LONGEST: usize = 5;

/// Takes a number whose first byte has room for `bits` of it. `None`: it isn't whole, or too large.
pub(super) fn take(bytes: &mut &[u8], bits: u32) -> Option<usize> {
    let (first, mut rest) = bytes.split_first()?;
    let full = (1usize << bits) - 1;
    let mut number = usize::from(*first) & full;
    if number == full {
        for place in 0..LONGEST {
            let (byte, behind) = rest.split_first()?;
            rest = behind;
            number += usize::from(byte & 127) << (7 * place);
            if byte & 128 == 0 {
                *bytes = rest;
                return (place < LONGEST - 1).then_some(number);
            }
        }
        return None;
    }
    *bytes = rest;
    Some(number)
}

/// Writes `number` behind `first`, whose lower `bits` are free.
pub(super) fn put(out: &mut Vec<u8>, first: u8, bits: u32, number: usize) {
    let full = (1usize << bits) - 1;
    if number < full {
        return out.push(first | number as u8);
    }
    out.push(first | full as u8);
    let mut left = number - full;
    while left >= 128 {
        out.push((left % 128) as u8 | 128);
        left /= 128;
    }
    out.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_those_without_end_dont() {
        for bits in [4, 5, 6, 7] {
            for number in [0, 1, 14, 15, 30, 31, 126, 127, 128, 254, 255, 1337, 65_535, 2_000_000] {
                let mut out = Vec::new();
                put(&mut out, 0, bits, number);
                let mut rest = &out[..];
                assert_eq!((take(&mut rest, bits), rest.len()), (Some(number), 0));
                for end in 0..out.len() {
                    assert_eq!(take(&mut &out[..end], bits), None);
                }
            }
        }
        // RFC 7541, C.1.2.
        let mut out = Vec::new();
        put(&mut out, 0, 5, 1337);
        assert_eq!(out, [31, 154, 10]);
        assert_eq!(take(&mut &[255, 255, 255, 255, 255, 255, 255, 255, 255, 127][..], 7), None);
        assert_eq!(take(&mut &[127, 128, 128, 128, 128, 0][..], 7), None);
    }
}
