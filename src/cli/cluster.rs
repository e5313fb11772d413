//! The command line of what runs in a cluster, and of what puts Kaos into one and takes it out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use kaos_core::ProxyId;
use kaos_proxy::Network;

use super::name::{label, subdomain};
use super::secrets::Secrets;
use crate::config::{ErrorDetail, Settings, settings as setting};

/// How the API server is reached: as `kubectl` does, or from within by the pod's own account.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kubeconfig {
    /// Kubeconfig to use [default: KUBECONFIG, ~/.kube/config, else the pod's own account]
    #[arg(long, env = "KAOS_KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, env = "KAOS_CONTEXT", value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// The namespace of Kaos itself where nothing else is said.
pub(crate) const SYSTEM: &str = "kaos-system";
/// The domain of inferred hosts where nothing else is said: browsers take it to the machine they run on.
pub(crate) const DOMAIN: &str = "localhost";
/// The headless Service of the proxies.
pub(crate) const PEERS: &str = "kaos-proxy-peers";

/// Where Kaos itself is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Home {
    /// Namespace of Kaos itself: of its Lease, its ConfigMaps and its Services
    #[arg(long, env = "KAOS_SYSTEM_NAMESPACE", value_name = "NAMESPACE", default_value = SYSTEM, value_parser = label)]
    pub(crate) system_namespace: String,
}

/// Where Kaos is put, or taken from.
#[derive(Args, Clone, Debug)]
pub(crate) struct Place {
    /// Namespace of Kaos itself
    #[arg(long, env = "KAOS_SYSTEM_NAMESPACE", value_name = "NAMESPACE", default_value = SYSTEM, value_parser = label)]
    pub(crate) namespace: String,
}

/// Which hosts are inferred.
#[derive(Args, Clone, Debug)]
pub(crate) struct Inferred {
    /// Domain of inferred hosts: NAME.NAMESPACE.DOMAIN
    #[arg(long, env = "KAOS_DOMAIN", value_name = "DOMAIN", default_value = DOMAIN, value_parser = domain)]
    pub(crate) domain: String,
}

/// What is watched in the cluster, and who one is there. Both parts must be told the same.
#[derive(Args, Clone, Debug)]
pub(crate) struct Member {
    #[command(flatten)]
    pub(crate) kubeconfig: Kubeconfig,
    /// Namespace to watch; may be repeated [default: all]
    #[arg(long = "namespace", short = 'n', env = "KAOS_NAMESPACE", value_name = "NAMESPACE", value_delimiter = ',', value_parser = label)]
    pub(crate) namespaces: Vec<String>,
    #[command(flatten)]
    pub(crate) inferred: Inferred,
    /// Domain of the cluster's own names
    #[arg(long, env = "KAOS_CLUSTER_DOMAIN", value_name = "DOMAIN", default_value = "cluster.local", value_parser = domain)]
    pub(crate) cluster_domain: String,
    /// Let every namespace claim every host: for clusters of one tenant
    #[arg(long, env = "KAOS_ANY_HOST")]
    pub(crate) any_host: bool,
    /// Let a namespace claim hosts below a suffix; may be repeated
    #[arg(long = "allow-hosts", env = "KAOS_ALLOW_HOSTS", value_name = "NAMESPACE=SUFFIX", value_delimiter = ',', value_parser = allowed)]
    pub(crate) allow_hosts: Vec<(String, String)>,
    /// Serve the Ingresses of this class, and read no IngressClass [default: those of every class whose controller is
    /// kaos.dev/ingress]
    #[arg(long, env = "KAOS_INGRESS_CLASS", value_name = "NAME", value_parser = subdomain)]
    pub(crate) ingress_class: Option<String>,
    /// Serve the Gateways of this class, and read neither GatewayClasses nor Namespaces [default: those of every class whose
    /// controller is kaos.dev/gateway]
    #[arg(long, env = "KAOS_GATEWAY_CLASS", value_name = "NAME", value_parser = subdomain)]
    pub(crate) gateway_class: Option<String>,
    /// The proxies: a headless Service, NAME or NAMESPACE/NAME; or a fixed list NAME=ADDR,… (for a proxy where the others
    /// take requests, for an autoscaler their admin ports)
    #[arg(long, env = "KAOS_PEERS", value_name = "PEERS", default_value = PEERS, value_parser = peers)]
    pub(crate) peers: Peers,
    #[command(flatten)]
    pub(crate) home: Home,
    /// Name of this process among its like [default: the host's name, which is the pod's]
    #[arg(long, env = "KAOS_ID", value_name = "NAME", value_parser = subdomain)]
    pub(crate) id: Option<String>,
    /// Least level that is logged: error, warn, info, debug or trace
    #[arg(long, env = "KAOS_LOG_LEVEL", value_name = "LEVEL", default_value = "info", value_parser = setting::log_level)]
    pub(crate) log_level: tracing::Level,
    /// Form of the logs [default: text on a terminal, else json]
    #[arg(long, env = "KAOS_LOG_FORMAT", value_enum, value_name = "FORM")]
    pub(crate) log_format: Option<LogFormat>,
}

/// Form of the logs.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

/// A question to the Kaos of a cluster.
#[derive(Args, Clone, Debug)]
pub(crate) struct InCluster {
    #[command(flatten)]
    pub(crate) kubeconfig: Kubeconfig,
    /// Namespace of a NAME without one; asks in the cluster [default: that of the context]
    #[arg(long, short = 'n', env = "KAOS_ASK_NAMESPACE", value_name = "NAMESPACE", value_parser = label)]
    pub(crate) namespace: Option<String>,
    #[command(flatten)]
    pub(crate) home: Home,
}

impl InCluster {
    /// Whether somebody asks for the cluster.
    pub(crate) fn is_said(&self) -> bool {
        self.kubeconfig != Kubeconfig::default() || self.namespace.is_some()
    }
}

/// Where the proxies are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peers {
    /// Behind a headless Service; its namespace if it isn't Kaos's own.
    Service(Option<String>, String),
    /// These.
    Fixed(BTreeMap<ProxyId, SocketAddr>),
}

/// `kaos proxy`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Proxy {
    /// Where requests are taken
    #[arg(long, env = "KAOS_LISTEN", value_name = "ADDR", default_value = "0.0.0.0:8080", value_parser = setting::address)]
    pub(crate) listen: SocketAddr,
    /// Where requests are taken over TLS [default: nowhere]
    #[arg(long, env = "KAOS_LISTEN_TLS", value_name = "ADDR", value_parser = setting::address)]
    pub(crate) listen_tls: Option<SocketAddr>,
    /// Where other proxies ask whether a request may go that they send on by themselves [default: nowhere]
    #[arg(long, env = "KAOS_LISTEN_GATE", value_name = "ADDR", value_parser = setting::address)]
    pub(crate) listen_gate: Option<SocketAddr>,
    /// How much later than the API server they hear that a pod is ready; 0s where they go by the answer
    #[arg(long, env = "KAOS_GATE_SETTLE", value_name = "DURATION", default_value = "1s", value_parser = setting::gate_settle)]
    pub(crate) gate_settle: Duration,
    /// Certificates for TLS, each with the one in the same place of --tls-key; PEM, chains from the server's own on
    #[arg(long, env = "KAOS_TLS_CERT", value_name = "FILE,…", value_parser = setting::paths)]
    pub(crate) tls_cert: Option<Arc<[PathBuf]>>,
    /// Their keys
    #[arg(long, env = "KAOS_TLS_KEY", value_name = "FILE,…", value_parser = setting::paths)]
    pub(crate) tls_key: Option<Arc<[PathBuf]>>,
    /// Folder of more certificates: NAME.crt or NAME.pem with NAME.key, or folders with tls.crt and tls.key
    #[arg(long, env = "KAOS_TLS_DIR", value_name = "DIR", value_parser = setting::path)]
    pub(crate) tls_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) secrets: Secrets,
    /// Where metrics, health, state and reports are read
    #[arg(long, env = "KAOS_ADMIN", value_name = "ADDR", default_value = "0.0.0.0:9090", value_parser = setting::address)]
    pub(crate) admin: SocketAddr,
    #[command(flatten)]
    pub(crate) member: Member,
    /// How long requests are still taken after SIGTERM, until nobody sends any more
    #[arg(long, env = "KAOS_SHUTDOWN_DELAY", value_name = "DURATION", default_value = "5s", value_parser = setting::drain_timeout)]
    pub(crate) shutdown_delay: Duration,
    /// Longest wait after that for requests that are under way
    #[arg(long, env = "KAOS_DRAIN_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = setting::drain_timeout)]
    pub(crate) drain_timeout: Duration,
    /// Whether error answers carry internals: full or brief [default: full while listening on loopback]
    #[arg(long, env = "KAOS_ERROR_DETAIL", value_name = "full|brief", value_parser = setting::error_detail)]
    pub(crate) error_detail: Option<ErrorDetail>,
    /// Longest head of a request [default: 32KiB]
    #[arg(long, env = "KAOS_MAX_HEADER_SIZE", value_name = "SIZE", value_parser = setting::header_size)]
    pub(crate) max_header_size: Option<usize>,
    /// Most client connections at once [default: 10000, or what the limit of open files allows]
    #[arg(long, env = "KAOS_MAX_CONNECTIONS", value_name = "N", allow_negative_numbers = true, value_parser = setting::max_connections)]
    pub(crate) max_connections: Option<usize>,
    /// Most connections of one client's address at once, of one /64 with IPv6; 0 for no limit [default: 0]
    #[arg(long, env = "KAOS_MAX_CONNECTIONS_PER_CLIENT", value_name = "N", allow_negative_numbers = true, value_parser = setting::max_connections_per_client)]
    pub(crate) max_connections_per_client: Option<usize>,
    /// Proxies whose X-Forwarded-* and Forwarded are believed, and whose connections aren't limited [default: none]
    #[arg(long, env = "KAOS_TRUSTED_PROXIES", value_name = "CIDR,…", value_parser = setting::trusted_proxies)]
    pub(crate) trusted_proxies: Option<Arc<[Network]>>,
    /// Take a PROXY header, version 1 or 2, on every connection of a trusted proxy: whom it names is the client [default: false]
    #[arg(long, env = "KAOS_PROXY_PROTOCOL", value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = setting::proxy_protocol)]
    pub(crate) proxy_protocol: Option<bool>,
    /// Write a line to stdout for each request: json or combined (Apache's format), or off [default: off]
    #[arg(long, env = "KAOS_ACCESS_LOG", value_name = "json|combined|off", value_parser = setting::access_log)]
    pub(crate) access_log: Option<setting::AccessLog>,
    /// Share of the requests that go well for which one is written, 0 to 1, or errors for none of them; for those that don't
    /// one always is [default: 1]
    #[arg(long, env = "KAOS_ACCESS_LOG_SAMPLE", value_name = "SHARE|errors", value_parser = setting::access_log_sample)]
    pub(crate) access_log_sample: Option<f64>,
    /// Most bytes that waiting requests may hold together [default: 256MiB]
    #[arg(long, env = "KAOS_QUEUE_BYTES", value_name = "SIZE", value_parser = setting::queue_bytes)]
    pub(crate) queue_bytes: Option<usize>,
}

impl Proxy {
    /// What it has in common with `kaos up`.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            listen: Some(self.listen),
            listen_tls: self.listen_tls,
            listen_gate: self.listen_gate,
            gate_settle: Some(self.gate_settle),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
            tls_dir: self.tls_dir.clone(),
            admin: Some(self.admin),
            error_detail: self.error_detail,
            max_header_size: self.max_header_size,
            max_connections: self.max_connections,
            max_connections_per_client: self.max_connections_per_client,
            trusted_proxies: self.trusted_proxies.clone(),
            proxy_protocol: self.proxy_protocol,
            access_log: self.access_log,
            access_log_sample: self.access_log_sample,
            queue_bytes: self.queue_bytes,
            ..Settings::default()
        }
    }
}

/// `kaos autoscaler`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Autoscaler {
    /// Where metrics, health, state and the journal are read
    #[arg(long, env = "KAOS_ADMIN", value_name = "ADDR", default_value = "0.0.0.0:9090", value_parser = setting::address)]
    pub(crate) admin: SocketAddr,
    /// Where autoscalers ask, through the API server, for the load of a workload: over TLS [default: nowhere]
    #[arg(long, env = "KAOS_LISTEN_EXTERNAL_METRICS", value_name = "ADDR", value_parser = setting::address)]
    pub(crate) listen_external_metrics: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) member: Member,
    /// Most replicas, of all workloads together, that start at once
    #[arg(long, env = "KAOS_MAX_STARTING", value_name = "N", allow_negative_numbers = true, default_value = "20", value_parser = setting::max_starting)]
    pub(crate) max_starting: usize,
}

/// `kaos install`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Install {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) inferred: Inferred,
    /// Let the proxies take TLS, for certificates that Ingresses name; --tls-secret says so too
    #[arg(long, env = "KAOS_INSTALL_TLS")]
    pub(crate) tls: bool,
    #[command(flatten)]
    pub(crate) secrets: Secrets,
    /// Let other proxies ask whether a request may go that they send on by themselves
    #[arg(long, env = "KAOS_INSTALL_GATE")]
    pub(crate) gate: bool,
    /// Let HorizontalPodAutoscalers ask for the load of workloads: in clusters where nobody else serves external metrics
    #[arg(long, env = "KAOS_INSTALL_EXTERNAL_METRICS")]
    pub(crate) external_metrics: bool,
    /// Image to run [default: kaos:VERSION]
    #[arg(long, env = "KAOS_IMAGE", value_name = "IMAGE", value_parser = image)]
    pub(crate) image: Option<String>,
}

/// `kaos uninstall`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Uninstall {
    #[command(flatten)]
    pub(crate) kubeconfig: Kubeconfig,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Do it, instead of printing what would be done
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) output: super::Output,
}

/// `kaos image`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Image {
    /// The program: one static binary for Linux
    #[arg(value_name = "BINARY")]
    pub(crate) binary: PathBuf,
    /// File to write: a tar of an OCI image layout
    #[arg(long = "to", value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// Name of the image [default: kaos:VERSION]
    #[arg(long, env = "KAOS_IMAGE", value_name = "IMAGE", value_parser = image)]
    pub(crate) name: Option<String>,
}

/// A reference to an image: only characters that can stand in one.
fn image(text: &str) -> Result<String, String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let begins = text.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    let good = begins && text.len() <= 512 && text.bytes().all(sound) && !text.ends_with([':', '/', '@']);
    good.then(|| text.to_owned())
        .ok_or_else(|| "allowed is an image such as registry.example.com/kaos:1.0".into())
}

fn domain(text: &str) -> Result<String, String> {
    subdomain(text).map_err(|_| "allowed is a domain in lower case, such as example.com".into())
}

fn allowed(text: &str) -> Result<(String, String), String> {
    let told = || "allowed is NAMESPACE=SUFFIX, such as shops=example.com".to_owned();
    let (namespace, suffix) = text.split_once('=').ok_or_else(told)?;
    let suffix = suffix.trim_start_matches("*.");
    match (label(namespace), domain(suffix)) {
        (Ok(namespace), Ok(suffix)) => Ok((namespace, suffix)),
        _ => Err(told()),
    }
}

fn peers(text: &str) -> Result<Peers, String> {
    let told =
        || "allowed is NAME, NAMESPACE/NAME, or NAME=ADDR,NAME=ADDR,… (may be empty: alone)".to_owned();
    if text.is_empty() {
        return Ok(Peers::Fixed(BTreeMap::new()));
    }
    if text.contains('=') {
        let peer = |text: &str| {
            let (name, address) = text.split_once('=')?;
            Some((ProxyId::new(&subdomain(name).ok()?), address.parse().ok()?))
        };
        let peers: Option<BTreeMap<_, _>> = text.split(',').map(peer).collect();
        return peers.map(Peers::Fixed).ok_or_else(told);
    }
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (Some(label(namespace).map_err(|_| told())?), name),
        None => (None, text),
    };
    label(name).map(|name| Peers::Service(namespace, name)).map_err(|_| told())
}

#[cfg(test)]
#[path = "cluster_test.rs"]
mod tests;
