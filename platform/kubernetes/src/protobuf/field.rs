//! A message taken apart into its fields.

use std::fmt;

/// What is wrong with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// They end within a field.
    Short,
    /// They are no message, or none of this kind.
    Malformed,
}

impl fmt::Display for Wrong {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Wrong::Short => "protobuf that ends within a field",
            Wrong::Malformed => "malformed protobuf",
        })
    }
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) value: Value<'a>,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Numbers of fixed size, which nothing here is made of.
    Fixed,
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Wrong> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Wrong::Malformed),
        }
    }

    pub(super) fn number(self) -> Result<u64, Wrong> {
        match self {
            Value::Number(number) => Ok(number),
            _ => Err(Wrong::Malformed),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Wrong::Malformed)
    }
}

/// A field's beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) number: u32,
    /// Bytes up to what it holds.
    pub(super) size: usize,
    holds: Holds,
}

#[derive(Clone, Copy, Debug)]
enum Holds {
    Number(u64),
    Bytes(usize),
    Fixed(usize),
}

impl Head {
    /// Reads the beginning of the field that `bytes` begin with.
    pub(super) fn read(bytes: &[u8]) -> Result<Head, Wrong> {
        let (tag, size) = varint(bytes)?;
        let number = u32::try_from(tag >> 3).map_err(|_| Wrong::Malformed)?;
        let head = |size, holds| Ok(Head { number, size, holds });
        match tag & 7 {
            0 => {
                let (value, more) = varint(&bytes[size..])?;
                head(size + more, Holds::Number(value))
            }
            1 => head(size, Holds::Fixed(8)),
            2 => {
                let (length, more) = varint(&bytes[size..])?;
                head(size + more, Holds::Bytes(usize::try_from(length).map_err(|_| Wrong::Malformed)?))
            }
            5 => head(size, Holds::Fixed(4)),
            _ => Err(Wrong::Malformed),
        }
    }

    /// Bytes of what it holds.
    pub(super) fn holds(&self) -> usize {
        match self.holds {
            Holds::Number(_) => 0,
            Holds::Bytes(length) | Holds::Fixed(length) => length,
        }
    }

    /// Whether it holds bytes.
    pub(super) fn is_bytes(&self) -> bool {
        matches!(self.holds, Holds::Bytes(_))
    }
}

/// The fields of a message, one after the other, up to the first that is none.
pub(super) fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Wrong>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = first(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn first<'a>(rest: &mut &'a [u8]) -> Result<Field<'a>, Wrong> {
    let head = Head::read(rest)?;
    let end = head.size.checked_add(head.holds()).ok_or(Wrong::Malformed)?;
    let held = rest.get(head.size..end).ok_or(Wrong::Short)?;
    *rest = &rest[end..];
    let value = match head.holds {
        Holds::Number(number) => Value::Number(number),
        Holds::Bytes(_) => Value::Bytes(held),
        Holds::Fixed(_) => Value::Fixed,
    };
    Ok(Field { number: head.number, value })
}

/// A number of one to ten bytes, the lowest seven bits first; and how many bytes it has.
fn varint(bytes: &[u8]) -> Result<(u64, usize), Wrong> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((value, at + 1));
        }
    }
    Err(if bytes.len() < 10 { Wrong::Short } else { Wrong::Malformed })
}
