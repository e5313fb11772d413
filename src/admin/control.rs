//! What changes something is asked for through a socket that only this user can reach: the admin port is read-only.
//!
//! One question at a time: it is a person who asks.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use kaos_autoscaler::Order;
use kaos_core::WorkloadId;
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::problem::Problem;
use super::response::{Answer, of_json};

/// Longest time for one question, its answer included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause after an accept that failed for lack of something: spinning frees nothing.
const PAUSE: Duration = Duration::from_millis(50);

/// Who does what is asked.
pub(crate) struct Control {
    /// Where orders go.
    pub(crate) orders: mpsc::Sender<Order>,
    /// What was done is to be written soon.
    pub(crate) soon: Arc<Notify>,
}

/// The socket at `path`, in a folder that nobody else can use. What another process has left there is replaced.
pub(crate) fn bind_control(path: &Path) -> std::io::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path)
}

impl Control {
    /// Answers until this future is dropped.
    pub(crate) async fn serve(self, listener: UnixListener) {
        loop {
            match listener.accept().await {
                // Who says nothing for that long is in the way of others.
                Ok((stream, _)) => drop(timeout(PATIENCE, self.connection(stream)).await),
                Err(error) => {
                    tracing::warn!(%error, "the socket for orders can't accept");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn connection(&self, stream: UnixStream) {
        let service = service_fn(|request| async move { Ok::<_, Infallible>(self.answer(&request).await) });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the socket for orders ended badly");
        }
    }

    async fn answer<B>(&self, request: &Request<B>) -> Response<Answer> {
        let done = self.obey(request).await;
        done.unwrap_or_else(|problem| of_json(problem.status(), "application/problem+json", &problem.body()))
    }

    /// `POST /v1/forget/NAMESPACE/NAME`.
    async fn obey<B>(&self, request: &Request<B>) -> Result<Response<Answer>, Problem> {
        let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
        let ["v1", "forget", namespace, name] = path[..] else { return Err(Problem::NoSuchPath) };
        if *request.method() != Method::POST {
            return Err(Problem::NoOrder);
        }
        let (workload, (done, known)) = (WorkloadId::new(namespace, name), oneshot::channel());
        let told = self.orders.send(Order::Forget(workload.clone(), done)).await;
        match (told, known.await) {
            (Ok(()), Ok(true)) => {
                self.soon.notify_one();
                let forgotten = json!({ "namespace": namespace, "name": name, "forgotten": true });
                Ok(of_json(StatusCode::OK, "application/json", &forgotten))
            }
            (Ok(()), Ok(false)) => Err(Problem::NoSuchWorkload(workload.to_string())),
            _ => Err(Problem::Ending),
        }
    }
}
