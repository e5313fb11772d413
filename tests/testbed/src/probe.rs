//! The kubelet's readiness probe of one pod: HTTP or TCP, with its own delay, period, timeout and thresholds.
//! Other probes are not played: a pod with one of them is refused.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::Failure;

/// How a container is asked whether it is ready.
#[derive(Clone, Debug)]
pub(crate) struct Readiness {
    check: Check,
    pub(crate) initial_delay: Duration,
    pub(crate) period: Duration,
    timeout: Duration,
    /// Failures in a row that make a ready container unready.
    pub(crate) failures: u32,
    /// Successes in a row that make it ready.
    pub(crate) successes: u32,
}

#[derive(Clone, Debug)]
enum Check {
    /// Ready as soon as it runs.
    Nothing,
    Connect(u16),
    Get {
        port: u16,
        path: String,
    },
}

impl Readiness {
    /// The probe of this container.
    pub(crate) fn of(container: &Container) -> Result<Readiness, Failure> {
        let none = Probe::default();
        let probe = container.readiness_probe.as_ref();
        let check = match probe {
            None => Check::Nothing,
            Some(Probe { tcp_socket: Some(tcp), .. }) => Check::Connect(port(container, &tcp.port)?),
            Some(Probe { http_get: Some(get), .. }) => Check::Get {
                port: port(container, &get.port)?,
                path: get.path.clone().unwrap_or_else(|| "/".to_owned()),
            },
            Some(_) => return Err(Failure::new("a played kubelet has httpGet and tcpSocket probes only")),
        };
        let probe = probe.unwrap_or(&none);
        let seconds = |value: Option<i32>, default| {
            Duration::from_secs(value.map_or(default, |value| u64::from(value.unsigned_abs())))
        };
        Ok(Readiness {
            check,
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            failures: probe.failure_threshold.map_or(3, i32::unsigned_abs),
            successes: probe.success_threshold.map_or(1, i32::unsigned_abs),
        })
    }

    /// Asks once.
    pub(crate) async fn succeeds(&self, address: Ipv4Addr) -> bool {
        match &self.check {
            Check::Nothing => true,
            Check::Connect(port) => {
                matches!(timeout(self.timeout, TcpStream::connect((address, *port))).await, Ok(Ok(_)))
            }
            Check::Get { port, path } => {
                let answer = timeout(self.timeout, status((address, *port).into(), path)).await;
                matches!(answer, Ok(Ok(200..=399)))
            }
        }
    }
}

/// A port by number or by its name in this container.
fn port(container: &Container, port: &IntOrString) -> Result<u16, Failure> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            ports.filter(|port| port.name.as_ref() == Some(name)).map(|port| port.container_port).next()
        }
    };
    let number = number.and_then(|number| u16::try_from(number).ok());
    number.ok_or_else(|| {
        Failure::new(format!("the readiness probe's port {port:?} is no port of the container"))
    })
}

/// The status of the answer to GET `path`.
async fn status(address: SocketAddr, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: kube-probe/1.34\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    // "HTTP/1.1 200"
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let status = std::str::from_utf8(&head[9..]).ok().and_then(|status| status.parse().ok());
    status.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}
