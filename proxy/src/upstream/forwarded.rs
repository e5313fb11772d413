//! What a replica is told of the client: `X-Forwarded-*` and `Forwarded` (RFC 7239). A trusted proxy's words are kept and
//! continued; a proxy of our own that passes a request on has said everything; anybody else's words are replaced.
//!
//! Of the two ways to say it, a trusted proxy's own is continued alone: begun here, the other would know nothing of what
//! was before, and some programs believe `Forwarded` first, others `X-Forwarded-*`.

use std::net::IpAddr;

use crate::clients::Client;
use crate::field::{Field, Name};
use crate::head::Head;
use crate::http1::write::{decimal, field};
use crate::sabotage::{Rule, is_off};

/// A stranger has said that the scheme is another one than that of its connection, and that wasn't passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped;

const FORWARDED: &[u8] = b"Forwarded";
const FOR: &[u8] = b"X-Forwarded-For";
const PROTO: &[u8] = b"X-Forwarded-Proto";
const HOST: &[u8] = b"X-Forwarded-Host";

/// Writes these fields of a request from `client`. `said`: `head` has such fields.
pub(crate) fn write(head: &Head, client: Client, said: bool, out: &mut Vec<u8>) -> Result<(), Dropped> {
    if head.passed.is_some() {
        fields(head).for_each(|known| field(out, known.name, known.value));
    } else if said && (client.trusted || is_off(Rule::Forwarding)) {
        resume(head, client, out);
    } else {
        begin(head, client, out);
        if said && values(head, PROTO).any(|scheme| !scheme.eq_ignore_ascii_case(client.scheme())) {
            return Err(Dropped);
        }
    }
    Ok(())
}

/// Whether the request came over TLS: here, or to a trusted proxy by its own words.
pub(crate) fn is_secure(head: &Head, client: Client) -> bool {
    let https = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"https");
    // Of several proxies the first heard it from the client.
    let first =
        |name, by: u8| values(head, name).next().and_then(|value| value.split(|byte| *byte == by).next());
    let proto = || first(PROTO, b',').is_some_and(https);
    let element = || {
        first(FORWARDED, b',').is_some_and(|element| {
            element.split(|byte| *byte == b';').any(|pair| {
                let pair = pair.trim_ascii();
                let is_proto = pair.get(..6).is_some_and(|name| name.eq_ignore_ascii_case(b"proto="));
                is_proto && pair.get(6..).is_some_and(|value| https(unquoted(value)))
            })
        })
    };
    client.secure || client.trusted && (proto() || element())
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// The addresses that are named as those for whom it was forwarded, in order, up to what is none.
pub(crate) fn addresses(head: &Head) -> impl DoubleEndedIterator<Item = IpAddr> {
    let all: Vec<IpAddr> = values(head, FOR)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|address| std::str::from_utf8(address.trim_ascii()).ok()?.parse().ok())
        // Before what can't be read nobody is believed.
        .collect::<Vec<Option<IpAddr>>>()
        .rsplit(Option::is_none)
        .next()
        .map(|known| known.iter().flatten().copied().collect())
        .unwrap_or_default();
    all.into_iter()
}

/// The client is the first who is known.
fn begin(head: &Head, client: Client, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(b"X-Forwarded-For: ");
    address(out, client.address);
    let client_at = start + b"X-Forwarded-For: ".len()..out.len();
    out.extend_from_slice(b"\r\n");
    field(out, PROTO, client.scheme());
    if !head.host.is_empty() {
        field(out, HOST, &head.host);
    }
    out.extend_from_slice(b"Forwarded: ");
    element(head, client, out, |out| out.extend_from_within(client_at));
    out.extend_from_slice(b"\r\n");
}

/// The client is a proxy, and comes after those whom it names.
fn resume(head: &Head, client: Client, out: &mut Vec<u8>) {
    if values(head, FORWARDED).next().is_some() {
        list(head, FORWARDED, out);
        element(head, client, out, |out| address(out, client.address));
        out.extend_from_slice(b"\r\n");
    }
    if fields(head).all(|known| is(&known, FORWARDED)) {
        return;
    }
    list(head, FOR, out);
    address(out, client.address);
    out.extend_from_slice(b"\r\n");
    let rest = fields(head).filter(|known| !is(known, FORWARDED) && !is(known, FOR));
    rest.for_each(|known| field(out, known.name, known.value));
    if values(head, PROTO).next().is_none() {
        field(out, PROTO, client.scheme());
    }
    if values(head, HOST).next().is_none() && !head.host.is_empty() {
        field(out, HOST, &head.host);
    }
}

fn fields(head: &Head) -> impl Iterator<Item = Field<'_>> {
    head.fields.iter().filter(|known| known.kind == Name::Forwarding)
}

fn is(known: &Field<'_>, name: &[u8]) -> bool {
    known.name.eq_ignore_ascii_case(name)
}

/// What was said under `name`.
fn values<'a>(head: &'a Head, name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    fields(head).filter(|known| is(known, name)).map(|known| known.value)
}

/// Begins the field `name` with everything that was said under it, in order, for one more to follow.
fn list(head: &Head, name: &'static [u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    for value in values(head, name).map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
}

/// One element of `Forwarded` (RFC 7239 §4): who asked, for which host, by which scheme.
fn element(head: &Head, client: Client, out: &mut Vec<u8>, who: impl FnOnce(&mut Vec<u8>)) {
    let (open, close): (&[u8], &[u8]) =
        if client.address.is_ipv4() { (b"for=", b"") } else { (b"for=\"[", b"]\"") };
    out.extend_from_slice(open);
    who(out);
    out.extend_from_slice(close);
    if !head.host.is_empty() {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(&head.host);
        out.push(b'"');
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(client.scheme());
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (at, octet) in address.octets().iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                decimal(out, u64::from(*octet));
            }
        }
        IpAddr::V6(address) => out.extend_from_slice(address.to_string().as_bytes()),
    }
}
