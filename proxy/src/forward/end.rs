//! What becomes of a replica's connection when an exchange ends.

use std::time::Duration;

use crate::permit::Permit;
use crate::sabotage::{Rule, is_off};
use crate::upstream::link::Link;

/// How long, and for how many bytes, the end of an aborted exchange is waited for.
pub(super) const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// Ends an exchange in its middle. The connection is reset: a plain end would wait behind what the replica hasn't read,
/// for ever if it reads no more. With a hard limit it is asked first, see [`close`].
pub(crate) fn abort(permit: Permit, link: Link) {
    link.socket.reset_on_close();
    close(permit, link);
}

/// Ends an exchange whose answer was read to its end: the connection may serve another request, if it is `reusable`.
pub(crate) fn give_back(permit: Permit, link: Link, reusable: bool) {
    if reusable && (link.input.is_empty() || is_off(Rule::BytesBehind)) {
        let worker = permit.worker();
        permit.port.keep(link, worker.now(), &worker.buffers);
    } else {
        close(permit, link);
    }
}

/// Closes the connection of an exchange that is whole. With a hard limit the slot is given back only when the replica has
/// closed its side too, or after a second: until then it may still be at work.
pub(crate) fn close(permit: Permit, mut link: Link) {
    if permit.hard_limit() == 0 {
        return;
    }
    let worker = permit.worker();
    tokio::task::spawn_local(async move {
        link.socket.end();
        let drain = async {
            // A replica that goes on answering is read along, so that it gets to see the end; up to a bound.
            if !link.input.drain(&link.socket, &worker.buffers, LINGER_BYTES).await {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(LINGER, drain).await;
        drop(link);
        drop(permit);
    });
}
