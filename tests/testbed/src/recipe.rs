//! How a node's programs are configured, and what is made on the machine for them: a bridge and a control group.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::failure::{Failure, Trying};
use crate::process::Undo;

/// The image that holds a pod's namespaces.
pub(crate) const PAUSE: &str = "registry.local/pause:1";

/// A node's files and names.
pub(crate) struct Recipe<'a> {
    folder: &'a Path,
    /// The third number of its networks' addresses, which no other node of this machine has.
    number: u8,
    kubeconfig: PathBuf,
}

impl Recipe<'_> {
    /// A node in `folder`.
    pub(crate) fn new(folder: &Path, number: u8, kubeconfig: PathBuf) -> Recipe<'_> {
        Recipe { folder, number, kubeconfig }
    }

    /// Writes every file that the node's programs read.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let network = self.file("cni/testbed.conflist");
        fs::create_dir_all(self.file("cni")).trying(self.file("cni").display())?;
        for (file, text) in [
            (network, self.network().to_string()),
            (self.file("kubelet.json"), self.kubelet_configuration().to_string()),
            (self.file("containerd.toml"), self.containerd_configuration()),
        ] {
            fs::write(&file, text).trying(file.display())?;
        }
        Ok(())
    }

    /// The bridge that pods hang on, with the node's own address. Its link address is set: else it is the least of its
    /// pods', changes as they come and go, and those that stay send to the former one for up to a minute.
    pub(crate) fn bridge(&self) -> Result<Undo, Failure> {
        let make = r#"
            ip link add "$1" address "$3" type bridge && ip addr add "$2" dev "$1" && ip link set "$1" up"#;
        let link = format!("0a:58:0a:e0:{:02x}:01", self.number);
        let arguments = [self.interface(), format!("{}/24", self.address()), link];
        Undo::start(make, r#"ip link del "$1""#, &arguments.each_ref().map(String::as_str))
            .trying(format_args!("the bridge {}", self.interface()))
    }

    /// The control group of all pods, in every hierarchy: removed from the leaves up, when what was in it has ended.
    pub(crate) fn cgroups(&self) -> Result<Undo, Failure> {
        let make = r#"
            for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
                if [ -e "$root/cgroup.procs" ] && [ ! -L "$root" ]; then mkdir -p "$root/$1" || exit; fi
            done"#;
        let remove = r#"
            for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
                left=
                for group in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
                    if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} + || left=1; fi
                done
                [ -z "$left" ] && break
                sleep 0.1
            done"#;
        Undo::start(make, remove, &[&self.group()]).trying("a control group for pods")
    }

    /// What the scheduler is told. It is alone, so it doesn't elect.
    pub(crate) fn scheduler(&self, mut command: Command) -> Command {
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--leader-elect=false", "--secure-port=0"]);
        command
    }

    /// What the kubelet of the node `name` is told.
    pub(crate) fn kubelet(&self, mut command: Command, name: &str) -> Command {
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--config").arg(self.file("kubelet.json"));
        command.arg("--root-dir").arg(self.file("kubelet")).arg("--cert-dir").arg(self.file("kubelet-pki"));
        command.args(["--hostname-override", name, "--node-ip", &self.address()]);
        command
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn interface(&self) -> String {
        format!("kaos-testbed{}", self.number)
    }

    fn group(&self) -> String {
        format!("kaos-testbed-{}", self.number)
    }

    /// The node's own address, and pods' way to everywhere.
    fn address(&self) -> String {
        format!("10.224.{}.1", self.number)
    }

    fn network(&self) -> Value {
        json!({
            "cniVersion": "0.4.0",
            "name": "testbed",
            "plugins": [{
                "type": "bridge",
                "bridge": self.interface(),
                "isGateway": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": self.file("addresses"),
                    "ranges": [[{"subnet": format!("10.224.{}.0/24", self.number)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }],
        })
    }

    fn kubelet_configuration(&self) -> Value {
        let full = [
            "memory.available",
            "nodefs.available",
            "nodefs.inodesFree",
            "imagefs.available",
            "imagefs.inodesFree",
        ];
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address(),
            "healthzPort": 0,
            // Only this machine reaches the address.
            "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
            "authorization": {"mode": "AlwaysAllow"},
            "containerRuntimeEndpoint": format!("unix://{}", self.file("containerd.sock").display()),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", self.group()),
            "failCgroupV1": false,
            "failSwapOn": false,
            "enforceNodeAllocatable": [],
            // A test is about Kaos, not about a full disk.
            "evictionHard": full.map(|signal| (signal, "0%")).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "imageGCHighThresholdPercent": 100,
            "makeIPTablesUtilChains": false,
            "resolvConf": "",
            "podLogsDir": self.file("logs"),
            "volumePluginDir": self.file("plugins"),
        })
    }

    fn containerd_configuration(&self) -> String {
        let folder = self.folder.display();
        format!(
            r#"version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
[grpc]
address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{folder}/cni"
"#
        )
    }
}
