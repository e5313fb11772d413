//! One of those that ask: a connection, a stream of one, or a connection anew for each request.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::h1::Http1;
use super::h2::{self, Http2};
use crate::case::{Case, Work};
use crate::certificate::{Certificate, server_name};

/// What is asked, and of whom.
#[derive(Clone)]
pub(crate) struct Target<'a> {
    pub(crate) case: Case,
    pub(crate) address: SocketAddr,
    pub(crate) host: &'a str,
    pub(crate) path: String,
    pub(crate) certificate: Option<&'a Certificate>,
}

/// One of those that ask: the next request only after the last answer.
pub(crate) enum Line {
    Plain(Http1<TcpStream>),
    Tls(Box<Http1<TlsStream<TcpStream>>>),
    Fresh(Fresh),
    Stream(Box<Http2>),
}

impl Line {
    /// Asks once, and checks the answer.
    pub(crate) async fn ask(&mut self) -> Result<(), String> {
        match self {
            Line::Plain(connection) => connection.ask().await,
            Line::Tls(connection) => connection.ask().await,
            Line::Fresh(fresh) => fresh.ask().await,
            Line::Stream(stream) => stream.ask().await,
        }
    }
}

/// Opens as many lines as `target.case` says.
pub(crate) async fn open_all(target: &Target<'_>) -> Result<Vec<Line>, String> {
    let (connections, streams) = target.case.streams();
    let mut lines = Vec::with_capacity(target.case.connections);
    for _ in 0..connections {
        if !target.case.work.is_http2() {
            lines.push(open(target).await?);
            continue;
        }
        let sender = open_http2(target).await?;
        for _ in 0..streams.min(target.case.connections - lines.len()) {
            let stream = Http2::new(sender.clone(), target.case, target.host, &target.path)?;
            lines.push(Line::Stream(Box::new(stream)));
        }
    }
    Ok(lines)
}

async fn open(target: &Target<'_>) -> Result<Line, String> {
    let Target { case, address, host, path, .. } = target;
    Ok(match case.work {
        Work::Handshake => {
            let (host, path) = ((*host).to_owned(), path.clone());
            Line::Fresh(Fresh {
                address: *address,
                host,
                path,
                length: case.size,
                connector: connector(target)?,
            })
        }
        Work::Tls => {
            let stream = handshake(*address, &connector(target)?).await?;
            Line::Tls(Box::new(Http1::new(stream, host, path, case.size)))
        }
        _ => Line::Plain(Http1::new(connect(*address).await?, host, path, case.size)),
    })
}

async fn open_http2(target: &Target<'_>) -> Result<SendRequest<Full<Bytes>>, String> {
    if !target.case.work.is_tls() {
        return h2::open(connect(target.address).await?).await;
    }
    let stream = handshake(target.address, &connector(target)?).await?;
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => h2::open(stream).await,
        other => Err(format!("ALPN gave {:?} instead of h2", other.map(String::from_utf8_lossy))),
    }
}

fn connector(target: &Target<'_>) -> Result<TlsConnector, String> {
    let certificate = target.certificate.ok_or("no certificate")?;
    Ok(certificate.connector(target.case.work.is_http2()))
}

pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

async fn handshake(address: SocketAddr, connector: &TlsConnector) -> Result<TlsStream<TcpStream>, String> {
    let stream = connect(address).await?;
    connector.connect(server_name()?, stream).await.map_err(|error| format!("no handshake: {error}"))
}

/// Connects anew for each request.
pub(crate) struct Fresh {
    address: SocketAddr,
    host: String,
    path: String,
    length: usize,
    connector: TlsConnector,
}

impl Fresh {
    async fn ask(&self) -> Result<(), String> {
        let stream = handshake(self.address, &self.connector).await?;
        let mut connection = Http1::new(stream, &self.host, &self.path, self.length);
        connection.ask().await?;
        connection.close().await;
        Ok(())
    }
}
