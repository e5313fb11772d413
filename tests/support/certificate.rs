//! Certificates of one test. Tests in a cluster use this file too.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// A certificate with its key, in PEM.
pub struct Made {
    certificate: CertificateDer<'static>,
    pub chain: String,
    pub key: String,
}

/// One for the host `name` that is sound until the beginning of `year`.
pub fn made(name: &str, year: i32) -> Made {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = date_time_ymd(year, 1, 1);
    let made = params.self_signed(&key).unwrap();
    Made { certificate: made.der().clone(), chain: made.pem(), key: key.serialize_pem() }
}

impl Made {
    /// A client that believes this certificate alone.
    pub fn believed(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}
