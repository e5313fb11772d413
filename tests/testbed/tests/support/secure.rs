//! Certificates of one test, as Secrets, and a client that believes one of them alone.

use std::net::SocketAddr;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

#[path = "../../../support/certificate.rs"]
pub mod certificate;

use certificate::Made;

impl Made {
    /// The status of the answer to GET / of `host` over TLS. `None`: no session came about, for who answers shows another
    /// certificate or none, or nobody answers.
    pub async fn get(&self, address: SocketAddr, host: &str) -> Option<u16> {
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let stream = TcpStream::connect(address).await.ok()?;
        let mut stream = TlsConnector::from(self.believed()).connect(name, stream).await.ok()?;
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }
}

/// A Secret named `cert`.
pub struct Cert(pub Api<Secret>);

impl Cert {
    fn object(kind: &str, chain: &str, key: &str) -> Secret {
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let mut secret = Secret { type_: Some(kind.to_owned()), ..Secret::default() };
        secret.metadata.name = Some("cert".to_owned());
        secret.data = Some(
            [("tls.crt", chain), ("tls.key", key)].map(|(at, text)| (at.to_owned(), bytes(text))).into(),
        );
        secret
    }

    /// Makes it, of this type.
    pub async fn create(&self, kind: &str, made: &Made) {
        let secret = Cert::object(kind, &made.chain, &made.key);
        self.0.create(&PostParams::default(), &secret).await.unwrap();
    }

    /// Puts these in the place of what is there.
    pub async fn replace(&self, chain: &str, key: &str) {
        let secret = Cert::object("kubernetes.io/tls", chain, key);
        self.0.patch("cert", &PatchParams::default(), &Patch::Merge(&secret)).await.unwrap();
    }

    pub async fn delete(&self) {
        self.0.delete("cert", &DeleteParams::default()).await.unwrap();
    }
}
