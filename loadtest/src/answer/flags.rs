//! The arguments of `answer`. Defaults behave well; each flag is one way to misbehave or to be observed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Parser;

use crate::span;

/// Answers HTTP/1.1 and HTTP/2 (prior knowledge) requests as their path and query tell it.
#[derive(Debug, Parser)]
#[command(name = "answer", version, after_help = PATHS)]
pub(super) struct Flags {
    /// Where to listen; port 0: any free one, printed on stdout [default: HOST:PORT of the environment, else 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    #[arg(long, env = "PORT", hide = true, default_value_t = 8000)]
    port: u16,
    #[arg(long, env = "HOST", hide = true, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// Sleep this long before listening
    #[arg(long, env = "ANSWER_START_DELAY", value_name = "SPAN", default_value = "0", value_parser = span::parse)]
    pub(super) start_delay: Duration,
    /// Run, but never listen
    #[arg(long)]
    pub(super) never_ready: bool,
    /// Exit at once with this code and a line on stderr
    #[arg(long, value_name = "CODE")]
    pub(super) exit: Option<u8>,
    /// Listen on a free port instead of the one asked for
    #[arg(long)]
    pub(super) listen_elsewhere: bool,
    /// Go on as if SIGTERM had not come
    #[arg(long)]
    pub(super) ignore_term: bool,
    /// Leave a child in a session of its own that ignores SIGTERM and keeps stdout and stderr open
    #[arg(long)]
    pub(super) spawn_orphan: bool,
    /// The orphan ends by itself after this long
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = span::parse)]
    pub(super) orphan_life: Duration,
    /// Exit with code 9 and a loud line if more than this many requests were ever open
    #[arg(long, value_name = "N")]
    pub(super) hard_limit: Option<u64>,
    #[arg(long, hide = true)]
    pub(super) orphan_parent: bool,
    #[arg(long, hide = true)]
    pub(super) orphan: bool,
}

impl Flags {
    /// The address to listen on.
    pub(super) fn address(&self) -> SocketAddr {
        let asked = self.listen.unwrap_or(SocketAddr::new(self.host, self.port));
        if self.listen_elsewhere { SocketAddr::new(asked.ip(), 0) } else { asked }
    }
}

const PATHS: &str = "\
Paths (any may carry ?delay=300ms and ?status=503):
  /                    a small body; ?size=N: N bytes
  /delay/300ms         the small body after a wait
  /bytes/N             N bytes with Content-Length
  /chunked/N/SIZE      N chunks of SIZE bytes; ?every=50ms between them
  /status/503          this status
  /echo                the request's body and trailers back, streaming both ways
  /headers             the request's head, as it arrived
  /sse?count=10        events; ?every=100ms between them
  /ws                  a WebSocket that echoes
  /early/413           this status before the body was read, then closes
  /trailers            a chunked body and trailers (HTTP/1.1: if the request has TE: trailers)
  /crash               exits with code 7 in the middle of the body
  /abort               resets the connection (HTTP/2: the stream) before any answer; ?after=N: after N bytes of the body
  /close-after?max=4ms answers, then closes the connection 0 to max later, without saying so
  /healthz             200, not counted as an open request
Every answer has X-Answer-Pid, X-Answer-Started-Micros, X-Answer-Listening-Micros (since the Unix epoch),
X-Answer-In-Flight and X-Answer-Max-In-Flight (this request included).
Exit codes: 0 after SIGTERM or SIGINT (open requests are finished first, for at most 30 s), 1 can't listen, 2 usage,
7 /crash, 9 --hard-limit broken, or what --exit says.";
