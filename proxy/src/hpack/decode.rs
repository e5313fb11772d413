//! Reads blocks of fields.

use crate::hpack::table::Table;
use crate::hpack::{huffman, integer};

/// What a table may hold if nobody says otherwise (RFC 9113 §6.5.2): we don't.
const TABLE: usize = 4096;

/// The block can't be read, and so none after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads the blocks of one connection, in their order.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
    /// The field that is read.
    field: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder { table: Table::new(TABLE), field: Vec::new() }
    }
}

impl Decoder {
    /// Reads a block and gives the name and value of each field to `each`, until that wants no more: then nothing can be read after it.
    pub(crate) fn decode(
        &mut self,
        mut block: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Malformed> {
        let mut begun = false;
        while let Some(first) = block.first().copied() {
            if first & 0xe0 == 0x20 {
                let most = integer::take(&mut block, 5).filter(|most| *most <= TABLE && !begun);
                self.table.resize(most.ok_or(Malformed)?);
                continue;
            }
            begun = true;
            if !self.field(&mut block, first, &mut each).ok_or(Malformed)? {
                break;
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        block: &mut &[u8],
        first: u8,
        each: &mut impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Option<bool> {
        if first & 0x80 != 0 {
            let (name, value) = self.table.get(integer::take(block, 7)?)?;
            return Some(each(name, value));
        }
        let kept = first & 0x40 != 0;
        self.field.clear();
        match integer::take(block, if kept { 6 } else { 4 })? {
            0 => string(block, &mut self.field)?,
            known => self.field.extend_from_slice(self.table.get(known)?.0),
        }
        let name = self.field.len();
        string(block, &mut self.field)?;
        let (known, value) = self.field.split_at_checked(name)?;
        let goes_on = each(known, value);
        if kept {
            self.table.add(&self.field, name);
        }
        Some(goes_on)
    }
}

/// Takes a string (RFC 7541 §5.2) to the end of `out`.
fn string(block: &mut &[u8], out: &mut Vec<u8>) -> Option<()> {
    let coded = block.first()? & 0x80 != 0;
    let length = integer::take(block, 7)?;
    let (string, rest) = block.split_at_checked(length)?;
    *block = rest;
    if coded {
        huffman::decode(string, out)
    } else {
        out.extend_from_slice(string);
        Some(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The fields of a block, as text.
    pub(crate) fn read(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, Malformed> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        decoder.decode(block, |name, value| {
            fields.push((text(name), text(value)));
            true
        })?;
        Ok(fields)
    }

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }

    fn fields(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// RFC 7541, C.3 and C.4: three requests on one connection, plain and in Huffman's code.
    #[test]
    fn the_requests_of_the_rfc_are_read() {
        let first =
            [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
        let second = [&first[..], &[("cache-control", "no-cache")]].concat();
        let third = [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ];
        let plain = [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ];
        let coded = [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::default();
            for (block, expected) in blocks.iter().zip([&first[..], &second, &third]) {
                assert_eq!(read(&mut decoder, &bytes(block)), Ok(fields(expected)));
            }
            // C.3.3: the newest is first.
            assert_eq!(read(&mut decoder, &[0xbe]), Ok(fields(&[("custom-key", "custom-value")])));
            assert_eq!(read(&mut decoder, &[0xc1]), Err(Malformed));
        }
    }

    #[test]
    fn a_table_is_resized_only_where_a_block_begins_and_never_beyond_what_is_allowed() {
        let mut decoder = Decoder::default();
        assert_eq!(read(&mut decoder, &bytes("400161 0162")), Ok(fields(&[("a", "b")])));
        assert_eq!(read(&mut decoder, &[0xbe]), Ok(fields(&[("a", "b")])));
        // To nothing, and back to 4,096: what was there is gone.
        assert_eq!(read(&mut decoder, &bytes("20 3fe11f 82")), Ok(fields(&[(":method", "GET")])));
        assert_eq!(read(&mut decoder, &[0xbe]), Err(Malformed));
        assert_eq!(read(&mut decoder, &bytes("3fe21f")), Err(Malformed));
        assert_eq!(read(&mut decoder, &bytes("82 20")), Err(Malformed));
    }

    #[test]
    fn what_isnt_whole_is_malformed() {
        for block in ["80", "40", "4001", "400161", "40016105", "0002", "ff80808080808001", "c0", "7f"] {
            assert_eq!(read(&mut Decoder::default(), &bytes(block)), Err(Malformed), "{block}");
        }
    }
}
