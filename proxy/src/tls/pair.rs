//! A certificate with its key, checked: what is wrong is said when it is read, not when the first client comes.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// A chain of certificates and the private key of its first.
#[derive(Debug)]
pub struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    names: Vec<String>,
    expires: u64,
}

impl Pair {
    /// Reads PEM: a chain that begins with the server's own certificate, and its key (PKCS #8, PKCS #1 or SEC 1). The error
    /// says what is wrong with which of the two, and quotes neither: what is wrong may be that a key is in the wrong place.
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Pair, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("the certificate is no PEM: {}", wrong(&error)))?;
        let first =
            chain.first().ok_or("there is no certificate in it: expected -----BEGIN CERTIFICATE-----")?;
        let (names, expires) = told(first)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| format!("the key is no PEM of a private key: {}", wrong(&error)))?;
        let key =
            CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    "the key isn't the one of this certificate".to_owned()
                }
                other => format!("the key can't be used: {other}"),
            })?;
        Ok(Pair { key: Arc::new(key), names, expires })
    }

    /// The names that it is for, in lower case: `shop.example.com`, `*.example.com`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The same pair, shown to who asks for one of these names and to nobody else.
    pub fn shown_for(self, names: Vec<String>) -> Pair {
        Pair { names, ..self }
    }

    /// When it ends to be valid, in seconds since 1970 UTC.
    pub fn expires(&self) -> u64 {
        self.expires
    }
}

/// What is wrong, without the line in which it is: where a key has lost its line breaks, that is all of the key.
fn wrong(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "-----END has no line of its own that matches -----BEGIN",
        pem::Error::IllegalSectionStart { .. } => "the line of -----BEGIN doesn't end in -----",
        pem::Error::Base64Decode(_) => "it isn't base64 between -----BEGIN and -----END",
        pem::Error::NoItemsFound => "there is none in it",
        _ => "it can't be read",
    }
}

/// What a certificate says of itself: its names (RFC 6125: those of the extension alone) and its end.
fn told(certificate: &CertificateDer<'_>) -> Result<(Vec<String>, u64), String> {
    let wrong = |error: x509_cert::der::Error| format!("the certificate can't be read: {error}");
    let certificate = Certificate::from_der(certificate).map_err(wrong)?;
    let body = certificate.tbs_certificate();
    let names = body.get_extension::<SubjectAltName>().map_err(wrong)?;
    let names = names.map(|(_, names)| names.0).unwrap_or_default();
    let names = names.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    });
    Ok((names.collect(), body.validity().not_after.to_unix_duration().as_secs()))
}
