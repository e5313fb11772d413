//! Finds out when a starting replica is ready, and what is wrong when it doesn't become so.
//!
//! Tried at first every millisecond, then every percent of the time waited so far, at most every 100 ms: what polling
//! adds stays in proportion. Knows one address, one process and one deadline.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kaos_core::duration;
use kaos_core::policy::Readiness;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::linux::Timer;
use crate::linux::sockets::{self, Owner};
use crate::output::Tail;

/// Between two tries, at first and at last.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(100);

/// Between two tries at least, at somebody else's listener: each try waits in its backlog until it is accepted.
const POLITE: Duration = Duration::from_millis(50);

/// From this step on the runtime's timer is exact enough.
const COARSE: Duration = Duration::from_millis(5);

/// A try is given up after this, if the deadline isn't nearer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most of an answer that is read, in bytes, and the longest time for it once the status is known.
const ANSWER: usize = 64 * 1024;
const REST: Duration = Duration::from_secs(1);

/// A listener outside the replica's process tree may be a port forwarder that works for it (a container's), or a
/// stranger that was quicker. If the replica still runs after this, and hasn't said that its address is in use, it is the
/// former.
const STRANGER: Duration = Duration::from_secs(1);

/// What is to become ready.
pub(crate) struct Probe {
    /// The port on 127.0.0.1.
    pub(crate) port: u16,
    /// The replica's first process.
    pub(crate) pid: u32,
    /// What counts as ready.
    pub(crate) readiness: Readiness,
    /// Ready within this, or the start has failed.
    pub(crate) timeout: Duration,
    /// What the replica said last.
    pub(crate) tail: Arc<Tail>,
}

/// What one try saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Ready,
    /// Nobody listens.
    Nobody,
    /// Somebody who isn't of the replica's tree listens.
    Stranger,
    /// A status that isn't ready.
    Status(u16),
    /// Connected, and no answer, or none that is HTTP.
    Silence,
}

impl Probe {
    /// Waits until the replica is ready. The error says why it isn't by its deadline.
    pub(crate) async fn wait(&self) -> Result<(), String> {
        let begun = Instant::now();
        let deadline = begun + self.timeout;
        let (mut next, mut stranger_since, mut last) = (begun, None, Seen::Nobody);
        let timer = Timer::new().ok();
        loop {
            let patience = PATIENCE.min(deadline.saturating_duration_since(Instant::now()));
            // A try that the deadline cuts short says less than the one before.
            let cut = if last == Seen::Nobody { Seen::Silence } else { last };
            let mut seen = timeout(patience, self.look()).await.unwrap_or(cut);
            if seen == Seen::Stranger {
                let since = *stranger_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= STRANGER && !self.tail.said_in_use() {
                    seen = timeout(patience, self.ask()).await.unwrap_or(cut);
                }
            }
            let now = Instant::now();
            if seen == Seen::Ready {
                return Ok(());
            }
            // Once connected, "nobody" says less than what was seen then.
            if seen != Seen::Nobody {
                last = seen;
            }
            if now >= deadline {
                return Err(self.explain(last));
            }
            let least = if seen == Seen::Stranger { POLITE } else { SHORTEST };
            let step = ((now - begun) / 100).clamp(least, LONGEST);
            // Counted from when the try was due, so that the timer's rounding doesn't add up.
            next = (next + step).max(now).min(deadline);
            match &timer {
                Some(timer) if step < COARSE && timer.until(next.into_std()).await.is_ok() => {}
                _ => sleep_until(next).await,
            }
        }
    }

    async fn look(&self) -> Seen {
        let Some(stream) = self.connect().await else { return Seen::Nobody };
        if sockets::owner(self.port, self.pid) == Owner::Another {
            return Seen::Stranger;
        }
        self.question(stream).await
    }

    async fn ask(&self) -> Seen {
        match self.connect().await {
            Some(stream) => self.question(stream).await,
            None => Seen::Nobody,
        }
    }

    /// A connection to a listener, not to itself: a port in the ephemeral range can be chosen for both ends.
    async fn connect(&self) -> Option<TcpStream> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stream = TcpStream::connect(address).await.ok()?;
        (stream.local_addr().ok()? != address).then_some(stream)
    }

    async fn question(&self, stream: TcpStream) -> Seen {
        match &self.readiness {
            // Replicas of one machine have no probe of their own and no platform's word: a connection is all there is.
            Readiness::Tcp | Readiness::Probe | Readiness::Ready => Seen::Ready,
            Readiness::Path(path) => match get(stream, self.port, path).await {
                Some(200..=399) => Seen::Ready,
                Some(status) => Seen::Status(status),
                None => Seen::Silence,
            },
        }
    }

    fn explain(&self, last: Seen) -> String {
        let port = self.port;
        let within = duration::format(self.timeout);
        let path = match &self.readiness {
            Readiness::Path(path) => path,
            Readiness::Tcp | Readiness::Probe | Readiness::Ready => "/",
        };
        match last {
            Seen::Status(status) => format!(
                "GET {path} on 127.0.0.1:{port} was last answered with {status} within {within}; ready is 200 to 399"
            ),
            Seen::Silence | Seen::Ready => {
                format!("GET {path} on 127.0.0.1:{port} was not answered in time within {within}")
            }
            Seen::Nobody => elsewhere(port, &sockets::listening(self.pid), &within),
            Seen::Stranger => format!(
                "another program listens on 127.0.0.1:{port}; the process listens {}",
                places(&sockets::listening(self.pid))
            ),
        }
    }
}

/// Why nothing answers on `port` when the process listens at `found`.
fn elsewhere(port: u16, found: &[SocketAddr], within: &str) -> String {
    let within = if found.is_empty() { format!(" within {within}") } else { String::new() };
    let fix = match found.iter().any(|place| place.port() == port) {
        true => "use HOST (127.0.0.1)",
        false => "use {port} or PORT",
    };
    format!("nothing listened on 127.0.0.1:{port}{within}; the process listens {}: {fix}", places(found))
}

/// `nowhere`, or `on` each place, every address of the machine as `:port`.
fn places(found: &[SocketAddr]) -> String {
    let mut shown: Vec<String> = found
        .iter()
        .map(|place| match place.ip().is_unspecified() {
            true => format!(":{}", place.port()),
            false => place.to_string(),
        })
        .collect();
    shown.dedup();
    if shown.is_empty() { "nowhere".to_owned() } else { format!("on {}", shown.join(", ")) }
}

/// The status of a GET, which is then read to its end so that the server isn't cut off. `None`: no answer in HTTP.
async fn get(mut stream: TcpStream, port: u16, path: &str) -> Option<u16> {
    let question = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: kaos-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(question.as_bytes()).await.ok()?;
    let mut answer = Vec::with_capacity(1024);
    while answer.len() < STATUS {
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
    }
    let status = status(&answer)?;
    tokio::spawn(timeout(REST, async move {
        let mut rest = [0; 4096];
        let mut left = ANSWER;
        while let Ok(length) = stream.read(&mut rest).await {
            left = left.saturating_sub(length);
            if length == 0 || left == 0 {
                break;
            }
        }
    }));
    Some(status)
}

/// Bytes of a status line up to its code: `HTTP/1.1 200`.
const STATUS: usize = 12;

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.get(..STATUS)?;
    let code = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(code).ok()?.parse().ok().filter(|code| (100..1000).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_names_what_is_wrong_and_what_to_do() {
        let at = |places: &[&str]| {
            let places: Vec<SocketAddr> = places.iter().map(|place| place.parse().unwrap()).collect();
            elsewhere(41234, &places, "60s")
        };
        assert_eq!(
            at(&["0.0.0.0:8000", "[::]:8000"]),
            "nothing listened on 127.0.0.1:41234; the process listens on :8000: use {port} or PORT"
        );
        assert_eq!(
            at(&["127.0.0.1:8000", "[::1]:9000"]),
            "nothing listened on 127.0.0.1:41234; the process listens on 127.0.0.1:8000, [::1]:9000: use {port} or PORT"
        );
        assert_eq!(
            at(&["[::1]:41234"]),
            "nothing listened on 127.0.0.1:41234; the process listens on [::1]:41234: use HOST (127.0.0.1)"
        );
        assert_eq!(
            at(&[]),
            "nothing listened on 127.0.0.1:41234 within 60s; the process listens nowhere: use {port} or PORT"
        );
    }

    #[test]
    fn a_status_is_read_and_nothing_else() {
        assert_eq!(status(b"HTTP/1.1 204 No Content"), Some(204));
        assert_eq!(status(b"HTTP/1.0 503"), Some(503));
        for broken in
            [&b""[..], b"HTTP/1.1 2x0", b"HTTP/2.0 200", b"SSH-2.0-Open", b"HTTP/1.1 -20", b"HTTP/1.1 020"]
        {
            assert_eq!(status(broken), None);
        }
    }
}
