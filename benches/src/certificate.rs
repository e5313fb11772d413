//! One certificate for all: ECDSA P-256, made anew for each run, and trusted by the load.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The host of all requests over TLS.
pub(crate) const HOST: &str = "bench.localhost";

/// The certificate's files, and the two clients that trust it.
pub(crate) struct Certificate {
    /// The certificate, PEM.
    pub(crate) chain: PathBuf,
    /// Its key, PEM.
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy reads them.
    pub(crate) both: PathBuf,
    keys: rcgen::KeyPair,
    http1: TlsConnector,
    http2: TlsConnector,
}

impl Certificate {
    /// Makes it in `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Certificate, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("no certificate: {error}");
        let made =
            rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).map_err(|error| wrong(&error))?;
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|error| wrong(&error))?;
            Ok::<PathBuf, String>(path)
        };
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).map_err(|error| wrong(&error))?;
        Ok(Certificate {
            keys: made.signing_key,
            chain: file("certificate.pem", &chain)?,
            key: file("key.pem", &key)?,
            both: file("both.pem", &format!("{chain}{key}"))?,
            http1: connector(roots.clone(), b"http/1.1")?,
            http2: connector(roots, b"h2")?,
        })
    }

    /// Makes another for the same keys, which the load trusts as well, and puts it in its place.
    pub(crate) fn replace(&self) -> Result<(), String> {
        let wrong = |error: &dyn std::fmt::Display| format!("no certificate: {error}");
        let mut parameters =
            rcgen::CertificateParams::new(vec![HOST.to_owned()]).map_err(|error| wrong(&error))?;
        parameters.serial_number = Some(rcgen::SerialNumber::from(fastrand::u64(..)));
        let made = parameters.self_signed(&self.keys).map_err(|error| wrong(&error))?;
        let new = self.chain.with_extension("new");
        std::fs::write(&new, made.pem()).map_err(|error| wrong(&error))?;
        std::fs::rename(&new, &self.chain).map_err(|error| wrong(&error))
    }

    /// The client that speaks HTTP/2 or HTTP/1.1 alone.
    pub(crate) fn connector(&self, http2: bool) -> TlsConnector {
        if http2 { self.http2.clone() } else { self.http1.clone() }
    }
}

/// The name that the load asks for.
pub(crate) fn server_name() -> Result<ServerName<'static>, String> {
    ServerName::try_from(HOST).map_err(|error| error.to_string())
}

/// One version, one cipher and one curve, so that all proxies do the same work; no resumption, so that each handshake is whole.
fn connector(roots: RootCertStore, protocol: &[u8]) -> Result<TlsConnector, String> {
    let mut provider = default_provider();
    provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
    provider.kx_groups = vec![kx_group::X25519];
    let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(|error| format!("no TLS 1.3: {error}"))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
