//! Reads the head of a replica's answer. What breaks the rules never reaches the client: it is a 502.

use std::future::poll_fn;
use std::mem::MaybeUninit;

use http::Method;

use crate::buffer::{Buffers, READ_SIZE};
use crate::field::{Fields, Name, length};
use crate::http1::framing::{Chunks, Framing};
use crate::partial::Partial;
use crate::sabotage::{Rule, is_off};
use crate::upstream::link::Link;

const FIELDS: usize = 100;
/// Largest head of an answer, in bytes.
const LARGEST: usize = 64 * 1024;
/// Most interim answers before the final one.
pub(crate) const INTERIM: usize = 16;

/// A checked head.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: Vec<u8>,
    pub(crate) fields: Fields,
    pub(crate) body: Framing,
    /// The answer says how long its content is (or would be, to a HEAD).
    pub(crate) length: Option<u64>,
    /// The connection may carry another exchange after the body.
    pub(crate) reusable: bool,
    /// The protocol after a 101.
    pub(crate) upgrade: Option<Vec<u8>>,
}

impl Answer {
    /// Whether there is no content where there could be some, and nothing says so.
    pub(crate) fn ends_unsaid(&self, method: &Method) -> bool {
        let could = method != Method::HEAD && self.status >= 200 && !matches!(self.status, 204 | 304);
        could && self.length.is_none() && self.body.has_ended()
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The connection ended before the first byte.
    Closed,
    /// The replica broke the rules.
    Broken(&'static str),
}

/// Reads the final answer to a request with `method`; interim ones end here.
pub(crate) async fn read(link: &mut Link, method: &Method, buffers: &Buffers) -> Result<Answer, NoAnswer> {
    let mut interim = 0;
    let mut partial = Partial::default();
    loop {
        if !link.input.is_empty() && partial.is_worth_reading(link.input.unread(), LARGEST) {
            if let Some((answer, used)) = parse(link.input.unread(), method)? {
                link.input.consume(used);
                partial = Partial::default();
                if answer.status >= 200 || answer.status == 101 {
                    return Ok(answer);
                }
                interim += 1;
                if interim > INTERIM && !is_off(Rule::Interim) {
                    return Err(NoAnswer::Broken("the replica sent more than 16 interim answers"));
                }
                continue;
            }
            if link.input.unread().len() >= LARGEST {
                return Err(NoAnswer::Broken("the head of the replica's answer is larger than 64 KiB"));
            }
        }
        let read = poll_fn(|cx| link.input.poll_fill(cx, &link.socket, buffers, READ_SIZE)).await;
        match read {
            Ok(0) | Err(_) if link.input.is_empty() && interim == 0 => return Err(NoAnswer::Closed),
            Ok(0) | Err(_) => {
                return Err(NoAnswer::Broken(
                    "the replica ended the connection within the head of its answer",
                ));
            }
            Ok(_) => {}
        }
    }
}

/// Reads a head from the start of `bytes`. Returns it with its length; `None` if more bytes are needed.
pub(crate) fn parse(bytes: &[u8], method: &Method) -> Result<Option<(Answer, usize)>, NoAnswer> {
    let mut room = [const { MaybeUninit::uninit() }; FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let mut grammar = httparse::ParserConfig::default();
    grammar.allow_obsolete_multiline_headers_in_responses(is_off(Rule::AnswerBytes));
    let used = match grammar.parse_response_with_uninit_headers(&mut response, bytes, &mut room) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(NoAnswer::Broken("the replica's answer has more than 100 header fields"));
        }
        Err(_) => return Err(NoAnswer::Broken("the head of the replica's answer is malformed")),
    };
    let mut fields = Fields::default();
    for field in response.headers.iter() {
        fields.push(field.name.as_bytes(), field.value);
    }
    let status = response.code.unwrap_or_default();
    let modern = response.version == Some(1);
    if !(100..=999).contains(&status) {
        return Err(NoAnswer::Broken("the replica's answer has a status that HTTP doesn't know"));
    }
    let (body, length) = frame(&fields, status, modern, method)?;
    let keep = if modern { !fields.lists(b"close") } else { fields.lists(b"keep-alive") };
    let upgrade = (status == 101).then(|| upgrade(&fields).unwrap_or_default().to_vec());
    // A 205 has no content (RFC 9110 §15.3.6), whatever it says of its length.
    let (body, length, sound) = if status == 205 {
        (Framing::Length(0), Some(0), body == Framing::Length(0))
    } else {
        (body, length, true)
    };
    let reusable = keep && sound && body != Framing::UntilClose && status != 101;
    let reason = response.reason.unwrap_or_default().as_bytes().to_vec();
    Ok(Some((Answer { status, reason, fields, body, length, reusable, upgrade }, used)))
}

/// The protocol that a 101 changes to, if it names one and no other.
fn upgrade(fields: &Fields) -> Option<&[u8]> {
    let mut protocols = fields.values(Name::Upgrade);
    protocols.next().filter(|_| protocols.next().is_none())
}

/// RFC 9112 §6.3, and stricter: one way to say the length, said once.
fn frame(
    fields: &Fields,
    status: u16,
    modern: bool,
    method: &Method,
) -> Result<(Framing, Option<u64>), NoAnswer> {
    let mut lengths = fields.values(Name::ContentLength);
    let mut encodings = fields.values(Name::TransferEncoding);
    let said = (lengths.next(), encodings.next());
    let twice = lengths.next().is_some() || encodings.next().is_some() || matches!(said, (Some(_), Some(_)));
    if twice && !is_off(Rule::SoundAnswers) {
        return Err(NoAnswer::Broken("the replica says twice how long its answer is"));
    }
    let (body, said) = match said {
        (Some(value), _) => {
            let length = length(value)
                .ok_or(NoAnswer::Broken("the Content-Length of the replica's answer is no number"))?;
            (Framing::Length(length), Some(length))
        }
        (_, Some(value)) if modern && value.eq_ignore_ascii_case(b"chunked") => {
            (Framing::Chunked(Chunks::default()), None)
        }
        (_, Some(_)) => {
            return Err(NoAnswer::Broken("the replica's answer has a Transfer-Encoding other than chunked"));
        }
        (None, None) => (Framing::UntilClose, None),
    };
    let contentless = method == Method::HEAD || status < 200 || status == 204 || status == 304;
    let empty = contentless && !is_off(Rule::Contentless);
    Ok((if empty { Framing::Length(0) } else { body }, said))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get(head: &str) -> Result<Answer, &'static str> {
        match parse(head.as_bytes(), &Method::GET) {
            Ok(Some((answer, used))) => {
                assert_eq!(used, head.len());
                Ok(answer)
            }
            Ok(None) => Err("partial"),
            Err(NoAnswer::Broken(why)) => Err(why),
            Err(NoAnswer::Closed) => Err("closed"),
        }
    }

    #[test]
    fn bodies_end_where_the_head_says() {
        for (head, body, reusable) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                Framing::Chunked(Chunks::default()),
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose, false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), false),
            (
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
                Framing::Length(5),
                true,
            ),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", Framing::Length(5), false),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Framing::Length(0), true),
            ("HTTP/1.1 204 No Content\r\n\r\n", Framing::Length(0), true),
        ] {
            let answer = get(head).unwrap();
            assert_eq!((answer.body, answer.reusable), (body, reusable), "{head}");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_no_answer() {
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 99 OK\r\n\r\n",
            "HTTP/1.1 1000 OK\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
        ] {
            assert!(get(head).is_err(), "{head}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes, &Method::GET);
        }
    }
}
