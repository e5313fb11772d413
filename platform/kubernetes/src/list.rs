//! A list, taken apart as it comes: object by object, so that little more than one of them is held as text.
//!
//! Pure: chunks of bytes go in, objects come out. The text of five hundred Deployments is megabytes, of which an allocator
//! keeps some; all that is kept of a cluster is hardly more.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Most bytes that are held of an object that has begun and of what came with its end, and of all that stands around the
/// objects. So an object may be half as long: several times what etcd takes (1.5 MiB, `--max-request-bytes`).
pub(crate) const MOST: usize = 16 << 20;

/// Braces and brackets that are open where an object begins: the list's own, and that of its items.
const ITEM: usize = 2;

/// A list of which some has come. Without `Debug`: there may be secrets in it.
#[derive(Default)]
pub(crate) struct List {
    /// All but the objects.
    around: Vec<u8>,
    /// Braces and brackets that are open in `around`.
    depth: usize,
    at: At,
    /// Where in `around` the last string began: the name of what comes after it.
    name: usize,
    /// The next is an object, or the end of them.
    items: bool,
    /// An object that has begun, and what came after it.
    rest: Vec<u8>,
    /// So long has `rest` to be before it is worth another look: an object is looked at a few times, however small the
    /// chunks in which it comes.
    enough: usize,
}

/// What the next byte of `around` belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Structure,
    String,
    /// In a string, after a backslash.
    Escape,
}

/// What a list says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMeta {
    /// The version from which a watch goes on.
    pub(crate) resource_version: Option<String>,
    /// What to ask for the next page with.
    #[serde(rename = "continue")]
    pub(crate) token: Option<String>,
}

impl List {
    /// Takes the next bytes; each object that is whole goes to `found`. `Err`: it isn't a list, or none that can be held.
    pub(crate) fn take<T: DeserializeOwned>(
        &mut self,
        chunk: &[u8],
        found: &mut impl FnMut(T),
    ) -> Result<(), String> {
        if self.rest.is_empty() {
            let read = self.read(chunk, found)?;
            self.rest.extend_from_slice(&chunk[read..]);
        } else {
            self.rest.extend_from_slice(chunk);
            if self.rest.len() >= self.enough {
                self.look(found)?;
            }
        }
        if self.rest.len().max(self.around.len()) > MOST {
            return Err(format!("a list with an object of more than {MOST} bytes"));
        }
        Ok(())
    }

    /// What the list says of itself, once all of it has come. `Err`: it was cut short.
    pub(crate) fn end<T: DeserializeOwned>(mut self, found: &mut impl FnMut(T)) -> Result<ListMeta, String> {
        #[derive(Deserialize)]
        struct Around {
            metadata: Option<ListMeta>,
        }
        self.look(found)?;
        let around: Around = match self.rest.is_empty() {
            // What was cut short isn't JSON.
            true => serde_json::from_slice(&self.around).map_err(|error| error.to_string())?,
            false => return Err("a list that ends within an object".to_owned()),
        };
        Ok(around.metadata.unwrap_or_default())
    }

    fn look<T: DeserializeOwned>(&mut self, found: &mut impl FnMut(T)) -> Result<(), String> {
        let mut rest = std::mem::take(&mut self.rest);
        let read = self.read(&rest, found)?;
        rest.drain(..read);
        self.rest = rest;
        Ok(())
    }

    /// Reads all of `bytes` but an object that isn't whole. How many it read.
    fn read<T: DeserializeOwned>(
        &mut self,
        bytes: &[u8],
        found: &mut impl FnMut(T),
    ) -> Result<usize, String> {
        let mut read = 0;
        while let Some(byte) = bytes.get(read) {
            match byte {
                b',' | b' ' | b'\n' | b'\r' | b'\t' if self.items => read += 1,
                b'{' if self.items => {
                    let object = &bytes[read..];
                    let mut objects = serde_json::Deserializer::from_slice(object).into_iter();
                    match objects.next() {
                        Some(Ok(object)) => found(object),
                        Some(Err(error)) if !error.is_eof() => return Err(error.to_string()),
                        _ => {
                            self.enough = object.len() * 2;
                            break;
                        }
                    }
                    read += objects.byte_offset();
                }
                b']' => {
                    self.step(*byte)?;
                    read += 1;
                }
                _ if self.items => return Err("a list of something that isn't an object".to_owned()),
                _ => {
                    self.step(*byte)?;
                    read += 1;
                }
            }
        }
        Ok(read)
    }

    /// Takes a byte that is no object's.
    fn step(&mut self, byte: u8) -> Result<(), String> {
        self.around.push(byte);
        match (self.at, byte) {
            (At::Structure, b'"') => (self.at, self.name) = (At::String, self.around.len()),
            (At::String, b'"') => self.at = At::Structure,
            (At::String, b'\\') => self.at = At::Escape,
            (At::Escape, _) => self.at = At::String,
            (At::Structure, b'{' | b'[') => {
                self.depth += 1;
                let named = self.around[self.name..].starts_with(b"items\"");
                self.items = byte == b'[' && self.depth == ITEM && named;
            }
            (At::Structure, b'}' | b']') => {
                self.depth = self.depth.checked_sub(1).ok_or("a list that closes more than it opens")?;
                self.items = false;
            }
            _ => {}
        }
        Ok(())
    }
}
