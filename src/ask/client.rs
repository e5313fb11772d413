//! Asks a running Kaos over HTTP, with a deadline on every step.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response};
use serde_json::Value;
use tokio::time::timeout;

use super::exchange::{Answer, exchange};
use crate::failure::Failure;

/// Longest wait for an answer of the admin port.
pub(super) const ANSWER: Duration = Duration::from_secs(15);
/// Longest answer.
const LONGEST: usize = 256 * 1024 * 1024;

/// Runs a question to its end on this thread.
pub(crate) fn run<T>(question: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Failed(format!("no runtime: {error}")))?.block_on(question)
}

/// Where an admin port is.
pub(crate) enum Admin {
    /// At `HOST:PORT`.
    At(String),
    /// Behind an API server.
    #[cfg(feature = "kubernetes")]
    Leader(Box<super::cluster::Leader>),
}

impl Admin {
    /// Reads a URL as given by the user.
    pub(crate) fn parse(text: &str) -> Result<Admin, Failure> {
        let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        match bare.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && !bare.contains('/') && port.parse::<u16>().is_ok() => {
                Ok(Admin::At(bare.to_owned()))
            }
            _ => Err(Failure::Usage(format!(
                "--admin (or KAOS_ADMIN) {text}: allowed is a URL such as http://127.0.0.1:9090"
            ))),
        }
    }

    /// The admin port at `address`.
    pub(crate) fn at(address: SocketAddr) -> Admin {
        Admin::At(address.to_string())
    }

    /// The answer to GET `path` as it comes in.
    pub(crate) async fn stream(&self, path: &str) -> Result<Response<Answer>, Failure> {
        match self {
            Admin::At(authority) => self.asked(authority, path).await,
            #[cfg(feature = "kubernetes")]
            Admin::Leader(leader) => leader.stream(path).await,
        }
    }

    async fn asked(&self, authority: &str, path: &str) -> Result<Response<Answer>, Failure> {
        let request = Request::get(path).body(Full::default()).map_err(|error| self.failed(error))?;
        let answer = timeout(ANSWER, exchange(authority, authority, request));
        let answer = answer.await.map_err(|_| self.failed("no answer within 15 s"))?;
        let answer = answer.map_err(|error| self.failed(error))?;
        Ok(answer.map(|body| body.map_err(|error| error.to_string()).boxed_unsync()))
    }

    /// The answer to GET `path`, or why there is none.
    pub(crate) async fn json(&self, path: &str) -> Result<Value, Failure> {
        let response = self.stream(path).await?;
        let good = response.status().is_success();
        let body = timeout(ANSWER, Limited::new(response.into_body(), LONGEST).collect());
        let body = body.await.map_err(|_| self.failed("the answer took longer than 15 s"))?;
        let bytes = body.map_err(|error| self.failed(error))?.to_bytes();
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| self.failed(error))?;
        if good { Ok(value) } else { Err(told(&value)) }
    }

    fn failed(&self, why: impl std::fmt::Display) -> Failure {
        match self {
            Admin::At(authority) => Failure::Failed(format!("http://{authority}: {why}")),
            #[cfg(feature = "kubernetes")]
            Admin::Leader(leader) => Failure::Failed(format!("the autoscaler {}: {why}", leader.name())),
        }
    }
}

/// What a problem says.
pub(crate) fn told(problem: &Value) -> Failure {
    let member = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    match member("title") {
        // Not ours: an API server's own.
        "" => Failure::Failed(member("message").to_owned()),
        title => Failure::Failed(format!("{title}: {}", member("detail"))),
    }
}
