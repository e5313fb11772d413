//! What holds for the whole process: the same names as flags, as `KAOS_…` and as keys at the top of `kaos.toml`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kaos_core::duration;
use kaos_proxy::Network;

/// Settings that somebody has given. Flags come before the environment, the environment before the file.
#[derive(clap::Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    /// Where requests are taken [default: 127.0.0.1:8080]
    #[arg(long, env = "KAOS_LISTEN", value_name = "ADDR", value_parser = address)]
    pub(crate) listen: Option<SocketAddr>,
    /// Where requests are taken over TLS [default: nowhere]
    #[arg(long, env = "KAOS_LISTEN_TLS", value_name = "ADDR", value_parser = address)]
    pub(crate) listen_tls: Option<SocketAddr>,
    /// Where other proxies ask whether a request may go that they send on by themselves [default: nowhere]
    #[arg(long, env = "KAOS_LISTEN_GATE", value_name = "ADDR", value_parser = address)]
    pub(crate) listen_gate: Option<SocketAddr>,
    /// How much later than the platform they hear that a replica is ready; 0s where they go by the answer [default: 0s]
    #[arg(long, env = "KAOS_GATE_SETTLE", value_name = "DURATION", value_parser = gate_settle)]
    pub(crate) gate_settle: Option<Duration>,
    /// Certificates for TLS, each with the one in the same place of --tls-key; PEM, chains from the server's own on
    #[arg(long, env = "KAOS_TLS_CERT", value_name = "FILE,…", value_parser = paths)]
    pub(crate) tls_cert: Option<Arc<[PathBuf]>>,
    /// Their keys
    #[arg(long, env = "KAOS_TLS_KEY", value_name = "FILE,…", value_parser = paths)]
    pub(crate) tls_key: Option<Arc<[PathBuf]>>,
    /// Folder of more certificates: NAME.crt or NAME.pem with NAME.key, or folders with tls.crt and tls.key
    #[arg(long, env = "KAOS_TLS_DIR", value_name = "DIR", value_parser = path)]
    pub(crate) tls_dir: Option<PathBuf>,
    /// Where metrics, health and state are read [default: 127.0.0.1:9090; if that is taken, a free port]
    #[arg(long, env = "KAOS_ADMIN", value_name = "ADDR", value_parser = address)]
    pub(crate) admin: Option<SocketAddr>,
    /// Where what was learned is kept [default: a folder for this kaos.toml, or this directory, in the user's state folder]
    #[arg(long, env = "KAOS_STATE", value_name = "DIR", value_parser = path)]
    pub(crate) state: Option<PathBuf>,
    /// Most replicas, of all functions together, that start at once [default: the CPU cores]
    #[arg(long, env = "KAOS_MAX_STARTING", value_name = "N", allow_negative_numbers = true, value_parser = max_starting)]
    pub(crate) max_starting: Option<usize>,
    /// Whether error answers carry internals: full or brief [default: full while listening on loopback]
    #[arg(long, env = "KAOS_ERROR_DETAIL", value_name = "full|brief", value_parser = error_detail)]
    pub(crate) error_detail: Option<ErrorDetail>,
    /// Longest head of a request [default: 32KiB]
    #[arg(long, env = "KAOS_MAX_HEADER_SIZE", value_name = "SIZE", value_parser = header_size)]
    pub(crate) max_header_size: Option<usize>,
    /// Most client connections at once [default: 10000, or what the limit of open files allows]
    #[arg(long, env = "KAOS_MAX_CONNECTIONS", value_name = "N", allow_negative_numbers = true, value_parser = max_connections)]
    pub(crate) max_connections: Option<usize>,
    /// Most connections of one client's address at once, of one /64 with IPv6; 0 for no limit [default: 0]
    #[arg(long, env = "KAOS_MAX_CONNECTIONS_PER_CLIENT", value_name = "N", allow_negative_numbers = true, value_parser = max_connections_per_client)]
    pub(crate) max_connections_per_client: Option<usize>,
    /// Proxies whose X-Forwarded-* and Forwarded are believed, and whose connections aren't limited [default: none]
    #[arg(long, env = "KAOS_TRUSTED_PROXIES", value_name = "CIDR,…", value_parser = trusted_proxies)]
    pub(crate) trusted_proxies: Option<Arc<[Network]>>,
    /// Take a PROXY header, version 1 or 2, on every connection of a trusted proxy: whom it names is the client [default: false]
    #[arg(long, env = "KAOS_PROXY_PROTOCOL", value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = proxy_protocol)]
    pub(crate) proxy_protocol: Option<bool>,
    /// Write a line to stdout for each request: json or combined (Apache's format), or off [default: off]
    #[arg(long, env = "KAOS_ACCESS_LOG", value_name = "json|combined|off", value_parser = access_log)]
    pub(crate) access_log: Option<AccessLog>,
    /// Share of the requests that go well for which one is written, 0 to 1, or errors for none of them; for those that don't
    /// one always is [default: 1]
    #[arg(long, env = "KAOS_ACCESS_LOG_SAMPLE", value_name = "SHARE|errors", value_parser = access_log_sample)]
    pub(crate) access_log_sample: Option<f64>,
    /// Most bytes that waiting requests may hold together [default: 256MiB]
    #[arg(long, env = "KAOS_QUEUE_BYTES", value_name = "SIZE", value_parser = queue_bytes)]
    pub(crate) queue_bytes: Option<usize>,
    /// Longest wait at the end for requests that are under way [default: 30s]
    #[arg(long, env = "KAOS_DRAIN_TIMEOUT", value_name = "DURATION", value_parser = drain_timeout)]
    pub(crate) drain_timeout: Option<Duration>,
    /// Least level that is logged: error, warn, info, debug or trace [default: info]
    #[arg(long, env = "KAOS_LOG_LEVEL", value_name = "LEVEL", value_parser = log_level)]
    pub(crate) log_level: Option<tracing::Level>,
}

/// What error answers say of the inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorDetail {
    /// Exit status, output, addresses.
    Full,
    /// One fixed sentence.
    Brief,
}

/// What is written of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessLog {
    /// An object per request.
    Json,
    /// A line per request, as Apache writes it in its format `combined`.
    Combined,
    /// Nothing.
    Off,
}

/// Names of the settings, in the order of the reference.
pub(crate) const NAMES: [&str; 21] = [
    "listen",
    "listen-tls",
    "listen-gate",
    "gate-settle",
    "tls-cert",
    "tls-key",
    "tls-dir",
    "admin",
    "state",
    "max-starting",
    "error-detail",
    "max-header-size",
    "max-connections",
    "max-connections-per-client",
    "trusted-proxies",
    "proxy-protocol",
    "access-log",
    "access-log-sample",
    "queue-bytes",
    "drain-timeout",
    "log-level",
];

/// Where requests are taken if nothing is said.
pub(crate) const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Where the admin port is if nothing is said and it is free.
pub(crate) const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

impl Settings {
    /// Reads `text` into the setting `name`, one of [`NAMES`]. The error says what is allowed.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "listen" => self.listen = Some(address(text)?),
            "listen-tls" => self.listen_tls = Some(address(text)?),
            "listen-gate" => self.listen_gate = Some(address(text)?),
            "gate-settle" => self.gate_settle = Some(gate_settle(text)?),
            "tls-cert" => self.tls_cert = Some(paths(text)?),
            "tls-key" => self.tls_key = Some(paths(text)?),
            "tls-dir" => self.tls_dir = Some(path(text)?),
            "admin" => self.admin = Some(address(text)?),
            "state" => self.state = Some(path(text)?),
            "max-starting" => self.max_starting = Some(max_starting(text)?),
            "error-detail" => self.error_detail = Some(error_detail(text)?),
            "max-header-size" => self.max_header_size = Some(header_size(text)?),
            "max-connections" => self.max_connections = Some(max_connections(text)?),
            "max-connections-per-client" => {
                self.max_connections_per_client = Some(max_connections_per_client(text)?);
            }
            "trusted-proxies" => self.trusted_proxies = Some(trusted_proxies(text)?),
            "proxy-protocol" => self.proxy_protocol = Some(proxy_protocol(text)?),
            "access-log" => self.access_log = Some(access_log(text)?),
            "access-log-sample" => self.access_log_sample = Some(access_log_sample(text)?),
            "queue-bytes" => self.queue_bytes = Some(queue_bytes(text)?),
            "drain-timeout" => self.drain_timeout = Some(drain_timeout(text)?),
            "log-level" => self.log_level = Some(log_level(text)?),
            _ => return Err("there is no such setting".into()),
        }
        Ok(())
    }

    /// Names of the settings that are lists.
    pub(crate) const LISTS: [&str; 3] = ["trusted-proxies", "tls-cert", "tls-key"];

    /// The same settings with paths that are relative to `folder`.
    pub(crate) fn within(self, folder: &Path) -> Settings {
        let within = |paths: Arc<[PathBuf]>| paths.iter().map(|path| folder.join(path)).collect();
        Settings {
            tls_cert: self.tls_cert.map(within),
            tls_key: self.tls_key.map(within),
            tls_dir: self.tls_dir.map(|dir| folder.join(dir)),
            state: self.state.map(|dir| folder.join(dir)),
            ..self
        }
    }

    /// Names of the settings that are not the same in `other`.
    pub(crate) fn differing(&self, other: &Settings) -> Vec<&'static str> {
        let same = [
            self.listen == other.listen,
            self.listen_tls == other.listen_tls,
            self.listen_gate == other.listen_gate,
            self.gate_settle == other.gate_settle,
            self.tls_cert == other.tls_cert,
            self.tls_key == other.tls_key,
            self.tls_dir == other.tls_dir,
            self.admin == other.admin,
            self.state == other.state,
            self.max_starting == other.max_starting,
            self.error_detail == other.error_detail,
            self.max_header_size == other.max_header_size,
            self.max_connections == other.max_connections,
            self.max_connections_per_client == other.max_connections_per_client,
            self.trusted_proxies == other.trusted_proxies,
            self.proxy_protocol == other.proxy_protocol,
            self.access_log == other.access_log,
            self.access_log_sample == other.access_log_sample,
            self.queue_bytes == other.queue_bytes,
            self.drain_timeout == other.drain_timeout,
            self.log_level == other.log_level,
        ];
        NAMES.iter().zip(same).filter(|(_, same)| !same).map(|(name, _)| *name).collect()
    }

    /// These settings, and those of `other` where these say nothing.
    pub(crate) fn or(&self, other: &Settings) -> Settings {
        Settings {
            listen: self.listen.or(other.listen),
            listen_tls: self.listen_tls.or(other.listen_tls),
            listen_gate: self.listen_gate.or(other.listen_gate),
            gate_settle: self.gate_settle.or(other.gate_settle),
            tls_cert: self.tls_cert.as_ref().or(other.tls_cert.as_ref()).cloned(),
            tls_key: self.tls_key.as_ref().or(other.tls_key.as_ref()).cloned(),
            tls_dir: self.tls_dir.as_ref().or(other.tls_dir.as_ref()).cloned(),
            admin: self.admin.or(other.admin),
            state: self.state.as_ref().or(other.state.as_ref()).cloned(),
            max_starting: self.max_starting.or(other.max_starting),
            error_detail: self.error_detail.or(other.error_detail),
            max_header_size: self.max_header_size.or(other.max_header_size),
            max_connections: self.max_connections.or(other.max_connections),
            max_connections_per_client: self.max_connections_per_client.or(other.max_connections_per_client),
            trusted_proxies: self.trusted_proxies.as_ref().or(other.trusted_proxies.as_ref()).cloned(),
            proxy_protocol: self.proxy_protocol.or(other.proxy_protocol),
            access_log: self.access_log.or(other.access_log),
            access_log_sample: self.access_log_sample.or(other.access_log_sample),
            queue_bytes: self.queue_bytes.or(other.queue_bytes),
            drain_timeout: self.drain_timeout.or(other.drain_timeout),
            log_level: self.log_level.or(other.log_level),
        }
    }
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text);
    bare.trim_end_matches('/')
        .parse()
        .map_err(|_| "allowed is an address and a port, such as 127.0.0.1:8080 or [::1]:8080".to_owned())
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn path(text: &str) -> Result<PathBuf, String> {
    let path = (!text.is_empty()).then(|| text.into());
    path.ok_or_else(|| "allowed is a path".into())
}

/// Most files that are named one by one; a folder may hold more.
const FILES: usize = 100;

/// Reads the setting. The error says what is allowed.
pub(crate) fn paths(text: &str) -> Result<Arc<[PathBuf]>, String> {
    let read: Option<Arc<[PathBuf]>> = text.split(',').map(|one| path(one.trim()).ok()).collect();
    let few = read.filter(|paths| paths.len() <= FILES);
    few.ok_or_else(|| "allowed is a list of files, such as a.crt,b.crt, at most 100 of them".into())
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn max_starting(text: &str) -> Result<usize, String> {
    count(text, 1, 10_000)
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn max_connections(text: &str) -> Result<usize, String> {
    count(text, 1, 1_000_000)
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn max_connections_per_client(text: &str) -> Result<usize, String> {
    count(text, 0, 1_000_000).map_err(|allowed| format!("{allowed} (0: no limit)"))
}

/// Most ranges of trusted proxies: each connection is compared with all of them.
const TRUSTED: usize = 100;

/// Reads the setting. The error says what is allowed.
pub(crate) fn trusted_proxies(text: &str) -> Result<Arc<[Network]>, String> {
    let allowed = || {
        "allowed is a list of addresses and ranges, such as 10.0.0.0/8,fd00::/8, at most 100 of them"
            .to_owned()
    };
    if text.split(',').count() > TRUSTED {
        return Err(allowed());
    }
    text.split(',').map(|one| one.trim().parse().map_err(|_| allowed())).collect()
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn proxy_protocol(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "allowed is true or false".into())
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn access_log(text: &str) -> Result<AccessLog, String> {
    match text {
        "json" => Ok(AccessLog::Json),
        "combined" => Ok(AccessLog::Combined),
        "off" => Ok(AccessLog::Off),
        _ => Err("allowed is json, combined or off".into()),
    }
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn access_log_sample(text: &str) -> Result<f64, String> {
    if text == "errors" {
        return Ok(0.0);
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let share = text.parse().ok().filter(|share| plain && (0.0..=1.0).contains(share));
    share.ok_or_else(|| "allowed is a share, 0 to 1, or errors".into())
}

fn count(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| plain && (least..=most).contains(number));
    number.ok_or_else(|| format!("allowed is a whole number, {least} to {most}"))
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn error_detail(text: &str) -> Result<ErrorDetail, String> {
    match text {
        "full" => Ok(ErrorDetail::Full),
        "brief" => Ok(ErrorDetail::Brief),
        _ => Err("allowed is full or brief".into()),
    }
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn header_size(text: &str) -> Result<usize, String> {
    size(text, 8 * KIB, MIB).ok_or_else(|| "allowed is a size, 8KiB to 1MiB".into())
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn queue_bytes(text: &str) -> Result<usize, String> {
    size(text, MIB, 64 * 1024 * MIB).ok_or_else(|| "allowed is a size, 1MiB to 64GiB".into())
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A whole number with `B`, `KiB`, `MiB` or `GiB`, or none for bytes.
fn size(text: &str, least: usize, most: usize) -> Option<usize> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let scale = match unit {
        "" | "B" => 1,
        "KiB" => KIB,
        "MiB" => MIB,
        "GiB" => 1024 * MIB,
        _ => return None,
    };
    let number: usize = digits.parse().ok()?;
    number.checked_mul(scale).filter(|size| (least..=most).contains(size))
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn drain_timeout(text: &str) -> Result<Duration, String> {
    let most = Duration::from_secs(3600);
    let span = duration::parse(text).ok().filter(|span| *span <= most);
    span.ok_or_else(|| "allowed is a duration, 0s to 1h".into())
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn gate_settle(text: &str) -> Result<Duration, String> {
    let span = duration::parse(text).ok().filter(|span| *span <= Duration::from_secs(60));
    span.ok_or_else(|| "allowed is a duration, 0s to 1m".into())
}

/// Reads the setting. The error says what is allowed.
pub(crate) fn log_level(text: &str) -> Result<tracing::Level, String> {
    let known = ["error", "warn", "info", "debug", "trace"].contains(&text);
    let level = if known { text.parse().ok() } else { None };
    level.ok_or_else(|| "allowed is error, warn, info, debug or trace".into())
}

#[cfg(test)]
#[path = "settings_test.rs"]
mod tests;
