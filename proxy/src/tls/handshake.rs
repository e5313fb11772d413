//! The beginning of a TLS connection: bounded in time and in number, and counted.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;

use kaos_core::Moment;
use rustls::ServerConfig;

use super::{Agreed, Session};
use crate::rounds::Watch;
use crate::sabotage::{Rule, is_off};
use crate::socket::Socket;
use crate::worker::Worker;

/// Handshakes under way per worker. For one more another one that stalls is ended.
const MOST: usize = 512;

/// Handshakes that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshakes {
    /// From nothing.
    pub full: u64,
    /// With what was agreed on before.
    pub resumed: u64,
    /// In vain: the client left, was too slow, or wanted what isn't spoken here.
    pub failed: u64,
}

impl Handshakes {
    pub(crate) fn plus(self, more: Handshakes) -> Handshakes {
        Handshakes {
            full: self.full + more.full,
            resumed: self.resumed + more.resumed,
            failed: self.failed + more.failed,
        }
    }
}

/// One handshake under way. Given back when dropped.
struct Shaking<'a>(&'a Worker);

impl Drop for Shaking<'_> {
    fn drop(&mut self) {
        self.0.shaking.set(self.0.shaking.get() - 1);
    }
}

/// Carries the handshake of a new connection, of which something may be `received` already, to its end. `None`: there is no
/// session.
pub(crate) async fn shake(
    worker: &Rc<Worker>,
    socket: &Socket,
    watch: &Watch,
    settings: Arc<ServerConfig>,
    received: Vec<u8>,
) -> Option<Agreed> {
    let now = worker.now();
    worker.shaking.set(worker.shaking.get() + 1);
    let shaking = Shaking(worker);
    if worker.shaking.get() > MOST && !is_off(Rule::Handshakes) && worker.rounds.shed(1, now) == 0 {
        return None;
    }
    socket.secure(Session::new(settings, received).ok()?);
    watch.rest(Some(now));
    watch.until(if is_off(Rule::HandshakeTime) {
        Moment::NEVER
    } else {
        now + worker.patience().first_bytes
    });
    let shaken = watch.over(poll_fn(|cx| socket.poll_handshake(cx))).await;
    drop(shaking);
    let agreed = shaken.ok().and_then(Result::ok);
    let mut ended = worker.handshakes.get();
    match &agreed {
        Some(agreed) if agreed.resumed => ended.resumed += 1,
        Some(_) => ended.full += 1,
        None => ended.failed += 1,
    }
    worker.handshakes.set(ended);
    agreed
}
