//! A message as JSON.
//!
//! As the API server writes it: what isn't said is left out, and so are an empty text and a zero where its JSON has none.

use std::hash::{DefaultHasher, Hasher};

use jiff::Timestamp;

use super::field::{Value, Wrong, fields};
use super::schema::{Kind, Message};

/// Writes `bytes`, a message of this shape, to `out`.
pub(super) fn object(message: &Message, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Wrong> {
    out.push(b'{');
    let mut object = Object { out, begun: false };
    object.members(message, bytes)?;
    if message.sum {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        object.name("sum");
        number(object.out, &hasher.finish());
    }
    out.push(b'}');
    Ok(())
}

/// An object that is being written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    /// It has a member.
    begun: bool,
}

impl Object<'_> {
    fn name(&mut self, name: &str) {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn members(&mut self, message: &Message, bytes: &[u8]) -> Result<(), Wrong> {
        for field in message.fields {
            let mut last = None;
            let mut count = 0_usize;
            for found in fields(bytes) {
                let found = found?;
                if found.number == field.number {
                    if field.kind.repeats() {
                        self.element(field.name, field.kind, count, found.value)?;
                    }
                    (last, count) = (Some(found.value), count + 1);
                }
            }
            let Some(last) = last else { continue };
            match field.kind {
                Kind::Inline(message) => self.members(message, last.bytes()?)?,
                Kind::Map => self.out.push(b'}'),
                kind if kind.repeats() => self.out.push(b']'),
                kind => self.member(field.name, kind, last)?,
            }
        }
        Ok(())
    }

    /// One of those that a list or a map has, the first with what is before it.
    fn element(&mut self, name: &str, kind: Kind, at: usize, value: Value<'_>) -> Result<(), Wrong> {
        if at == 0 {
            self.name(name);
            self.out.push(if matches!(kind, Kind::Map) { b'{' } else { b'[' });
        } else {
            self.out.push(b',');
        }
        match kind {
            Kind::Map => {
                let (mut name, mut said) = ("", "");
                for field in fields(value.bytes()?) {
                    let field = field?;
                    match field.number {
                        1 => name = field.value.text()?,
                        2 => said = field.value.text()?,
                        _ => {}
                    }
                }
                text(self.out, name)?;
                self.out.push(b':');
                text(self.out, said)
            }
            Kind::Texts => text(self.out, value.text()?),
            Kind::Messages(message) => object(message, value.bytes()?, self.out),
            _ => Err(Wrong::Malformed),
        }
    }

    fn member(&mut self, name: &str, kind: Kind, value: Value<'_>) -> Result<(), Wrong> {
        match kind {
            Kind::Text => {
                let said = value.text()?;
                if !said.is_empty() {
                    self.name(name);
                    text(self.out, said)?;
                }
            }
            Kind::Number | Kind::Pointer => {
                // Of 32 bits too: a negative one is written with all 64.
                let said = value.number()?.cast_signed();
                if said != 0 || matches!(kind, Kind::Pointer) {
                    self.name(name);
                    number(self.out, &said);
                }
            }
            Kind::Flag => {
                let said = value.number()? != 0;
                self.name(name);
                number(self.out, &said);
            }
            Kind::Time => self.time(name, value.bytes()?)?,
            Kind::NumberOrText => self.number_or_text(name, value.bytes()?)?,
            Kind::Json => {
                for field in fields(value.bytes()?) {
                    let said = field?.value.bytes()?;
                    if !said.is_empty() {
                        self.name(name);
                        self.out.extend_from_slice(said);
                    }
                }
            }
            Kind::Message(message) => {
                self.name(name);
                object(message, value.bytes()?, self.out)?;
            }
            Kind::Inline(_) | Kind::Map | Kind::Texts | Kind::Messages(_) => return Err(Wrong::Malformed),
        }
        Ok(())
    }

    /// `meta.v1.Time`: seconds since 1970, none if it is none.
    fn time(&mut self, name: &str, bytes: &[u8]) -> Result<(), Wrong> {
        let mut seconds = 0;
        for field in fields(bytes) {
            let field = field?;
            if field.number == 1 {
                seconds = field.value.number()?.cast_signed();
            }
        }
        if seconds != 0 {
            let at = Timestamp::from_second(seconds).map_err(|_| Wrong::Malformed)?;
            self.name(name);
            text(self.out, &at.to_string())?;
        }
        Ok(())
    }

    /// `util.intstr.IntOrString`: which of both it is, and both.
    fn number_or_text(&mut self, name: &str, bytes: &[u8]) -> Result<(), Wrong> {
        let (mut is_text, mut one, mut other) = (false, 0, "");
        for field in fields(bytes) {
            let field = field?;
            match field.number {
                1 => is_text = field.value.number()? == 1,
                2 => one = field.value.number()?.cast_signed(),
                3 => other = field.value.text()?,
                _ => {}
            }
        }
        self.name(name);
        if is_text {
            return text(self.out, other);
        }
        number(self.out, &one);
        Ok(())
    }
}

fn text(out: &mut Vec<u8>, text: &str) -> Result<(), Wrong> {
    serde_json::to_writer(out, text).map_err(|_| Wrong::Malformed)
}

fn number(out: &mut Vec<u8>, number: &impl ToString) {
    out.extend_from_slice(number.to_string().as_bytes());
}
