//! Asks the autoscaler that leads in a cluster, through the API server and with the user's own rights: no port is
//! forwarded, and nothing but `get` on the Lease and on `pods/proxy` is needed.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Builder;
use hyper::{Request, Response, StatusCode};
use kaos_kubernetes::Client;
use kaos_kubernetes::change::LEASE;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::exchange::Answer;
use super::text;
use crate::cli::cluster::{InCluster, Kubeconfig};
use crate::failure::Failure;

/// Longest wait for the API server.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest answer that is put together.
const LONGEST: usize = 64 * 1024 * 1024;
/// The admin port of the manifests.
const ADMIN: u16 = 9090;

/// An API server, as the user reaches it.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    namespace: String,
}

/// The autoscaler that leads.
pub(crate) struct Leader {
    cluster: Cluster,
    base: String,
    pod: String,
    namespace: String,
}

/// Whether there is a kubeconfig where `kubectl` looks for one.
pub(crate) fn has_kubeconfig() -> bool {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".kube/config"));
    std::env::var_os("KUBECONFIG").is_some_and(|files| !files.is_empty())
        || home.is_some_and(|file| file.exists())
}

impl Cluster {
    /// Reaches the API server.
    pub(crate) async fn connect(kubeconfig: &Kubeconfig) -> Result<Cluster, Failure> {
        crate::cluster::reach(kubeconfig).await.map(|(client, namespace)| Cluster { client, namespace })
    }

    /// For those who do more than ask.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Sets the Deployment at `path` to no replicas. Whether it is there.
    pub(crate) async fn stop(&self, path: &str) -> Result<bool, Failure> {
        let none = json!({ "spec": { "replicas": 0 } });
        match self.merge(&format!("{path}/scale"), &none).await? {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            status => {
                Err(Failure::Failed(format!("{path}: the API server doesn't scale it to zero: {status}")))
            }
        }
    }

    /// Merges `patch` into what is at `path`. The status of the answer.
    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> Result<StatusCode, Failure> {
        let request = Request::patch(path).header(CONTENT_TYPE, "application/merge-patch+json");
        let answer = self.send(path, request, patch.to_string().into_bytes()).await?;
        Ok(answer.status())
    }

    /// The namespace that the kubeconfig means.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The answer to GET `path` as it comes in, whatever its status.
    pub(crate) async fn stream(&self, path: &str) -> Result<Response<Answer>, Failure> {
        self.send(path, Request::get(path), Vec::new()).await
    }

    /// The answer to a request for `path`, as it begins to come in.
    async fn send(
        &self,
        path: &str,
        request: Builder,
        content: Vec<u8>,
    ) -> Result<Response<Answer>, Failure> {
        let request = request.body(content.into());
        let request = request.map_err(|error| Failure::Failed(format!("{path}: {error}")))?;
        let answer = timeout(PATIENCE, self.client.send(request)).await;
        let answer =
            answer.map_err(|_| Failure::Failed("the API server didn't answer within 15 s".into()))?;
        let answer =
            answer.map_err(|error| Failure::Failed(format!("the API server can't be asked: {error}")))?;
        Ok(answer.map(|body| body.map_err(|error| error.to_string()).boxed_unsync()))
    }

    /// The answer to GET `path` as JSON.
    pub(crate) async fn json(&self, path: &str) -> Result<Value, Failure> {
        let response = self.stream(path).await?;
        let status = response.status();
        let body = timeout(PATIENCE, Limited::new(response.into_body(), LONGEST).collect()).await;
        let body =
            body.map_err(|_| Failure::Failed("the API server's answer took longer than 15 s".into()))?;
        let bytes = body.map_err(|error| Failure::Failed(format!("the API server: {error}")))?.to_bytes();
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        Err(Failure::Failed(format!("the API server says {status}: {}", text(&value, "/message"))))
    }
}

impl Leader {
    /// The autoscaler that holds the Lease.
    pub(crate) async fn find(cluster: Cluster, asked: &InCluster) -> Result<Leader, Failure> {
        let namespace = &asked.home.system_namespace;
        let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}");
        let lease = cluster.json(&lease).await.map_err(|failure| match failure {
            Failure::Failed(why) => Failure::Failed(format!(
                "no Kaos is found in the namespace {namespace} (--system-namespace names another): {why}"
            )),
            other => other,
        })?;
        let holder = text(&lease, "/spec/holderIdentity");
        let Some((pod, _)) = holder.rsplit_once('_') else {
            return Err(Failure::Failed(format!(
                "no autoscaler leads in the namespace {namespace} at the moment"
            )));
        };
        let base = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{ADMIN}/proxy");
        Ok(Leader { pod: format!("{namespace}/{pod}"), namespace: namespace.clone(), cluster, base })
    }

    /// The API server behind which it is.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The namespace of its Kaos.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// How it is called in messages.
    pub(crate) fn name(&self) -> &str {
        &self.pod
    }

    /// The answer to GET `path` as it comes in.
    pub(crate) async fn stream(&self, path: &str) -> Result<Response<Answer>, Failure> {
        self.cluster.stream(&format!("{}{path}", self.base)).await
    }
}
