use std::collections::BTreeMap;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use kaos_core::WorkloadId;
use kaos_core::window::Load;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsConnector;

use super::*;

const PATH: &str = "/apis/external.metrics.k8s.io/v1beta1/namespaces/prod/kaos_load";

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Who signs certificates of an API server.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
type Shown = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl Authority {
    fn make() -> Self {
        let mut params = named("front-proxy-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn front(&self) -> Option<Front> {
        Some(Front { authorities: self.0.pem(), names: vec!["front-proxy-client".to_owned()] })
    }

    fn signs(&self, name: &str) -> Shown {
        let mut params = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &*self.0).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

/// A port where loads are asked for, and what it shows.
struct Stage {
    address: SocketAddr,
    own: CertificateDer<'static>,
    fronts: watch::Sender<Option<Front>>,
}

async fn stage(front: Option<Front>) -> Stage {
    let listening = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let (address, own) = (listening.listener.local_addr().unwrap(), listening.own.chain.clone());
    let (fronts, told) = watch::channel(front);
    let loads = BTreeMap::from([(WorkloadId::new("prod", "shop"), Some(Load::of(1.5)))]);
    tokio::spawn(serve(listening, told, Arc::new(loads)));
    Stage { address, own, fronts }
}

impl Stage {
    /// Asks with this certificate, or none. `None`: it was hung up on.
    async fn ask(&self, shown: Option<&Shown>) -> Option<String> {
        let mut roots = RootCertStore::empty();
        roots.add(self.own.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let settings = match shown {
            Some((chain, key)) => {
                builder.with_client_auth_cert(vec![chain.clone()], key.clone_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("kaos-autoscaler").unwrap();
        let stream = TlsConnector::from(Arc::new(settings)).connect(name, stream).await.ok()?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let request = Request::get(PATH).header("host", "kaos").body(Empty::<Bytes>::new()).unwrap();
        let body = sender.send_request(request).await.ok()?.into_body().collect().await.ok()?;
        Some(String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }
}

#[tokio::test]
async fn only_the_api_server_is_answered() {
    let (authority, other) = (Authority::make(), Authority::make());
    let stage = stage(authority.front()).await;
    let answer = stage.ask(Some(&authority.signs("front-proxy-client"))).await.unwrap();
    assert!(answer.contains("\"value\":\"1500m\""), "{answer}");
    assert_eq!(stage.ask(None).await, None);
    assert_eq!(stage.ask(Some(&authority.signs("somebody"))).await, None, "another of the same authority");
    assert_eq!(stage.ask(Some(&other.signs("front-proxy-client"))).await, None);
}

#[tokio::test]
async fn what_is_known_of_it_changes_and_what_is_wrong_changes_nothing() {
    let (old, new) = (Authority::make(), Authority::make());
    let stage = stage(None).await;
    let [one, other] = [&old, &new].map(|authority| authority.signs("front-proxy-client"));
    // Nobody, before it is known.
    let mut early = TcpStream::connect(stage.address).await.unwrap();
    assert_eq!(early.read(&mut [0; 8]).await.unwrap_or(0), 0);
    let answered = async |shown: &Shown| {
        while stage.ask(Some(shown)).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    stage.fronts.send_replace(old.front());
    answered(&one).await;
    for nothing in [None, Some(Front { authorities: "nothing".into(), names: Vec::new() })] {
        stage.fronts.send_replace(nothing);
        answered(&one).await;
    }
    stage.fronts.send_replace(new.front());
    answered(&other).await;
    assert_eq!(stage.ask(Some(&one)).await, None);
}

#[tokio::test(start_paused = true)]
async fn who_shakes_no_hand_is_hung_up_on() {
    let stage = stage(Authority::make().front()).await;
    let mut silent = TcpStream::connect(stage.address).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert!(begun.elapsed() >= HANDSHAKE);
}
