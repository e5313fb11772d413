//! Certificates of one test, and clients that believe them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

use super::{PATIENCE, Reply};

/// A certificate with its key, in PEM.
pub struct Made {
    certificate: CertificateDer<'static>,
    pub chain: String,
    pub key: String,
}

/// One for `name` that is sound until the beginning of `year`.
pub fn made(name: &str, year: i32) -> Made {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let made = params.self_signed(&key).unwrap();
    Made { certificate: made.der().clone(), chain: made.pem(), key: key.serialize_pem() }
}

impl Made {
    pub fn write(&self, chain: &Path, key: &Path) {
        fs::write(chain, &self.chain).unwrap();
        fs::write(key, &self.key).unwrap();
    }

    /// What a client gets that asks for `name` and believes this certificate alone.
    pub fn get(&self, address: SocketAddr, name: &'static str) -> Option<Reply> {
        let request = format!("GET /headers HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        self.ask(TcpStream::connect(address).unwrap(), name, &request)
    }

    /// The answer to `request` on a connection to the host `name`.
    pub fn ask(&self, mut stream: TcpStream, name: &'static str, request: &str) -> Option<Reply> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut session = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = Stream::new(&mut session, &mut stream);
        stream.write_all(request.as_bytes()).ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        Reply::parse(&bytes)
    }
}
