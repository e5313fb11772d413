//! The tables that fields are named from (RFC 7541 §2.3).

use std::collections::VecDeque;

/// What a field counts for beside its bytes (RFC 7541 §4.1).
const OVERHEAD: usize = 32;

/// The fields that everybody knows, from 1 on (RFC 7541, appendix A).
#[rustfmt::skip]
pub(super) const STATIC: [(&[u8], &[u8]); 61] = [
    (b":authority", b""), (b":method", b"GET"), (b":method", b"POST"), (b":path", b"/"), (b":path", b"/index.html"),
    (b":scheme", b"http"), (b":scheme", b"https"), (b":status", b"200"), (b":status", b"204"), (b":status", b"206"),
    (b":status", b"304"), (b":status", b"400"), (b":status", b"404"), (b":status", b"500"), (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"), (b"accept-language", b""), (b"accept-ranges", b""), (b"accept", b""),
    (b"access-control-allow-origin", b""), (b"age", b""), (b"allow", b""), (b"authorization", b""), (b"cache-control", b""),
    (b"content-disposition", b""), (b"content-encoding", b""), (b"content-language", b""), (b"content-length", b""),
    (b"content-location", b""), (b"content-range", b""), (b"content-type", b""), (b"cookie", b""), (b"date", b""),
    (b"etag", b""), (b"expect", b""), (b"expires", b""), (b"from", b""), (b"host", b""), (b"if-match", b""),
    (b"if-modified-since", b""), (b"if-none-match", b""), (b"if-range", b""), (b"if-unmodified-since", b""),
    (b"last-modified", b""), (b"link", b""), (b"location", b""), (b"max-forwards", b""), (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""), (b"range", b""), (b"referer", b""), (b"refresh", b""), (b"retry-after", b""),
    (b"server", b""), (b"set-cookie", b""), (b"strict-transport-security", b""), (b"transfer-encoding", b""),
    (b"user-agent", b""), (b"vary", b""), (b"via", b""), (b"www-authenticate", b""),
];

/// The fields that the other end has put into its table, the newest first, behind those of [`STATIC`].
#[derive(Debug)]
pub(super) struct Table {
    fields: VecDeque<(Box<[u8]>, usize)>,
    size: usize,
    most: usize,
}

impl Table {
    pub(super) fn new(most: usize) -> Self {
        Table { fields: VecDeque::new(), size: 0, most }
    }

    /// The name and value of number `index`.
    pub(super) fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let index = index.checked_sub(1)?;
        if let Some(field) = STATIC.get(index) {
            return Some(*field);
        }
        let (bytes, name) = self.fields.get(index - STATIC.len())?;
        bytes.split_at_checked(*name)
    }

    /// Adds a field of these bytes, the first `name` of which are its name. What has no room then goes; it too, if it is larger
    /// than the table.
    pub(super) fn add(&mut self, bytes: &[u8], name: usize) {
        let size = bytes.len() + OVERHEAD;
        self.shrink(self.most.saturating_sub(size));
        if size <= self.most {
            self.fields.push_front((bytes.into(), name));
            self.size += size;
        }
    }

    /// Lets it have no more than `most` bytes from now on.
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
        self.shrink(most);
    }

    fn shrink(&mut self, most: usize) {
        while self.size > most
            && let Some((bytes, _)) = self.fields.pop_back()
        {
            self.size -= bytes.len() + OVERHEAD;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_what_is_too_large_empties_it() {
        let mut table = Table::new(2 * (OVERHEAD + 2));
        table.add(b"a1", 1);
        table.add(b"b2", 1);
        assert_eq!(table.get(62), Some((&b"b"[..], &b"2"[..])));
        assert_eq!(table.get(63), Some((&b"a"[..], &b"1"[..])));
        table.add(b"c3", 1);
        assert_eq!((table.get(63), table.get(64)), (Some((&b"b"[..], &b"2"[..])), None));
        table.resize(OVERHEAD + 2);
        assert_eq!((table.get(62), table.get(63)), (Some((&b"c"[..], &b"3"[..])), None));
        table.add(&[b'x'; 40], 1);
        assert_eq!(
            (table.get(61), table.get(62), table.get(0), table.size),
            (Some(STATIC[60]), None, None, 0)
        );
    }
}
