//! Certificates of one test, and clients that know them.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock, Mutex};

use kaos_proxy::{Certificates, Pair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Whether everything goes over TLS: in the test binaries that repeat others so, whose names say it.
pub const EVERYWHERE: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), [.., b'_', b't', b'l', b's']);

/// A certificate with its key, as an owner of the names has it.
pub struct Made {
    pub pair: Pair,
    pub certificate: CertificateDer<'static>,
}

/// One that is signed by itself.
pub fn made(names: &[&str]) -> Made {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = made.signing_key.serialize_pem();
    let pair = Pair::read(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
    Made { pair, certificate: made.cert.der().clone() }
}

/// What the clients of the rig believe, and what it shows them: one certificate for `shop`.
static SHOP: LazyLock<Made> = LazyLock::new(|| made(&["shop"]));

pub fn certificates() -> Arc<Certificates> {
    certificates_and(&[])
}

pub fn certificates_and(more: &[&Pair]) -> Arc<Certificates> {
    Arc::new(Certificates::new([&SHOP.pair].into_iter().chain(more.iter().copied())))
}

/// A client that believes `certificates`, and offers `protocols`.
pub fn client(certificates: &[&CertificateDer<'static>], protocols: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add((*certificate).clone()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// One that believes the rig.
pub fn of_shop(protocols: &[&str]) -> Arc<ClientConfig> {
    Arc::new(client(&[&SHOP.certificate], protocols))
}

/// A client's session, whose two directions may be used at once.
#[derive(Clone)]
pub struct Session {
    tls: Arc<Mutex<ClientConnection>>,
    /// What was decrypted and nobody has read.
    plain: Arc<Mutex<Vec<u8>>>,
    /// Held by who writes to the connection: records must not change places.
    order: Arc<Mutex<()>>,
}

impl Session {
    /// One that hasn't begun, with the host `to`.
    pub fn new(config: Arc<ClientConfig>, to: &'static str) -> Session {
        let tls = ClientConnection::new(config, name(to)).unwrap();
        Session { tls: Arc::new(Mutex::new(tls)), plain: Arc::default(), order: Arc::default() }
    }

    /// Looks at it, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut ClientConnection) -> T) -> T {
        look(&mut self.tls.lock().unwrap())
    }

    pub fn write(&self, stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        while self.with(|tls| tls.is_handshaking()) {
            self.flush(stream)?;
            if self.receive(stream)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        for piece in bytes.chunks(16 * 1024) {
            self.with(|tls| tls.writer().write_all(piece))?;
            self.flush(stream)?;
        }
        self.flush(stream)
    }

    pub fn read(&self, stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut plain = self.plain.lock().unwrap();
            if !plain.is_empty() {
                let count = plain.len().min(into.len());
                into[..count].copy_from_slice(&plain[..count]);
                plain.drain(..count);
                return Ok(count);
            }
            drop(plain);
            match self.with(|tls| tls.reader().read(into)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            // What can't be written any more doesn't take away what has come.
            let _ = self.flush(stream);
            self.receive(stream)?;
        }
    }

    /// Says that nothing more comes.
    pub fn finish(&self, stream: &TcpStream) -> io::Result<()> {
        self.with(|tls| tls.send_close_notify());
        self.flush(stream)
    }

    fn flush(&self, mut stream: &TcpStream) -> io::Result<()> {
        let _order = self.order.lock().unwrap();
        let mut out = Vec::new();
        self.with(|tls| {
            while tls.wants_write() {
                tls.write_tls(&mut out).unwrap();
            }
        });
        stream.write_all(&out)
    }

    /// Reads from the connection what there is. 0: it has ended.
    fn receive(&self, mut stream: &TcpStream) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes)?;
        self.with(|tls| {
            let mut left = &bytes[..count];
            loop {
                tls.read_tls(&mut left)?;
                tls.process_new_packets()
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                // rustls takes no more while this isn't taken. Whether the connection has ended is asked by who reads.
                let _ = tls.reader().read_to_end(&mut self.plain.lock().unwrap());
                if left.is_empty() {
                    return Ok::<_, io::Error>(());
                }
            }
        })?;
        Ok(count)
    }
}

/// A session with the rig that hasn't begun.
pub fn session(protocols: &[&str]) -> Session {
    Session::new(of_shop(protocols), "shop")
}

pub fn name(text: &'static str) -> ServerName<'static> {
    text.try_into().unwrap()
}
