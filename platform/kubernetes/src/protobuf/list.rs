//! A list in protobuf, taken apart as it comes: object by object, as `crate::list` does with JSON.

use super::field::{Head, Wrong};
use super::schema::LIST_META;
use super::{MAGIC, RAW, json};
use crate::list::{ListMeta, MOST};
use crate::wire::{Watched, Wire, line};

/// The list's own field, and that of its objects: the same in every kind of list.
const META: u32 = 1;
const ITEM: u32 = 2;

/// A list of which some has come.
#[derive(Debug, Default)]
pub(crate) struct List {
    at: At,
    meta: ListMeta,
    /// The list has come whole.
    whole: bool,
    /// A field that has begun.
    rest: Vec<u8>,
    /// So long has `rest` to be before it is worth another look.
    enough: usize,
    /// An object as JSON: kept for the next one.
    text: Vec<u8>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Magic,
    Envelope,
    /// The list, of which so many bytes are to come.
    List(usize),
}

impl List {
    /// Takes the next bytes; each object that is whole goes to `found`. `Err`: it isn't a list, or none that can be held.
    pub(crate) fn take<T: Watched>(
        &mut self,
        chunk: &[u8],
        found: &mut impl FnMut(Wire<T>),
    ) -> Result<(), String> {
        if self.rest.is_empty() {
            let read = self.read(chunk, found)?;
            self.rest.extend_from_slice(&chunk[read..]);
        } else {
            self.rest.extend_from_slice(chunk);
            if self.rest.len() >= self.enough {
                let mut rest = std::mem::take(&mut self.rest);
                let read = self.read(&rest, found)?;
                rest.drain(..read);
                self.rest = rest;
            }
        }
        Ok(())
    }

    /// What the list says of itself, once all of it has come. `Err`: it was cut short.
    pub(crate) fn end(self) -> Result<ListMeta, String> {
        let whole = self.whole && self.rest.is_empty() && self.at == At::Envelope;
        if whole { Ok(self.meta) } else { Err("a list that ends too soon".to_owned()) }
    }

    /// Reads all of `bytes` but a field that isn't whole. How many it read.
    fn read<T: Watched>(&mut self, bytes: &[u8], found: &mut impl FnMut(Wire<T>)) -> Result<usize, String> {
        let mut read = 0;
        loop {
            if self.at == At::List(0) {
                (self.at, self.whole) = (At::Envelope, true);
            }
            let rest = &bytes[read..];
            if rest.is_empty() {
                return Ok(read);
            }
            match self.step(rest, found)? {
                Some(step) => read += step,
                None => return Ok(read),
            }
        }
    }

    /// Reads what `rest` begins with, and says how long it is. `None`: more of it is needed.
    fn step<T: Watched>(
        &mut self,
        rest: &[u8],
        found: &mut impl FnMut(Wire<T>),
    ) -> Result<Option<usize>, String> {
        if self.at == At::Magic {
            if rest.len() < MAGIC.len() {
                self.enough = MAGIC.len();
                return Ok(None);
            }
            if !rest.starts_with(MAGIC) {
                return Err("what says that it is protobuf isn't".to_owned());
            }
            self.at = At::Envelope;
            return Ok(Some(MAGIC.len()));
        }
        let head = match Head::read(rest) {
            Ok(head) => head,
            Err(Wrong::Short) => {
                self.enough = rest.len() + 1;
                return Ok(None);
            }
            Err(wrong) => return Err(wrong.to_string()),
        };
        if self.at == At::Envelope && head.number == RAW && head.is_bytes() {
            self.at = At::List(head.holds());
            return Ok(Some(head.size));
        }
        let size = head.size.saturating_add(head.holds());
        if size > MOST {
            return Err(format!("a list with an object of more than {MOST} bytes"));
        }
        if rest.len() < size {
            self.enough = size;
            return Ok(None);
        }
        if let At::List(left) = self.at {
            let left = left.checked_sub(size).ok_or_else(|| Wrong::Malformed.to_string())?;
            self.at = At::List(left);
            self.field(&head, &rest[head.size..size], found)?;
        }
        Ok(Some(size))
    }

    /// A field of the list.
    fn field<T: Watched>(
        &mut self,
        head: &Head,
        held: &[u8],
        found: &mut impl FnMut(Wire<T>),
    ) -> Result<(), String> {
        self.text.clear();
        match head.number {
            META if head.is_bytes() => {
                json::object(&LIST_META, held, &mut self.text).map_err(|wrong| wrong.to_string())?;
                self.meta = serde_json::from_slice(&self.text).map_err(|error| error.to_string())?;
            }
            ITEM if head.is_bytes() => {
                let message = T::MESSAGE.ok_or("a list in protobuf of what is read as JSON alone")?;
                let read = json::object(message, held, &mut self.text).map_err(|wrong| wrong.to_string());
                let object = read.and_then(|()| {
                    serde_json::from_slice(&self.text).map_err(|error| line(&error.to_string()))
                });
                // One that can't be read is no reason not to read the others.
                found(object.unwrap_or_else(|wrong| Wire { name: None, kept: Err(wrong), version: None }));
            }
            _ => {}
        }
        Ok(())
    }
}
