//! The PROXY protocol, as HAProxy defines it: a trusted peer begins its connection by saying for whom it has connected. Who
//! must say so, and what follows if it doesn't; the bytes of the header are [`header`]'s matter.
//!
//! A trusted peer without a header is refused: were it optional, a client of a trusted peer that sends none could write the
//! header itself, and be whoever it likes.

mod header;

#[cfg(feature = "fuzzing")]
pub(crate) use header::read as read_header;

use std::net::IpAddr;

use crate::beginning::read_more;
use crate::buffer::Input;
use crate::clients::Client;
use crate::rounds::Watched;
use crate::socket::Socket;
use crate::worker::Worker;

/// Reads the header where `peer` has to send one. Returns the client that it names, or the peer itself; what came behind the
/// header stays in `input`. `None`: the connection is to be closed.
pub(crate) async fn client(
    worker: &Worker,
    peer: Client,
    socket: &Socket,
    watch: &Watched,
    input: &mut Input,
) -> Option<Client> {
    let clients = &worker.shared.clients;
    // Proxies of our own connect as themselves, and so do those that only ask.
    if peer.asks || !clients.must_name(peer) || worker.shared.believed.contains(peer.address) {
        return Some(peer);
    }
    match read(worker, socket, watch, input).await {
        Ok(Some(address)) => Some(clients.recognise(address.to_canonical())),
        Ok(None) => Some(peer),
        Err(why) => {
            // Whoever only looks whether a connection can be made has done nothing wrong.
            if !input.is_empty() {
                clients.warn_of_header(peer, why);
            }
            input.discard(&worker.buffers);
            None
        }
    }
}

/// The address that the header names, if it names one. The error says what is wrong.
async fn read(
    worker: &Worker,
    socket: &Socket,
    watch: &Watched,
    input: &mut Input,
) -> Result<Option<IpAddr>, &'static str> {
    let now = worker.now();
    watch.rest(Some(now));
    watch.until(now + worker.patience().first_bytes);
    loop {
        let more = read_more(worker, socket, watch, input).await;
        more.ok_or("the header did not come whole in time")?;
        if let Some(header) = header::read(input.unread())? {
            input.consume(header.length);
            return Ok(header.client);
        }
    }
}
