//! Who passes on questions: the API server, by the certificate that it says is its own.

use std::sync::Arc;

use kaos_kubernetes::Front;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;

/// What Kaos shows for itself: made anew by each process. The API server is told not to look at it, for what is asked here is
/// no secret, and who could take this address could take the pod's.
pub(super) struct Own {
    pub(super) chain: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Own {
    pub(super) fn make() -> Result<Self, String> {
        let failed =
            |error: rcgen::Error| format!("no certificate can be made for external metrics: {error}");
        let key = KeyPair::generate().map_err(failed)?;
        let params = CertificateParams::new(vec!["kaos-autoscaler".to_owned()]).map_err(failed)?;
        let chain = params.self_signed(&key).map_err(failed)?.der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| format!("no key can be made for external metrics: {error}"))?;
        Ok(Own { chain, key })
    }

    /// TLS with whoever shows a certificate that `front` signs. The error says what is wrong with it.
    pub(super) fn toward(&self, front: &Front) -> Result<Arc<ServerConfig>, String> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(front.authorities.as_bytes()) {
            let authority = authority.map_err(|error| error.to_string())?;
            roots.add(authority).map_err(|error| error.to_string())?;
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| error.to_string())?;
        let settings = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                let key = self.key.clone_key();
                builder.with_client_cert_verifier(verifier).with_single_cert(vec![self.chain.clone()], key)
            })
            .map_err(|error| error.to_string())?;
        Ok(Arc::new(settings))
    }
}

/// Whether `front` lets who shows this certificate pass something on.
pub(super) fn admits(front: &Front, certificate: Option<&CertificateDer<'_>>) -> bool {
    let Some(certificate) = certificate else { return false };
    front.names.is_empty() || common_name(certificate).is_some_and(|name| front.names.contains(&name))
}

/// The common name of its subject, if it has one alone.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let subject = certificate.tbs_certificate().subject();
    let mut names = subject.iter().filter(|part| part.oid == COMMON_NAME);
    let name = names.next()?;
    names.next().is_none().then(|| String::from_utf8(name.value.value().to_vec()).ok())?
}

#[cfg(test)]
mod tests {
    use rcgen::DnType;

    use super::*;

    fn named(names: &[&str]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn who_passes_on_has_one_of_the_names_that_the_api_server_says() {
        let front = |names: &[&str]| Front {
            authorities: String::new(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let shown = named(&["front-proxy-client"]);
        for (names, admitted) in [
            (&[][..], true),
            (&["front-proxy-client"], true),
            (&["other", "front-proxy-client"], true),
            (&["other"], false),
            (&["front"], false),
        ] {
            assert_eq!(admits(&front(names), Some(&shown)), admitted, "{names:?}");
        }
        assert!(!admits(&front(&[]), None));
        assert!(!admits(&front(&["front-proxy-client"]), Some(&named(&[]))));
        assert!(!admits(&front(&["front-proxy-client"]), Some(&CertificateDer::from(vec![0x30, 0]))));
    }

    #[test]
    fn authorities_that_cant_be_read_are_said_so() {
        let own = Own::make().unwrap();
        for authorities in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let front = Front { authorities: authorities.to_owned(), names: Vec::new() };
            assert!(own.toward(&front).is_err(), "{authorities:?}");
        }
    }
}
