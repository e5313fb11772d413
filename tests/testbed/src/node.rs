//! A real node: kube-scheduler, kubelet, containerd, runc and a network of its own for pods. What runs here is what runs
//! in a cluster, apart from kube-proxy and DNS: pods reach the API server at its service address, and each other and the
//! test at their pod addresses.
//!
//! Kubelet, containerd and all containers live in a process and a mount namespace of their own: they end together, and
//! what they mount goes with them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;
use tokio::time::{Instant, sleep};

use crate::binaries::Binaries;
use crate::built::{self, run};
use crate::failure::{Failure, Trying};
use crate::machine::{NET_ADMIN, SYS_ADMIN, allows, has};
use crate::plane::ControlPlane;
use crate::process::{LOOK, Process, Undo, folder, tail};
use crate::recipe::{PAUSE, Recipe};

/// The name of the node.
const NODE: &str = "node";

/// The image whose program answers as told: `HOST=0.0.0.0` and `PORT` in its environment say where.
pub const ANSWER: &str = "registry.local/answer:1";

/// Longest wait for the node to be ready.
const READY: Duration = Duration::from_secs(60);

/// What runs in the node's namespaces: `$1` the folder, then kubelet and its flags. A kubelet that finds no containerd ends.
const RUN: &str = r#"
for place in /run /var/lib /var/log; do mount -t tmpfs tmpfs "$place" || exit; done
folder=$1; shift
containerd --config "$folder/containerd.toml" >"$folder/containerd.log" 2>&1 & containerd=$!
until [ -S "$folder/containerd.sock" ]; do kill -0 "$containerd" || exit; sleep 0.05; done
"$@" >"$folder/kubelet.log" 2>&1 &
wait
"#;

/// The programs that this machine must have, with their Debian packages.
const PROGRAMS: [(&str, &str); 9] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/lib/cni/host-local", "containernetworking-plugins"),
    ("/usr/lib/cni/loopback", "containernetworking-plugins"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
];

/// A running node. Its containers and processes end when it is dropped, and when the test dies.
pub struct Node {
    folder: PathBuf,
    // Dropped in this order: processes, then what they used.
    node: Process,
    _scheduler: Process,
    _cgroups: Undo,
    _bridge: Undo,
    _folder: Undo,
}

impl Node {
    /// Starts a node of `plane`, which must be one [for pods](ControlPlane::start_for_pods), and waits until it is ready.
    /// The image [`ANSWER`] is there.
    pub async fn start(plane: &ControlPlane) -> Result<Node, Failure> {
        let network =
            plane.network().ok_or_else(|| Failure::new("a node needs ControlPlane::start_for_pods()"))?;
        has(&PROGRAMS)?;
        allows(&[NET_ADMIN, SYS_ADMIN], "a node")?;
        let binaries = Binaries::find(&["kube-scheduler", "kubelet"])?;
        let (pause, answer) = (built::pause()?, built::answer()?);
        let (path, undo) = folder()?;
        let recipe = Recipe::new(&path, network, plane.kubeconfig(plane.admin())?);
        recipe.write()?;
        let bridge = recipe.bridge()?;
        let cgroups = recipe.cgroups()?;
        let scheduler = recipe.scheduler(binaries.command("kube-scheduler")?);
        let scheduler = Process::start("kube-scheduler", &scheduler, &path.join("kube-scheduler.log"))?;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", RUN, "node"])
            .arg(&path);
        let kubelet = recipe.kubelet(binaries.command("kubelet")?, NODE);
        command.arg(kubelet.get_program()).args(kubelet.get_args());
        let process = Process::start("the node", &command, &path.join("node.log"))?;
        let mut node = Node {
            folder: path,
            node: process,
            _scheduler: scheduler,
            _cgroups: cgroups,
            _bridge: bridge,
            _folder: undo,
        };
        node.containerd_ready().await?;
        node.image(PAUSE, &pause)?;
        node.image(ANSWER, &answer)?;
        node.ready(plane).await?;
        Ok(node)
    }

    /// Makes the image `name` of the static `program`, by `kaos image`, for pods that don't pull it always.
    pub fn image(&self, name: &str, program: &Path) -> Result<(), Failure> {
        self.make(program, &["--name", name])
    }

    /// Makes Kaos's own image of these sources, under the name that `kaos install` prints.
    pub fn kaos(&self) -> Result<(), Failure> {
        self.make(&built::kaos_for_images()?, &[])
    }

    fn make(&self, program: &Path, arguments: &[&str]) -> Result<(), Failure> {
        let file = self.folder.join("image.tar");
        let mut kaos = Command::new(built::kaos()?);
        run(kaos.arg("image").arg(program).arg("--to").arg(&file).args(arguments))?;
        self.import(&file)
    }

    /// Brings in the images of a tar of an OCI image layout, by their annotations `io.containerd.image.name`.
    pub fn import(&self, layout: &Path) -> Result<(), Failure> {
        run(self.ctr().args(["--namespace", "k8s.io", "images", "import"]).arg(layout))
    }

    fn ctr(&self) -> Command {
        let mut ctr = Command::new("ctr");
        ctr.arg("--address").arg(self.folder.join("containerd.sock"));
        ctr
    }

    async fn containerd_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + READY;
        while run(self.ctr().arg("version")).is_err() {
            self.check(deadline, "containerd")?;
            sleep(LOOK * 5).await;
        }
        Ok(())
    }

    async fn ready(&mut self, plane: &ControlPlane) -> Result<(), Failure> {
        let nodes: Api<NodeObject> = Api::all(plane.client(plane.admin()).await?);
        let deadline = Instant::now() + READY;
        loop {
            let node = nodes.get_opt(NODE).await.trying("the Node")?;
            let conditions = node.and_then(|node| node.status?.conditions).unwrap_or_default();
            if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
                return Ok(());
            }
            self.check(deadline, "kubelet")?;
            sleep(LOOK * 5).await;
        }
    }

    /// A failure, if the node has ended or the time is up, with the last words of `program`.
    fn check(&mut self, deadline: Instant, program: &str) -> Result<(), Failure> {
        self.node.check()?;
        if Instant::now() < deadline {
            return Ok(());
        }
        let said = tail(&self.folder.join(format!("{program}.log")));
        Err(Failure::new(format!("{program} isn't ready after {READY:?}. It wrote:\n{said}")))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for program in ["containerd", "kubelet"] {
                eprintln!("--- {program} wrote\n{}", tail(&self.folder.join(format!("{program}.log"))));
            }
        }
    }
}
