//! One connection to one replica.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use crate::buffer::Input;
use crate::first::First;
use crate::socket::Socket;

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that carries one exchange at a time.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) socket: Rc<Socket>,
    pub(crate) input: Input,
    /// It has carried an exchange before: the replica may have closed it by now.
    pub(crate) reused: bool,
}

impl Link {
    /// The connection that was kept since the replica was found ready, if it is still open.
    pub(crate) fn first(first: First) -> Option<Link> {
        let socket = Socket::new(TcpStream::from_std(first.stream).ok()?);
        let link = Link { socket: Rc::new(socket), input: Input::default(), reused: first.used };
        (!link.socket.has_news()).then_some(link)
    }

    /// Connects to `address`.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Link> {
        let socket = Socket::new(dial(address).await?);
        Ok(Link { socket: Rc::new(socket), input: Input::default(), reused: false })
    }
}

/// Makes a connection to `address`.
pub(crate) async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, socket.connect(address))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    // A connect within the ephemeral range can meet itself when nobody listens there.
    if stream.local_addr()? == address {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}
