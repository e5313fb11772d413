//! What a request asks for, read from its path and query. Pure.

use std::time::Duration;

use http::{StatusCode, Uri};

use crate::span;

/// Most bytes, chunks or events that may be asked for.
const MOST: u64 = 1 << 40;

/// What is to be answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ask {
    pub(super) kind: Kind,
    /// Wait before the head.
    pub(super) delay: Duration,
    pub(super) status: StatusCode,
}

/// The paths.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Small,
    Bytes { size: u64 },
    Chunked { count: u64, size: usize, every: Duration },
    Echo,
    Headers,
    Events { count: u64, every: Duration },
    WebSocket,
    Early,
    Trailers,
    Crash,
    Abort { after: Option<u64> },
    CloseAfter { max: Duration },
    Healthz,
}

impl Ask {
    /// Reads the path and query. The error is the sentence to answer with 404.
    pub(super) fn read(uri: &Uri) -> Result<Ask, String> {
        let query = Query(uri.query().unwrap_or_default());
        let mut parts = uri.path().trim_start_matches('/').split('/');
        let name = parts.next().unwrap_or_default();
        let mut ask =
            Ask { kind: Kind::Small, delay: query.span("delay", Duration::ZERO)?, status: query.status()? };
        ask.kind = match name {
            "" => query.size()?.map_or(Kind::Small, |size| Kind::Bytes { size }),
            "delay" => {
                ask.delay = span::parse(parts.next().unwrap_or_default())?;
                query.size()?.map_or(Kind::Small, |size| Kind::Bytes { size })
            }
            "bytes" => Kind::Bytes { size: number(name, parts.next())? },
            "chunked" => Kind::Chunked {
                count: number(name, parts.next())?,
                size: number(name, parts.next())?.min(1 << 24) as usize,
                every: query.span("every", Duration::ZERO)?,
            },
            "status" | "early" => {
                ask.status = status(parts.next().unwrap_or_default())?;
                if name == "early" { Kind::Early } else { Kind::Small }
            }
            "echo" => Kind::Echo,
            "headers" => Kind::Headers,
            "sse" => Kind::Events {
                count: query.number("count")?.unwrap_or(10),
                every: query.span("every", Duration::from_millis(100))?,
            },
            "ws" => Kind::WebSocket,
            "trailers" => Kind::Trailers,
            "crash" => Kind::Crash,
            "abort" => Kind::Abort { after: query.number("after")? },
            "close-after" => Kind::CloseAfter { max: query.span("max", Duration::from_millis(4))? },
            "healthz" => Kind::Healthz,
            _ => return Err(format!("no path {uri} here: `answer --help` lists them")),
        };
        match parts.next() {
            Some(rest) => Err(format!("/{name}: nothing was expected after it but got {rest:?}")),
            None => Ok(ask),
        }
    }
}

fn number(name: &str, text: Option<&str>) -> Result<u64, String> {
    let text = text.unwrap_or_default();
    let number = text.parse().ok().filter(|number| *number <= MOST);
    number.ok_or_else(|| format!("{name}: {text:?} is no whole number up to {MOST}"))
}

fn status(text: &str) -> Result<StatusCode, String> {
    let final_one = |status: &StatusCode| !status.is_informational();
    let status = text.parse().ok().filter(final_one);
    status.ok_or_else(|| format!("status: {text:?} is none of 200 to 999"))
}

/// The query: `name=value` pairs joined by `&`, not decoded.
struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    fn find(&self, name: &str) -> Option<&'a str> {
        self.0
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    fn span(&self, name: &str, default: Duration) -> Result<Duration, String> {
        self.find(name)
            .map_or(Ok(default), |text| span::parse(text).map_err(|error| format!("{name}: {error}")))
    }

    fn number(&self, name: &str) -> Result<Option<u64>, String> {
        self.find(name).map(|text| number(name, Some(text))).transpose()
    }

    fn size(&self) -> Result<Option<u64>, String> {
        self.number("size")
    }

    fn status(&self) -> Result<StatusCode, String> {
        self.find("status").map_or(Ok(StatusCode::OK), status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Ask, String> {
        Ask::read(&text.parse().unwrap())
    }

    #[test]
    fn paths_and_queries_combine() {
        let ask = read("/delay/300ms?size=10&status=503").unwrap();
        let wanted = Ask {
            kind: Kind::Bytes { size: 10 },
            delay: Duration::from_millis(300),
            status: StatusCode::SERVICE_UNAVAILABLE,
        };
        assert_eq!(ask, wanted);
        let chunked = Kind::Chunked { count: 10, size: 1000, every: Duration::from_millis(50) };
        assert_eq!(read("/chunked/10/1000?every=50ms").unwrap().kind, chunked);
        assert_eq!(read("/?delay=1s").unwrap().delay, Duration::from_secs(1));
        assert_eq!(read("/abort?after=7").unwrap().kind, Kind::Abort { after: Some(7) });
        assert_eq!(read("http://host/early/413").unwrap().status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for text in [
            "/nowhere",
            "/bytes/x",
            "/bytes/",
            "/status/100",
            "/status/7",
            "/delay/5",
            "/?delay=x",
            "/echo/more",
            "/chunked/1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
