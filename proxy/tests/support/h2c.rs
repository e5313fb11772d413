//! Replicas that speak HTTP/2 without TLS: by the crate `h2`, on a runtime of their own.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, SendResponse};
use http::{HeaderMap, Request, Response};

use super::Rig;

/// A replica whose every stream is handled by a function.
pub struct Http2 {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

/// One request, to be read and answered.
pub struct Stream {
    pub head: http::request::Parts,
    pub body: RecvStream,
    pub respond: SendResponse<Bytes>,
}

impl Http2 {
    pub fn new<F: Future<Output = ()> + Send>(
        serve: impl Fn(Stream) -> F + Clone + Send + Sync + 'static,
    ) -> Http2 {
        Http2::with(|_| {}, serve)
    }

    /// One with other settings.
    pub fn with<F: Future<Output = ()> + Send>(
        settings: impl FnOnce(&mut Builder),
        serve: impl Fn(Stream) -> F + Clone + Send + Sync + 'static,
    ) -> Http2 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let mut builder = Builder::new();
        settings(&mut builder);
        let (accepted, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (accepting, opening) = (accepted.clone(), open.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.unwrap().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    accepting.fetch_add(1, Ordering::SeqCst);
                    opening.fetch_add(1, Ordering::SeqCst);
                    stream.set_nodelay(true).unwrap();
                    let (builder, serve, open) = (builder.clone(), serve.clone(), opening.clone());
                    tokio::spawn(async move {
                        let _ = connection(&builder, stream, serve).await;
                        open.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        });
        Http2 { address, accepted, open }
    }

    /// One that answers with what it was sent, trailers too, piece by piece as it comes.
    pub fn echo() -> Http2 {
        Http2::new(|stream| async move { stream.echo().await })
    }

    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// A proxy over it.
    pub fn rig(&self, knobs: &[(&str, &str)]) -> Rig {
        let mut rig = Rig::new(&[&[("protocol", "h2c")], knobs].concat());
        rig.add("a", self.address);
        rig
    }
}

async fn connection<F: Future<Output = ()> + Send>(
    builder: &Builder,
    stream: tokio::net::TcpStream,
    serve: impl Fn(Stream) -> F + Clone + Send + Sync + 'static,
) -> Result<(), h2::Error> {
    let mut connection = builder.handshake::<_, Bytes>(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        let (head, body) = request.into_parts();
        let serve = serve.clone();
        tokio::spawn(async move { serve(Stream { head, body, respond }).await });
    }
    Ok(())
}

impl Stream {
    /// The next content; `None` at its end. Panics if it is cut.
    pub async fn data(&mut self) -> Option<Bytes> {
        let data = self.body.data().await?.unwrap();
        self.body.flow_control().release_capacity(data.len()).unwrap();
        Some(data)
    }

    /// All content and the trailers.
    pub async fn read(&mut self) -> (Vec<u8>, HeaderMap) {
        let mut all = Vec::new();
        while let Some(data) = self.data().await {
            all.extend_from_slice(&data);
        }
        (all, self.body.trailers().await.unwrap().unwrap_or_default())
    }

    /// Answers with a head, and returns what the content goes to.
    pub fn begin(&mut self, response: Response<()>) -> Content {
        Content(self.respond.send_response(response, false).unwrap())
    }

    /// Answers with a head and `content`.
    pub async fn say(mut self, content: impl Into<Bytes>) {
        let mut out = self.begin(Response::new(()));
        out.send(content.into()).await;
        out.end();
    }

    pub async fn echo(mut self) {
        let mut out = self.begin(Response::new(()));
        while let Some(data) = self.data().await {
            if !out.send(data).await {
                return;
            }
        }
        match self.body.trailers().await.unwrap() {
            Some(trailers) => out.0.send_trailers(trailers).unwrap(),
            None => out.end(),
        }
    }
}

/// The content of an answer.
pub struct Content(pub h2::SendStream<Bytes>);

impl Content {
    /// Sends within the window. Returns whether it could.
    pub async fn send(&mut self, mut data: Bytes) -> bool {
        while !data.is_empty() {
            self.0.reserve_capacity(data.len());
            let room = match self.0.capacity() {
                0 => match std::future::poll_fn(|cx| self.0.poll_capacity(cx)).await {
                    Some(Ok(room)) => room,
                    _ => return false,
                },
                room => room,
            };
            let piece = data.split_to(room.min(data.len()));
            if self.0.send_data(piece, false).is_err() {
                return false;
            }
        }
        true
    }

    pub fn end(&mut self) {
        let _ = self.0.send_data(Bytes::new(), true);
    }

    /// The code by which the stream is reset.
    pub async fn reset(&mut self) -> Option<h2::Reason> {
        std::future::poll_fn(|cx| self.0.poll_reset(cx)).await.ok()
    }
}

/// What a request to the replica said, for those who look at it later.
pub type Seen = Arc<std::sync::Mutex<Vec<Request<()>>>>;

/// A replica that remembers heads, and says `hello`.
pub fn remembering(seen: &Seen) -> Http2 {
    let seen = seen.clone();
    Http2::new(move |mut stream| {
        let seen = seen.clone();
        async move {
            stream.read().await;
            seen.lock().unwrap().push(Request::from_parts(stream.head.clone(), ()));
            stream.say("hello").await;
        }
    })
}
