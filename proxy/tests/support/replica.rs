//! Replicas that a test plays, each connection on a thread of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{Client, Request};

/// An address where nobody listens. While it lives its port is given to nobody who asks for any, so that what a test that runs beside this one
/// begins there is no replica of this one's.
pub struct Vacant {
    pub address: SocketAddr,
    _socket: socket2::Socket,
}

impl Vacant {
    pub fn new() -> Vacant {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        // Who names the port may listen there, as `TcpListener::bind` allows it too.
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Vacant { address, _socket: socket }
    }
}

/// A replica whose every connection is handled by `serve`.
pub struct Replica {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Result<Request, String>>>>,
}

impl Replica {
    pub fn new(serve: impl Fn(Client) + Send + Sync + 'static) -> Replica {
        Replica::on(TcpListener::bind("127.0.0.1:0").unwrap(), serve)
    }

    /// One that listens where it is told to.
    pub fn at(address: SocketAddr, serve: impl Fn(Client) + Send + Sync + 'static) -> io::Result<Replica> {
        Ok(Replica::on(TcpListener::bind(address)?, serve))
    }

    fn on(listener: TcpListener, serve: impl Fn(Client) + Send + Sync + 'static) -> Replica {
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                count.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                let serve = serve.clone();
                std::thread::spawn(move || serve(Client::of(stream)));
            }
        });
        Replica { address, connections, seen: Arc::default() }
    }

    /// One that answers every request without a body with `answer`, and keeps the connection.
    pub fn answering(answer: &'static str) -> Replica {
        Replica::new(move |mut client| while client.next_request().is_some() && client.try_send(answer) {})
    }

    /// One that reads requests strictly, remembers what it read, and gives each to `answer`.
    pub fn strict(answer: impl Fn(&Request, &mut Client) + Send + Sync + 'static) -> Replica {
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let remembered = seen.clone();
        let replica = Replica::new(move |mut client| {
            while let Some(request) = Request::read(&mut client) {
                remembered.lock().unwrap().push(request.clone());
                let Ok(request) = request else { return };
                answer(&request, &mut client);
            }
        });
        Replica { seen, ..replica }
    }

    /// A strict one that says `hello` to every request.
    pub fn hello() -> Replica {
        Replica::strict(|_, client| client.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
    }

    pub fn accepted(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What a strict one has read since the last time.
    pub fn seen(&self) -> Vec<Result<Request, String>> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// The one request that a strict one has read since the last time.
    #[track_caller]
    pub fn saw_one(&self) -> Request {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0).unwrap()
    }
}

impl Client {
    /// The head of the next request, if one comes.
    pub fn next_request(&mut self) -> Option<String> {
        while !self.unread().windows(4).any(|window| window == b"\r\n\r\n") {
            if self.fill() == 0 {
                return None;
            }
        }
        Some(self.head())
    }
}
