//! Header fields: a list that points into the bytes it was read from, and what each name means to a proxy.

/// A name that the proxy acts on. Every other passes untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Expect,
    Upgrade,
    Te,
    Trailer,
    /// `Keep-Alive`, `Proxy-Connection`, `Proxy-Authenticate`, `Proxy-Authorization`, `HTTP2-Settings`: they end here.
    HopByHop,
    /// What the proxy says of the client: `Forwarded`, `X-Forwarded-*`, `X-Real-IP`. Believed from trusted proxies alone.
    Forwarding,
    RequestId,
    Cookie,
    /// Ours alone to say in a response.
    ColdStart,
    /// What proxies say to each other.
    Passed,
    /// Spelt with `_` what one of the above spells with `-`: some programs read the two as one.
    Twin,
    Other,
}

/// What `name` means.
pub(crate) fn classify(name: &[u8]) -> Name {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let known = match name.len() {
        2 if is("te") => Name::Te,
        4 if is("host") => Name::Host,
        6 if is("expect") => Name::Expect,
        6 if is("cookie") => Name::Cookie,
        7 if is("upgrade") => Name::Upgrade,
        7 if is("trailer") => Name::Trailer,
        9 if is("forwarded") || is("x-real-ip") => Name::Forwarding,
        10 if is("connection") => Name::Connection,
        10 if is("keep-alive") => Name::HopByHop,
        10 if is("x-kaos-hop") => Name::Passed,
        12 if is("x-request-id") => Name::RequestId,
        14 if is("content-length") => Name::ContentLength,
        14 if is("http2-settings") => Name::HopByHop,
        16 if is("proxy-connection") => Name::HopByHop,
        17 if is("transfer-encoding") => Name::TransferEncoding,
        17 if is("x-kaos-cold-start") => Name::ColdStart,
        18 if is("proxy-authenticate") => Name::HopByHop,
        19 if is("proxy-authorization") => Name::HopByHop,
        length
            if length > 12
                && name.get(..12).is_some_and(|head| head.eq_ignore_ascii_case(b"x-forwarded-")) =>
        {
            Name::Forwarding
        }
        _ => Name::Other,
    };
    if known == Name::Other && name.contains(&b'_') { twin(name) } else { known }
}

fn twin(name: &[u8]) -> Name {
    let dashed: Vec<u8> = name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
    match classify(&dashed) {
        Name::Other | Name::Cookie => Name::Other,
        _ => Name::Twin,
    }
}

/// Fields of one message, as places in the bytes of its head.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    name: u32,
    value: u32,
    kind: Name,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) kind: Name,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl Fields {
    /// None yet, with room for what requests and answers usually have.
    pub(crate) fn with_room() -> Self {
        Fields { bytes: Vec::with_capacity(512), spans: Vec::with_capacity(16) }
    }

    /// Forgets everything, keeps the room.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// Adds a field.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.spans.push(Span {
            start,
            name: name.len() as u32,
            value: value.len() as u32,
            kind: classify(name),
        });
    }

    /// All fields in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.spans.iter().map(|span| {
            let (start, name) = (span.start as usize, span.name as usize);
            let value = start + name;
            Field {
                kind: span.kind,
                name: self.bytes.get(start..value).unwrap_or_default(),
                value: self.bytes.get(value..value + span.value as usize).unwrap_or_default(),
            }
        })
    }

    /// The values of one kind, in order.
    pub(crate) fn values(&self, kind: Name) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |field| field.kind == kind).map(|field| field.value)
    }

    /// Whether they say that the content is messages of gRPC.
    pub(crate) fn is_grpc(&self) -> bool {
        let kind = self.iter().find(|field| field.name.eq_ignore_ascii_case(b"content-type"));
        kind.is_some_and(|field| is_grpc(field.value))
    }

    /// Whether a `Connection` field lists `name`: such a field is for this hop alone. Names that the proxy itself acts
    /// on can't be taken away like this (CVE-2024-45410 is what happens otherwise).
    pub(crate) fn is_listed(&self, field: &Field<'_>) -> bool {
        matches!(field.kind, Name::Other | Name::Cookie) && self.lists(field.name)
    }

    /// Whether a `Connection` field has the token `name`.
    pub(crate) fn lists(&self, name: &[u8]) -> bool {
        self.values(Name::Connection).any(|value| tokens(value).any(|token| token.eq_ignore_ascii_case(name)))
    }

    /// Whether there is a `Connection` field that lists more than the usual tokens, so that [`Fields::is_listed`] is worth asking.
    pub(crate) fn lists_more(&self) -> bool {
        let usual = |token: &[u8]| {
            [&b"keep-alive"[..], b"close", b"upgrade", b"te"]
                .iter()
                .any(|word| token.eq_ignore_ascii_case(word))
        };
        self.values(Name::Connection).any(|value| tokens(value).any(|token| !usual(token)))
    }
}

/// The elements of a comma-separated list, without the white space around them and without empty ones.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// The value of a `Content-Length`: digits alone, within 63 bits.
pub(crate) fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 32 {
        return None;
    }
    let mut length: u64 = 0;
    for byte in value {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length = length.checked_mul(10)?.checked_add(digit)?;
    }
    (length <= i64::MAX as u64).then_some(length)
}

/// Whether a request with this `Content-Type` is one of gRPC, which looks for its own status in an answer.
fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let begins = content_type.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC));
    begins && matches!(content_type.get(GRPC.len()), None | Some(b'+' | b';' | b' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_their_underscore_twins_too() {
        for (name, kind) in [
            ("HOST", Name::Host),
            ("Content-length", Name::ContentLength),
            ("X-Forwarded-Anything", Name::Forwarding),
            ("X-Forwarded-", Name::Other),
            ("x_forwarded_for", Name::Twin),
            ("Transfer_Encoding", Name::Twin),
            ("content_length", Name::Twin),
            ("x-request_id", Name::Twin),
            ("api_key", Name::Other),
            ("Hosts", Name::Other),
        ] {
            assert_eq!(classify(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn a_name_of_any_length_stays_a_name() {
        // Were its length cut to 16 bits, its beginning would be a field of its own.
        let name = [&b"transfer-encodingchunked"[..], &[b'x'; 1 << 16]].concat();
        let mut fields = Fields::default();
        fields.push(&name[..(1 << 16) + 17], b"chunked");
        let field = fields.iter().next().unwrap();
        assert_eq!(
            (field.kind, field.name.len(), field.value),
            (Name::Other, (1 << 16) + 17, &b"chunked"[..])
        );
    }

    #[test]
    fn a_connection_field_takes_away_only_what_the_proxy_doesnt_act_on() {
        let mut fields = Fields::default();
        fields.push(b"Connection", b"host, X-Forwarded-For, , x-private");
        fields.push(b"Host", b"a");
        fields.push(b"X-Private", b"b");
        let listed: Vec<_> =
            fields.iter().filter(|field| fields.is_listed(field)).map(|field| field.value).collect();
        assert_eq!(listed, [b"b"]);
        assert!(fields.lists_more());
    }

    #[test]
    fn lengths_are_digits_alone() {
        assert_eq!(length(b"005"), Some(5));
        assert_eq!(length(b"9223372036854775807"), Some(i64::MAX as u64));
        for value in [
            &b""[..],
            b"+5",
            b"-1",
            b"0x5",
            b"5 5",
            b"5, 5",
            b" 5",
            b"9223372036854775808",
            b"99999999999999999999999999999999999",
        ] {
            assert_eq!(length(value), None, "{value:?}");
        }
    }

    #[test]
    fn grpc_is_known_by_its_content() {
        for (kind, is) in [
            ("application/grpc", true),
            ("Application/gRPC+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(kind.as_bytes()), is, "{kind}");
        }
    }
}
