//! Reads requests as the strictest server would: one way to say everything, said once.

use super::Client;

/// A request as a replica got it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Request {
    /// The values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// Reads a head. The error says what is wrong.
    pub fn parse(head: &[u8]) -> Result<Request, String> {
        let text: String = head.iter().map(|byte| char::from(*byte)).collect();
        let body = text.strip_suffix("\r\n\r\n").ok_or("the head doesn't end in an empty line")?;
        let mut lines = body.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let [method, target, "HTTP/1.1"] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("request line {line:?}"));
        };
        let token = |text: &str| !text.is_empty() && text.bytes().all(is_token);
        if !token(method) || target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("request line {line:?}"));
        }
        let mut request = Request { method: method.into(), target: target.into(), ..Request::default() };
        for line in lines {
            request.fields.push(field(line)?);
        }
        request.check()
    }

    fn check(self) -> Result<Request, String> {
        if self.values("host").len() != 1 {
            return Err(format!("hosts: {:?}", self.values("host")));
        }
        let (lengths, encodings) = (self.values("content-length"), self.values("transfer-encoding"));
        let plain = |length: &&str| !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        match (&lengths[..], &encodings[..]) {
            ([], [] | ["chunked"]) => Ok(self),
            ([length], []) if plain(length) => Ok(self),
            _ => Err(format!("lengths {lengths:?}, encodings {encodings:?}")),
        }
    }

    /// Reads the next request, if one comes, from its first byte to its last.
    pub fn read(from: &mut Client) -> Option<Result<Request, String>> {
        while !from.unread().windows(4).any(|window| window == b"\r\n\r\n") {
            if from.fill() == 0 {
                let rest = from.unread();
                return (!rest.is_empty()).then(|| Err(format!("cut within the head: {rest:?}")));
            }
        }
        let head = from.read_until(b"\r\n\r\n");
        Some(Request::parse(&head).and_then(|request| request.read_body(from)))
    }

    fn read_body(mut self, from: &mut Client) -> Result<Request, String> {
        if let Some(length) = self.values("content-length").first() {
            let length = length.parse().map_err(|_| format!("length {length:?}"))?;
            self.body = take(from, length)?;
        } else if !self.values("transfer-encoding").is_empty() {
            while let Some(chunk) = chunk(from)? {
                self.body.extend_from_slice(&chunk);
            }
            loop {
                match line(from)?.as_str() {
                    "" => break,
                    trailer => self.trailers.push(field(trailer)?),
                }
            }
        }
        Ok(self)
    }
}

fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(": ").ok_or(format!("field line {line:?}"))?;
    let sound = |byte: u8| byte == b'\t' || byte == b' ' || byte.is_ascii_graphic() || byte >= 0x80;
    let value_bytes: Vec<u8> = value.chars().map(|byte| byte as u8).collect();
    if name.is_empty()
        || !name.bytes().all(is_token)
        || !value_bytes.iter().all(|byte| sound(*byte))
        || value.trim() != value && value.is_ascii()
    {
        return Err(format!("field line {line:?}"));
    }
    Ok((name.into(), value.into()))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn take(from: &mut Client, length: usize) -> Result<Vec<u8>, String> {
    while from.unread().len() < length {
        if from.fill() == 0 {
            return Err(format!("cut after {} of {length} bytes", from.unread().len()));
        }
    }
    Ok(from.read_exact(length))
}

fn line(from: &mut Client) -> Result<String, String> {
    while !from.unread().contains(&b'\n') {
        if from.fill() == 0 {
            return Err(format!("cut within a line: {:?}", from.unread()));
        }
    }
    let line = from.read_until(b"\n");
    let line: String = line.iter().map(|byte| char::from(*byte)).collect();
    line.strip_suffix("\r\n").map(str::to_owned).ok_or(format!("line {line:?}"))
}

fn chunk(from: &mut Client) -> Result<Option<Vec<u8>>, String> {
    let size = line(from)?;
    let plain = (1..=8).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
    let length = usize::from_str_radix(&size, 16).ok().filter(|_| plain).ok_or(format!("chunk {size:?}"))?;
    if length == 0 {
        return Ok(None);
    }
    let chunk = take(from, length)?;
    if take(from, 2)? != b"\r\n" {
        return Err("a chunk doesn't end where it says".into());
    }
    Ok(Some(chunk))
}
