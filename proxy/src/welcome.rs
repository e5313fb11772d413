//! Gives a new connection a place, if there is one for it, finds out for whom it is and what it speaks, and serves it in a
//! task of its own.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use kaos_core::Moment;
use tokio::net::TcpStream;

use crate::beginning::read_more;
use crate::buffer::Input;
use crate::clients::Client;
use crate::door::Door;
use crate::http1::serve::Connection;
use crate::refuse::Refusal;
use crate::rounds::Watched;
use crate::sabotage::{Rule, is_off};
use crate::socket::Socket;
use crate::standing::Pressure;
use crate::tls::{Agreed, shake};
use crate::worker::Worker;
use crate::{http2, proxy_protocol};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A place among the connections. Given back when dropped.
struct Place {
    worker: Rc<Worker>,
    protocol: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.worker.note_end();
        self.worker.shared.connections.fetch_sub(1, Ordering::Relaxed);
        let open = &self.worker.open[self.protocol];
        open.set(open.get() - 1);
    }
}

impl Place {
    /// Near the cap one that is idle makes room: above it, only for one that does.
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let before = worker.shared.connections.fetch_add(1, Ordering::Relaxed);
        worker.open[0].set(worker.open[0].get() + 1);
        let place = Place { worker: worker.clone(), protocol: 0 };
        let most = worker.config().max_connections;
        // Some at once, so that they needn't be looked for at every connection.
        let room = (most / 256).clamp(1, 32);
        let made_room = before >= worker.most_at_rest() && worker.rounds.shed(room, worker.now()) > 0;
        (before < most || made_room || is_off(Rule::Crowd)).then_some(place)
    }

    fn speaks_http2(&mut self) {
        self.worker.open[0].set(self.worker.open[0].get() - 1);
        self.worker.open[1].set(self.worker.open[1].get() + 1);
        self.protocol = 1;
    }
}

/// Serves a connection that came through `door`, or closes it at once.
pub(crate) fn welcome(worker: &Rc<Worker>, stream: TcpStream, door: &Door) {
    let Some(place) = Place::take(worker) else { return };
    let (worker, door) = (worker.clone(), door.clone());
    tokio::task::spawn_local(async move {
        let socket = Socket::new(stream);
        let Ok(peer) = socket.peer() else { return };
        let mut peer = worker.shared.clients.recognise(peer.ip().to_canonical());
        peer.asks = matches!(door, Door::Gate);
        serve(worker, Rc::new(socket), peer, place, door).await;
    });
}

async fn serve(worker: Rc<Worker>, socket: Rc<Socket>, peer: Client, mut place: Place, door: Door) {
    let watch = worker.rounds.watch(&socket);
    let mut input = Input::default();
    if worker.shared.standing.pressure() >= Pressure::NoConnections {
        // A handshake would cost more than what is turned away.
        if !matches!(door, Door::Tls(_)) {
            Connection::new(worker, socket, peer, watch, input).turn_away(&Refusal::Overloaded).await;
        }
        return;
    }
    let named = proxy_protocol::client(&worker, peer, &socket, &watch, &mut input).await;
    let Some(mut client) = named else { return };
    let clients = &worker.shared.clients;
    let believed = worker.shared.believed.contains(client.address);
    let counted = if believed { Ok(None) } else { clients.enter(client) };
    let Ok(_counted) = counted else { return input.discard(&worker.buffers) };
    let mut agreed = Agreed::default();
    if let Door::Tls(settings) = door {
        client.secure = true;
        let received = input.unread().to_vec();
        input.discard(&worker.buffers);
        let Some(session) = shake(&worker, &socket, &watch, settings, received).await else { return };
        agreed = session;
    }
    match (speaks_http2(&worker, &socket, &watch, &mut input).await, agreed.http2) {
        (Some(true), None | Some(true)) => {
            place.speaks_http2();
            input.consume(PREFACE.len());
            http2::serve::serve(worker.clone(), socket, client, watch, input).await;
        }
        // Nothing came, or what is spoken isn't what was agreed on.
        (None, _) | (Some(false), Some(true)) => input.discard(&worker.buffers),
        (Some(_), _) => Connection::new(worker.clone(), socket, client, watch, input).serve().await,
    }
}

/// Whether the connection begins with the HTTP/2 preface. `None`: it began with nothing in time.
async fn speaks_http2(worker: &Worker, socket: &Socket, watch: &Watched, input: &mut Input) -> Option<bool> {
    let now = worker.now();
    watch.rest(input.is_empty().then_some(now));
    watch.until(if is_off(Rule::FirstBytes) { Moment::NEVER } else { now + worker.patience().first_bytes });
    loop {
        let begun = input.unread();
        let shared = begun.len().min(PREFACE.len());
        if begun.get(..shared) != PREFACE.get(..shared) {
            return Some(false);
        }
        if begun.len() >= PREFACE.len() {
            return Some(true);
        }
        read_more(worker, socket, watch, input).await?;
    }
}
