//! How etcd, the API server and the controllers are run: their flags and files. Knows nothing of what tests do with them.

use std::fmt::Display;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use pem::Pem;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair,
};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::json;

use crate::addresses::Network;
use crate::audit;
use crate::failure::{Failure, Trying};

/// What the controllers do here: all that makes Deployments and StatefulSets into pods and endpoints, decides on their counts,
/// and cleans up after them.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,statefulset-controller,\
                           horizontal-pod-autoscaler-controller,endpointslice-controller,namespace-controller,\
                           garbage-collector-controller,resourcequota-controller,serviceaccount-controller,\
                           root-ca-certificate-publisher-controller";

/// What isn't on everywhere yet: autoscalers that go to zero.
const FEATURES: &str = "HPAScaleToZero=true";

/// The common name by which the API server is known where it passes something on.
const FRONT_NAME: &str = "front-proxy-client";
const FRONT_AUTHORITY: &str = "front-proxy-ca.crt";
const FRONT_CERTIFICATE: &str = "front-proxy-client.crt";
const FRONT_KEY: &str = "front-proxy-client.key";

/// Who asks the API server.
#[derive(Clone)]
pub(crate) enum Audience {
    /// Programs of this machine, at this loopback address. Pods are played, and have no service account's token.
    Machine(Ipv4Addr),
    /// Pods of a real node, too: the API server is at the first service address of this network, as in every cluster.
    Pods(Arc<Network>),
}

impl Audience {
    fn api(&self) -> Result<SocketAddr, Failure> {
        match self {
            Audience::Machine(address) => free(*address).map(|[api]| api),
            Audience::Pods(services) => Ok((services.address(1), 443).into()),
        }
    }

    fn etcd(&self) -> Ipv4Addr {
        match self {
            Audience::Machine(address) => *address,
            Audience::Pods(services) => services.address(1),
        }
    }
}

/// Where a control plane's programs listen and keep their files.
pub(crate) struct Layout {
    /// Everything lives in here.
    pub(crate) folder: PathBuf,
    /// Where etcd listens for the API server.
    etcd: SocketAddr,
    /// Where etcd listens for other members, of which there are none.
    peers: SocketAddr,
    /// Where the API server listens.
    pub(crate) api: SocketAddr,
    /// Who asks it.
    pub(crate) audience: Audience,
    /// The token of a member of `system:masters`.
    pub(crate) token: String,
}

impl Layout {
    /// Free ports, and the files that the programs read, in `folder`.
    pub(crate) fn new(folder: PathBuf, audience: Audience) -> Result<Layout, Failure> {
        let [etcd, peers] = free(audience.etcd())?;
        let layout = Layout { folder, etcd, peers, api: audience.api()?, audience, token: token()? };
        layout.write("tokens.csv", format!("{},testbed,testbed,system:masters\n", layout.token))?;
        layout.write("audit-policy.json", audit::POLICY)?;
        let (signs, checks) = keys()?;
        layout.write("service-accounts.key", signs)?;
        layout.write("service-accounts.pub", checks)?;
        for (name, text) in front()? {
            layout.write(name, text)?;
        }
        layout.write("admin.kubeconfig", layout.kubeconfig(&layout.token))?;
        Ok(layout)
    }

    /// The network of services.
    fn services(&self) -> String {
        match &self.audience {
            Audience::Machine(_) => "10.96.0.0/16".to_owned(),
            Audience::Pods(services) => format!("{}/24", services.address(0)),
        }
    }

    /// Played pods have no use for a service account's token, and needn't wait for the account.
    fn not_admitting(&self) -> &'static str {
        match &self.audience {
            Audience::Machine(_) => "ServiceAccount",
            Audience::Pods(_) => "",
        }
    }

    /// A played node sends no heartbeat; a real one is tainted until a controller has seen it ready.
    fn controllers_wanted(&self) -> String {
        match &self.audience {
            Audience::Machine(_) => CONTROLLERS.to_owned(),
            Audience::Pods(_) => format!("{CONTROLLERS},node-lifecycle-controller"),
        }
    }

    fn write(&self, name: &str, what: impl AsRef<[u8]>) -> Result<(), Failure> {
        fs::write(self.file(name), what).trying(self.file(name).display())
    }

    /// The file `name`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The API server's address for clients.
    pub(crate) fn server(&self) -> String {
        format!("https://{}", self.api)
    }

    /// A kubeconfig with this token. JSON is YAML.
    pub(crate) fn kubeconfig(&self, token: &str) -> String {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testbed", "cluster": {
                "server": self.server(),
                "certificate-authority": self.certificate(),
            }}],
            "users": [{"name": "testbed", "user": {"token": token}}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed"}}],
            "current-context": "testbed",
        })
        .to_string()
    }

    /// What the API server made for itself: its certificate, and that of its own authority behind it.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.file("api/apiserver.crt")
    }

    /// What etcd is told. It doesn't sync: its data dies with the test.
    pub(crate) fn etcd(&self, command: Command) -> Command {
        let (clients, peers) = (format!("http://{}", self.etcd), format!("http://{}", self.peers));
        let flags = [
            ("data-dir", self.file("etcd").display().to_string()),
            ("listen-client-urls", clients.clone()),
            ("advertise-client-urls", clients),
            ("listen-peer-urls", peers.clone()),
            ("initial-advertise-peer-urls", peers.clone()),
            ("initial-cluster", format!("default={peers}")),
            ("unsafe-no-fsync", "true".to_owned()),
            ("log-level", "warn".to_owned()),
        ];
        with(command, flags)
    }

    /// What the API server is told. Its address is of this machine alone, so it is in no Endpoints.
    pub(crate) fn api(&self, command: Command) -> Command {
        let flags = [
            ("etcd-servers", format!("http://{}", self.etcd)),
            ("bind-address", self.api.ip().to_string()),
            ("advertise-address", self.api.ip().to_string()),
            ("secure-port", self.api.port().to_string()),
            ("cert-dir", self.file("api").display().to_string()),
            ("endpoint-reconciler-type", "none".to_owned()),
            ("service-cluster-ip-range", self.services()),
            ("authorization-mode", "RBAC".to_owned()),
            ("token-auth-file", self.file("tokens.csv").display().to_string()),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("service-account-signing-key-file", self.file("service-accounts.key").display().to_string()),
            ("service-account-key-file", self.file("service-accounts.pub").display().to_string()),
            ("disable-admission-plugins", self.not_admitting().to_owned()),
            ("proxy-client-cert-file", self.file(FRONT_CERTIFICATE).display().to_string()),
            ("proxy-client-key-file", self.file(FRONT_KEY).display().to_string()),
            ("requestheader-client-ca-file", self.file(FRONT_AUTHORITY).display().to_string()),
            ("requestheader-allowed-names", FRONT_NAME.to_owned()),
            ("requestheader-username-headers", "X-Remote-User".to_owned()),
            ("requestheader-group-headers", "X-Remote-Group".to_owned()),
            ("requestheader-extra-headers-prefix", "X-Remote-Extra-".to_owned()),
            ("feature-gates", FEATURES.to_owned()),
            ("audit-policy-file", self.file("audit-policy.json").display().to_string()),
            ("audit-log-path", self.file("audit.log").display().to_string()),
            // Nodes' names are in no DNS.
            ("kubelet-preferred-address-types", "InternalIP".to_owned()),
            ("profiling", "false".to_owned()),
        ];
        with(command, flags)
    }

    /// What the controllers are told. They are alone, so they don't elect.
    pub(crate) fn controllers(&self, command: Command) -> Command {
        let flags = [
            ("kubeconfig", self.file("admin.kubeconfig").display().to_string()),
            ("controllers", self.controllers_wanted()),
            ("leader-elect", "false".to_owned()),
            ("secure-port", "0".to_owned()),
            ("root-ca-file", self.certificate().display().to_string()),
            ("kube-api-qps", "500".to_owned()),
            ("kube-api-burst", "1000".to_owned()),
            ("feature-gates", FEATURES.to_owned()),
            // Usually 15 s: what an autoscaler makes of a count is waited for.
            ("horizontal-pod-autoscaler-sync-period", "1s".to_owned()),
            ("profiling", "false".to_owned()),
        ];
        with(command, flags)
    }
}

fn with<const N: usize>(mut command: Command, flags: [(&str, impl Display); N]) -> Command {
    command.args(flags.map(|(name, value)| format!("--{name}={value}")));
    command
}

/// Different free ports on `address`.
fn free<const N: usize>(address: Ipv4Addr) -> Result<[SocketAddr; N], Failure> {
    let taken = (0..N)
        .map(|_| TcpListener::bind((address, 0)).and_then(|port| Ok((port.local_addr()?, port))))
        .collect::<Result<Vec<_>, _>>()
        .trying(format_args!("a free port on {address}"))?;
    let addresses: Vec<SocketAddr> = taken.iter().map(|(address, _)| *address).collect();
    addresses.try_into().map_err(|_| Failure::new("a port was lost"))
}

/// 128 random bits in hexadecimal digits.
fn token() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).trying("random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// DER of a P-256 public key up to its point: SubjectPublicKeyInfo with id-ecPublicKey and prime256v1 (RFC 5480).
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A new pair of keys for the tokens of service accounts, as PEM: the one that signs, the one that checks.
fn keys() -> Result<(String, String), Failure> {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).trying("a key")?;
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).trying("a key")?;
    let public = [&P256, pair.public_key().as_ref()].concat();
    Ok((pem::encode(&Pem::new("PRIVATE KEY", key.as_ref())), pem::encode(&Pem::new("PUBLIC KEY", public))))
}

/// How the API server shows who it is where it passes something on: files by their names.
fn front() -> Result<[(&'static str, String); 3], Failure> {
    let what = "a certificate of the API server";
    let named = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut authority = named("front-proxy-ca");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().trying(what)?).trying(what)?;
    let mut client = named(FRONT_NAME);
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().trying(what)?;
    let client = client.signed_by(&key, &authority).trying(what)?;
    Ok([
        (FRONT_AUTHORITY, authority.pem()),
        (FRONT_CERTIFICATE, client.pem()),
        (FRONT_KEY, key.serialize_pem()),
    ])
}

/// The log of the program `name`.
pub(crate) fn log(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.log"))
}
