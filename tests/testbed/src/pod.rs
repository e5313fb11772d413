//! The life of one played pod: bound, given an address, run, probed, restarted, ended. Its program is a real process.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures::future::pending;
use k8s_openapi::api::core::v1::{Binding, Container, EnvVar, ObjectReference, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::addresses::{Lease, Network};
use crate::failure::Failure;
use crate::plane::named;
use crate::probe::Readiness;
use crate::process::{LOOK, Process};
use crate::status::{Containers, status, unschedulable};

/// How a kubelet treats pods, beyond what their spec says. The default: at once, and well.
#[derive(Clone, Debug, Default)]
pub struct Behaviour {
    /// From the pod's appearance until it is bound to the node.
    pub bind_after: Duration,
    /// From then until it has an address and its program starts.
    pub address_after: Duration,
    /// From the program's start until the readiness probe is first tried, beyond the probe's own delay.
    pub ready_after: Duration,
    /// How it ends.
    pub fate: Fate,
    /// Whether it gets the address that another pod gave back last, as late as possible otherwise.
    pub reuse_address: bool,
    /// What it runs, if not the program that answers as told.
    pub program: Option<PathBuf>,
}

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// Its program runs and its own readiness probe decides.
    #[default]
    Runs,
    /// No node takes it.
    Unschedulable,
    /// Its image can't be had: it never has an address.
    ImagePullBackOff,
    /// Its program exits with 1, again and again.
    Crashes,
    /// Its program runs and answers, and its readiness probe never succeeds.
    NeverReady,
}

/// From the end of a program to its next start. The real kubelet waits 10 s, then longer.
const RESTART: Duration = Duration::from_secs(1);

/// From a failed call to the next try: the API server may be away.
pub(crate) const AGAIN: Duration = Duration::from_millis(100);

/// What all pods of a kubelet share.
pub(crate) struct Station {
    pub(crate) pods: Api<Pod>,
    pub(crate) node: String,
    pub(crate) network: Arc<Network>,
    pub(crate) program: PathBuf,
    pub(crate) folder: PathBuf,
}

/// One pod and what it holds of the machine.
pub(crate) struct Played {
    station: Arc<Station>,
    pod: Pod,
    behaviour: Behaviour,
    running: watch::Sender<Option<u32>>,
    lease: Option<Lease>,
    process: Option<Process>,
}

impl Played {
    /// A pod that has just appeared. `running` says the id of its process.
    pub(crate) fn new(
        station: Arc<Station>,
        pod: Pod,
        behaviour: Behaviour,
        running: watch::Sender<Option<u32>>,
    ) -> Played {
        Played { station, pod, behaviour, running, lease: None, process: None }
    }

    /// Lives until it is deleted with a grace.
    pub(crate) async fn play(mut self, mut deleted: watch::Receiver<Option<Duration>>) {
        let grace = tokio::select! {
            Ok(grace) = deleted.wait_for(Option::is_some) => grace.unwrap_or_default(),
            never = self.live() => match never {},
        };
        self.end(grace).await;
    }

    fn name(&self) -> &str {
        self.pod.metadata.name.as_deref().unwrap_or_default()
    }

    async fn live(&mut self) -> Infallible {
        sleep(self.behaviour.bind_after).await;
        let container = match self.placed() {
            Ok(lease) => {
                self.lease = Some(lease);
                self.bind().await;
                self.say(waiting("ContainerCreating", ""), 0, Timestamp::now()).await;
                sleep(self.behaviour.address_after).await;
                self.container()
            }
            Err(message) => {
                self.patch(unschedulable(message)).await;
                pending().await
            }
        };
        match container {
            Ok((container, readiness)) => self.run(&container, &readiness).await,
            Err(waiting) => {
                self.say(waiting, 0, Timestamp::now()).await;
                pending().await
            }
        }
    }

    fn placed(&self) -> Result<Lease, &'static str> {
        if self.behaviour.fate == Fate::Unschedulable {
            return Err("0/1 nodes are available: 1 Insufficient cpu.");
        }
        self.station
            .network
            .lease(self.behaviour.reuse_address)
            .ok_or("0/1 nodes are available: 1 Too many pods.")
    }

    /// The only container and its probe, or why there is none.
    fn container(&self) -> Result<(Container, Readiness), Containers> {
        if self.behaviour.fate == Fate::ImagePullBackOff {
            return Err(waiting("ImagePullBackOff", "Back-off pulling image"));
        }
        let refused = |why: &str| waiting("CreateContainerConfigError", why);
        let containers = self.pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
        let [container] = containers else {
            return Err(refused("a played kubelet runs one container per pod"));
        };
        let readiness = Readiness::of(container).map_err(|failure| refused(&failure.to_string()))?;
        Ok((container.clone(), readiness))
    }

    async fn run(&mut self, container: &Container, readiness: &Readiness) -> Infallible {
        let mut restarts = 0;
        loop {
            let started = Timestamp::now();
            let code = match self.start(container) {
                Ok(process) => {
                    self.running.send_replace(Some(process.pid()));
                    self.process = Some(process);
                    let code = self.watch(readiness, restarts, started).await;
                    self.running.send_replace(None);
                    self.process = None;
                    code
                }
                Err(failure) => {
                    self.say(waiting("RunContainerError", &failure.to_string()), restarts, started).await;
                    pending().await
                }
            };
            if let Some(address) = self.lease.as_ref().map(Lease::address) {
                self.say(Containers::Crashed { address, code }, restarts, started).await;
            }
            sleep(RESTART).await;
            restarts += 1;
        }
    }

    fn start(&self, container: &Container) -> Result<Process, Failure> {
        let port = container.ports.iter().flatten().next().map_or(8080, |port| port.container_port);
        let address = self.lease.as_ref().map(Lease::address).ok_or_else(|| Failure::new("no address"))?;
        let mut command = Command::new(self.behaviour.program.as_ref().unwrap_or(&self.station.program));
        command.args(container.args.iter().flatten());
        if self.behaviour.fate == Fate::Crashes {
            command.args(["--exit", "1"]);
        }
        for variable in container.env.iter().flatten() {
            let said = variable.value.as_deref().or_else(|| self.field(variable)).unwrap_or_default();
            command.env(&variable.name, said);
        }
        command.env("HOST", address.to_string()).env("PORT", port.to_string());
        Process::start(self.name(), &command, &self.station.folder.join(format!("{}.log", self.name())))
    }

    /// The field of its pod that a variable is to have, of those that are known here.
    fn field(&self, variable: &EnvVar) -> Option<&str> {
        match variable.value_from.as_ref()?.field_ref.as_ref()?.field_path.as_str() {
            "metadata.name" => self.pod.metadata.name.as_deref(),
            "metadata.namespace" => self.pod.metadata.namespace.as_deref(),
            _ => None,
        }
    }

    /// Probes until the program ends. Its exit code.
    async fn watch(&mut self, readiness: &Readiness, restarts: u32, started: Timestamp) -> i32 {
        let Some(address) = self.lease.as_ref().map(Lease::address) else { return -1 };
        let delay = readiness.initial_delay + self.behaviour.ready_after;
        let (mut ready, mut said, mut streak) = (false, None, 0);
        let mut next = Instant::now() + delay;
        loop {
            if Instant::now() >= next {
                let success = self.behaviour.fate != Fate::NeverReady && readiness.succeeds(address).await;
                streak = if success == ready { 0 } else { streak + 1 };
                if streak >= if ready { readiness.failures } else { readiness.successes } {
                    (ready, streak) = (success, 0);
                }
                next = Instant::now() + readiness.period;
            }
            if said != Some(ready) {
                self.say(Containers::Running { address, ready }, restarts, started).await;
                said = Some(ready);
            }
            if let Some(status) = self.process.as_mut().and_then(Process::ended) {
                return status.code().unwrap_or(-1);
            }
            sleep_until(next.min(Instant::now() + LOOK)).await;
        }
    }

    async fn end(mut self, grace: Duration) {
        if let Some(process) = &mut self.process {
            process.signal(Signal::TERM);
            let deadline = Instant::now() + grace;
            while process.ended().is_none() && Instant::now() < deadline {
                sleep(LOOK).await;
            }
        }
        self.process = None;
        self.running.send_replace(None);
        self.lease = None;
        let uid = self.pod.metadata.uid.clone();
        let now = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid, resource_version: None }),
            ..DeleteParams::default()
        };
        let (pods, name, now) = (&self.station.pods, self.name(), &now);
        until_heard(|| async move { pods.delete(name, now).await.map(drop) }).await;
    }

    async fn bind(&self) {
        let binding = Binding {
            metadata: named(self.name()),
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(self.station.node.clone()),
                ..ObjectReference::default()
            },
        };
        let (pods, name, binding) = (&self.station.pods, self.name(), &binding);
        let post = &PostParams::default();
        until_heard(|| async move {
            pods.create_subresource::<_, Value>("binding", name, post, binding).await.map(drop)
        })
        .await;
    }

    async fn say(&self, containers: Containers, restarts: u32, started: Timestamp) {
        self.patch(status(&self.pod, &containers, restarts, started)).await;
    }

    async fn patch(&self, patch: Value) {
        let (pods, name, patch) = (&self.station.pods, self.name(), &Patch::Merge(patch));
        let owner = &PatchParams::default();
        until_heard(|| async move { pods.patch_status(name, owner, patch).await.map(drop) }).await;
    }
}

fn waiting(reason: &'static str, message: &str) -> Containers {
    Containers::Waiting { reason, message: message.to_owned() }
}

/// Calls until the API server has answered: it may be away for a while. A refusal is an answer; the watch says why.
async fn until_heard<F: Future<Output = Result<(), kube::Error>>>(call: impl Fn() -> F) {
    while let Err(error) = call().await {
        match error {
            kube::Error::Api(status) if status.code < 500 && status.code != 429 => return,
            _ => sleep(AGAIN).await,
        }
    }
}
