//! Writes the head of a request as a replica gets it: hop-by-hop fields gone, forwarding fields as far as they are
//! believed, framing our own. The fields are the same lines for HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use kaos_core::rule::Edits;

use crate::clients::Client;
use crate::field::Name;
use crate::head::Head;
use crate::http1::framing::Framing;
use crate::http1::write::{decimal, field};
use crate::sabotage::{Rule, is_off};
use crate::upstream::forwarded::{self, Dropped};

/// Behind the time that a request may wait at another proxy: it came over TLS.
pub(crate) const OVER_TLS: &[u8] = b";tls";

/// What the proxy says of itself and the client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop<'a> {
    pub(crate) client: Client,
    /// What is asked for.
    pub(crate) target: &'a [u8],
    /// Of which host. Empty: of none.
    pub(crate) host: &'a [u8],
    /// What becomes of the client's fields.
    pub(crate) edits: Option<&'a Edits>,
    pub(crate) request_id: &'a str,
    /// For a request that names no host.
    pub(crate) replica: SocketAddr,
    /// It goes to another proxy, which may let it wait for so long.
    pub(crate) pass: Option<Duration>,
}

/// Writes `head` to `out`. `Err`: it is whole, but for a scheme that the client may not say.
pub(crate) fn head(head: &Head, hop: &Hop<'_>, out: &mut Vec<u8>) -> Result<(), Dropped> {
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(hop.target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    if hop.host.is_empty() {
        field(out, b"Host", hop.replica.to_string().as_bytes());
    } else {
        field(out, b"Host", hop.host);
    }
    let speaks_for_others = fields(head, hop.edits, out);
    match &head.body {
        Framing::Length(0) if head.fields.values(Name::ContentLength).next().is_none() => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, *length);
            out.extend_from_slice(b"\r\n");
        }
        _ => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    match &head.upgrade {
        Some(protocol) => {
            out.extend_from_slice(b"Connection: Upgrade\r\n");
            field(out, b"Upgrade", protocol);
        }
        None if head.takes_trailers => out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n"),
        None => {}
    }
    let written = said(head, hop, speaks_for_others, out);
    if let Some(wait) = hop.pass {
        out.extend_from_slice(b"X-Kaos-Hop: ");
        decimal(out, wait.as_millis() as u64);
        if head.secure {
            out.extend_from_slice(OVER_TLS);
        }
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    written
}

/// Writes the fields that go from end to end, as their route has them. Returns whether the client speaks for others.
pub(crate) fn fields(head: &Head, edits: Option<&Edits>, out: &mut Vec<u8>) -> bool {
    let listed = head.fields.lists_more();
    let mut speaks_for_others = false;
    for known in head.fields.iter() {
        match known.kind {
            Name::Other | Name::Cookie if listed && head.fields.is_listed(&known) => {}
            Name::Other | Name::Cookie if edits.is_some_and(|edits| edits.drops(known.name)) => {}
            Name::Other | Name::Cookie => field(out, known.name, known.value),
            Name::Forwarding => speaks_for_others = true,
            Name::HopByHop | Name::Te | Name::Connection if is_off(Rule::HopByHop) => {
                field(out, known.name, known.value);
            }
            Name::Twin if is_off(Rule::SoundLength) => field(out, known.name, known.value),
            Name::Trailer if matches!(head.body, Framing::Chunked(_)) => field(out, known.name, known.value),
            _ => {}
        }
    }
    for (name, value) in edits.into_iter().flat_map(Edits::added) {
        field(out, name.as_bytes(), value.as_bytes());
    }
    speaks_for_others
}

/// Writes what the proxy says of itself and the client. `Err`: as of [`head`].
pub(crate) fn said(
    head: &Head,
    hop: &Hop<'_>,
    speaks_for_others: bool,
    out: &mut Vec<u8>,
) -> Result<(), Dropped> {
    let written = forwarded::write(head, hop.client, speaks_for_others, out);
    field(out, b"X-Request-Id", hop.request_id.as_bytes());
    written
}
