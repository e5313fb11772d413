//! `kaos forget`: what was learned of a workload's calls is forgotten, and learned anew.
//!
//! On this machine that is asked for at a socket of this user's alone; in a cluster it is written where what was learned is kept,
//! with the user's own rights, and taken from there by the autoscaler that leads. Admin ports change nothing.

use std::path::Path;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::client::{self, ANSWER, Admin, told};
use super::exchange::talk;
use super::print::{self, print};
use super::{Kaos, find, ls, text};
use crate::cli::{AskOne, Form};
use crate::failure::Failure;

/// Longest answer.
const LONGEST: usize = 64 * 1024;

/// Runs the command.
pub(crate) fn forget(one: &AskOne) -> Result<(), Failure> {
    let (workload, taken) = client::run(async {
        let kaos = find(&one.ask).await?;
        let workload = kaos.workload(&one.name).await?;
        let taken = match &kaos.admin {
            Admin::At(_) => here(&kaos, &one.name).await.map(|()| true)?,
            #[cfg(feature = "kubernetes")]
            Admin::Leader(leader) => cluster::forget(&kaos, leader, &one.name, &workload).await?,
        };
        Ok((workload, taken))
    })?;
    let name = ls::name(&workload);
    match one.ask.output.form {
        Form::Json => print::json(&json!({
            "namespace": text(&workload, "/namespace"), "name": text(&workload, "/name"), "forgotten": true, "taken": taken,
        })),
        Form::Text if taken => print(&format!("What was learned of {name} is forgotten; it begins anew.\n")),
        Form::Text => print(&format!(
            "What was learned of {name} is forgotten where it is kept; the autoscaler begins anew when it looks there next, within a minute.\n"
        )),
    }
}

/// Asks at the socket of the Kaos that runs here.
async fn here(kaos: &Kaos, name: &str) -> Result<(), Failure> {
    let instance = kaos.json("/v1/instance").await?;
    let socket = text(&instance, "/control");
    let failed = |why: String| Failure::Failed(format!("{socket}: {why}"));
    if socket.is_empty() {
        return Err(Failure::Failed(
            "the Kaos that was asked takes no orders: it has no folder for a socket that nobody else can use"
                .into(),
        ));
    }
    let path = format!("/v1/forget/{}", kaos.path_of(name)?);
    let request = Request::post(path).body(Full::<Bytes>::default());
    let request = request.map_err(|error| failed(error.to_string()))?;
    let asked = async {
        let stream = UnixStream::connect(Path::new(socket)).await.map_err(|error| {
            format!("{error}; the Kaos there is asked on its own machine, by the user who runs it")
        })?;
        let response = talk(stream, "localhost", request).await?;
        let good = response.status().is_success();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        Ok((good, body.map_err(|error| error.to_string())?.to_bytes()))
    };
    let asked = timeout(ANSWER, asked).await.map_err(|_| failed("no answer within 15 s".into()))?;
    let (good, bytes) = asked.map_err(failed)?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
    if good { Ok(()) } else { Err(told(&value)) }
}

#[cfg(feature = "kubernetes")]
mod cluster {
    use std::time::Duration;

    use hyper::StatusCode;
    use kaos_core::WorkloadId;
    use kaos_kubernetes::change::{forget as forgotten, learned_place};
    use serde_json::Value;
    use tokio::time::{Instant, sleep};

    use super::super::cluster::Leader;
    use super::super::{Kaos, count, text};
    use crate::failure::Failure;

    /// Tries where somebody else writes at the same time.
    const TRIES: usize = 5;
    /// Longest wait until the autoscaler has taken it: a little longer than between two of its looks.
    const TAKING: Duration = Duration::from_secs(45);
    /// Between two looks at it.
    const LOOK: Duration = Duration::from_millis(500);

    /// Writes it down, and waits until the autoscaler that leads has taken it. Whether it has.
    pub(super) async fn forget(
        kaos: &Kaos,
        leader: &Leader,
        name: &str,
        workload: &Value,
    ) -> Result<bool, Failure> {
        let id = WorkloadId::new(text(workload, "/namespace"), text(workload, "/name"));
        let (map, _) = learned_place(&id);
        let path = format!("/api/v1/namespaces/{}/configmaps/{map}", leader.namespace());
        let known = count(workload, "/learned/forgotten");
        for _ in 0..TRIES {
            let present = leader.cluster().json(&path).await?;
            let (patch, times) = forgotten(&id, &present, known);
            match leader.cluster().merge(&path, &patch).await? {
                StatusCode::CONFLICT => {}
                status if status.is_success() => return taken(kaos, name, times).await,
                status => {
                    return Err(Failure::Failed(format!(
                        "the API server answers {status}: forgetting takes the right to get and patch ConfigMap {map} in the \
                         namespace {}",
                        leader.namespace()
                    )));
                }
            }
        }
        Err(Failure::Failed(format!(
            "ConfigMap {map} is being written by somebody else all the time; try again"
        )))
    }

    async fn taken(kaos: &Kaos, name: &str, times: u64) -> Result<bool, Failure> {
        let deadline = Instant::now() + TAKING;
        while Instant::now() < deadline {
            let workload = kaos.workload(name).await?;
            // Where the idle time is set nothing is told of what was learned.
            if workload["learned"].is_null() {
                return Ok(false);
            }
            if count(&workload, "/learned/forgotten") >= times {
                return Ok(true);
            }
            sleep(LOOK).await;
        }
        Ok(false)
    }
}
