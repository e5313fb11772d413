//! Kaos as it runs in a cluster, its parts as processes of this machine: under the accounts and rights that `kaos install`
//! gives them, and no others.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kaos_testbed::{AuditEntry, ControlPlane, ObjectReference, eventually};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

#[allow(unused_imports, reason = "each test file uses a part of it")]
pub use super::ask::{Answer, ask, ask_for};

/// The program: built beside the tests.
pub fn program() -> PathBuf {
    let beside = std::env::current_exe().unwrap();
    let path = beside.parent().and_then(Path::parent).unwrap().join("kaos");
    assert!(path.exists(), "{} is not there: cargo build -p kaos", path.display());
    path
}

/// One running part.
pub struct Part {
    pub name: String,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    /// From its start until it was ready.
    pub ready_after: Duration,
    namespace: String,
    began: Instant,
    process: Child,
}

impl Part {
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended. Its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        eventually(&format!("{} has ended", self.name), async || self.process.try_wait().unwrap())
            .await
            .code()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What its admin port answers to a GET of `path`: status and body.
    pub async fn admin(&self, path: &str) -> Option<(u16, String)> {
        let answer = ask(self.admin, "localhost", path).await?;
        Some((answer.status, answer.body))
    }

    async fn is_ready(&mut self) {
        eventually(&format!("{} is ready", self.name), async || {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "{} has ended with {ended:?}", self.name);
            (self.admin("/readyz").await?.0 == 200).then_some(())
        })
        .await;
        self.ready_after = self.began.elapsed();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Proxies and autoscalers of one cluster.
pub struct Kaos {
    pub proxies: Vec<Part>,
    pub autoscalers: Vec<Part>,
    system: String,
    /// By part: a token of its own, and the kubeconfig with it.
    accounts: BTreeMap<String, (String, PathBuf)>,
    peers: [String; 2],
    /// What each proxy is told beside the usual.
    flags: Vec<String>,
    /// The class of Ingresses and of Gateways that all are told to serve.
    class: Option<String>,
}

/// Ports that no system gives away by itself (Linux: from 32768), nor Kubernetes to a Service (from 30000): what is free stays so
/// until the part that it is for listens there, though other scenes of this process begin meanwhile.
const PORTS: std::ops::Range<u16> = 12_000..30_000;

/// A free port of this machine that nobody else in this process is given.
fn free() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Other processes begin elsewhere.
    let first = std::process::id().wrapping_mul(97);
    let next =
        || first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % u32::from(PORTS.end - PORTS.start);
    let ports = PORTS.map(|_| PORTS.start + u16::try_from(next()).unwrap());
    let mut addresses = ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    addresses.find(|address| TcpListener::bind(address).is_ok()).unwrap()
}

impl Kaos {
    /// Installs Kaos in a namespace of its own and starts so many of each part for the workloads of `namespace` (empty: of
    /// all). Returns when all of them are ready.
    pub async fn start(plane: &ControlPlane, namespace: &str, proxies: usize, autoscalers: usize) -> Kaos {
        let client = plane.client(plane.admin()).await.unwrap();
        let system = plane.namespace("kaos").await.unwrap();
        install(&client, printed(&program(), &["--namespace", &system])).await;
        Kaos::start_in(plane, system, namespace, proxies, autoscalers).await
    }

    /// The same in the namespace `system`, where Kaos is installed already.
    pub async fn start_in(
        plane: &ControlPlane,
        system: String,
        namespace: &str,
        proxies: usize,
        autoscalers: usize,
    ) -> Kaos {
        Kaos::start_with(plane, system, namespace, [proxies, autoscalers], Vec::new()).await
    }

    /// The same with more flags for each proxy; so many proxies and autoscalers.
    pub async fn start_with(
        plane: &ControlPlane,
        system: String,
        namespace: &str,
        parts: [usize; 2],
        flags: Vec<String>,
    ) -> Kaos {
        Kaos::begin(plane, system, namespace, parts, flags, (None, None)).await
    }

    /// A proxy that takes requests here, with these flags, and an autoscaler, for all namespaces.
    pub async fn start_at(
        plane: &ControlPlane,
        system: String,
        listen: SocketAddr,
        flags: Vec<String>,
    ) -> Kaos {
        Kaos::begin(plane, system, "", [1, 1], flags, (None, Some(listen))).await
    }

    /// One proxy and one autoscaler in the namespace `system`, where Kaos is installed already, that are told the class of
    /// the Ingresses and Gateways they serve, as where they may read no classes.
    pub async fn start_told(plane: &ControlPlane, system: String, namespace: &str, class: &str) -> Kaos {
        Kaos::begin(plane, system, namespace, [1, 1], Vec::new(), (Some(class.to_owned()), None)).await
    }

    async fn begin(
        plane: &ControlPlane,
        system: String,
        namespace: &str,
        [proxies, autoscalers]: [usize; 2],
        flags: Vec<String>,
        (class, listen): (Option<String>, Option<SocketAddr>),
    ) -> Kaos {
        let mut accounts = BTreeMap::new();
        let parts = (0..proxies).map(|at| ("proxy", at)).chain((0..autoscalers).map(|at| ("autoscaler", at)));
        for (kind, at) in parts {
            let token = plane.service_account(&system, &format!("kaos-{kind}")).await.unwrap();
            let kubeconfig = plane.kubeconfig(&token).unwrap();
            accounts.insert(format!("{kind}-{at}"), (token, kubeconfig));
        }
        let places: Vec<[SocketAddr; 2]> =
            (0..proxies).map(|_| [listen.unwrap_or_else(free), free()]).collect();
        let peers = [0, 1].map(|which| {
            let peer = |(at, places): (usize, &[SocketAddr; 2])| format!("proxy-{at}={}", places[which]);
            places.iter().enumerate().map(peer).collect::<Vec<_>>().join(",")
        });
        let (all, none) = (Vec::new(), Vec::new());
        let mut kaos = Kaos { proxies: all, autoscalers: none, system, accounts, peers, flags, class };
        for (at, [listen, admin]) in places.into_iter().enumerate() {
            let part = kaos.run("proxy", at, listen, admin, namespace);
            kaos.proxies.push(part);
        }
        for at in 0..autoscalers {
            let admin = free();
            let part = kaos.run("autoscaler", at, admin, admin, namespace);
            kaos.autoscalers.push(part);
        }
        let all = kaos.proxies.iter_mut().chain(&mut kaos.autoscalers);
        join_all(all.map(Part::is_ready)).await;
        kaos
    }

    /// Starts one more proxy or autoscaler, at these addresses: it finds the proxies by their headless Service, as in a
    /// cluster. A proxy is ready once it is listed there.
    pub async fn join(&mut self, plane: &ControlPlane, kind: &str, at: [SocketAddr; 2], namespace: &str) {
        self.peers = ["kaos-proxy-peers", "kaos-proxy-peers"].map(str::to_owned);
        let all = if kind == "proxy" { self.proxies.len() } else { self.autoscalers.len() };
        let token = plane.service_account(&self.system, &format!("kaos-{kind}")).await.unwrap();
        let kubeconfig = plane.kubeconfig(&token).unwrap();
        self.accounts.insert(format!("{kind}-{all}"), (token, kubeconfig));
        let part = self.run(kind, all, at[0], at[1], namespace);
        if kind == "proxy" { self.proxies.push(part) } else { self.autoscalers.push(part) }
    }

    /// Starts one more autoscaler, which is asked for external metrics at the address that is returned.
    pub async fn join_asked(&mut self, plane: &ControlPlane, namespace: &str) -> SocketAddr {
        let at = self.autoscalers.len();
        let token = plane.service_account(&self.system, "kaos-autoscaler").await.unwrap();
        let kubeconfig = plane.kubeconfig(&token).unwrap();
        self.accounts.insert(format!("autoscaler-{at}"), (token, kubeconfig));
        let asked = free();
        let mut part = self.run("autoscaler", at, asked, free(), namespace);
        part.is_ready().await;
        self.autoscalers.push(part);
        asked
    }

    /// Kills the proxy `at`, starts it again in its place, and waits until it is ready.
    pub async fn restart_proxy(&mut self, at: usize) {
        let old = &self.proxies[at];
        let (listen, admin, namespace) = (old.listen, old.admin, old.namespace.clone());
        old.signal(Signal::KILL);
        self.proxies[at].ended().await;
        self.proxies[at] = self.run("proxy", at, listen, admin, &namespace);
        self.proxies[at].is_ready().await;
    }

    /// Kills the autoscaler `at`, starts it again in its place, and waits until it is ready.
    pub async fn restart_autoscaler(&mut self, at: usize) {
        let old = &self.autoscalers[at];
        let (listen, admin, namespace) = (old.listen, old.admin, old.namespace.clone());
        old.signal(Signal::KILL);
        self.autoscalers[at].ended().await;
        self.autoscalers[at] = self.run("autoscaler", at, listen, admin, &namespace);
        self.autoscalers[at].is_ready().await;
    }

    fn run(&self, kind: &str, at: usize, listen: SocketAddr, admin: SocketAddr, namespace: &str) -> Part {
        let name = format!("{kind}-{at}");
        let mut command = Command::new(program());
        command.arg(kind).args(["--admin", &admin.to_string(), "--id", &name, "--any-host"]);
        command.args(["--system-namespace", &self.system]);
        if !namespace.is_empty() {
            command.args(["--namespace", namespace]);
        }
        if let Some(class) = &self.class {
            command.args(["--ingress-class", class, "--gateway-class", class]);
        }
        match kind {
            "proxy" => {
                command.args(["--listen", &listen.to_string(), "--peers", &self.peers[0]]);
                command.args(["--shutdown-delay", "1s"]).args(&self.flags);
            }
            _ => {
                command.args(["--peers", &self.peers[1]]);
                // Most are asked for nothing but what the admin port has.
                if listen != admin {
                    command.args(["--listen-external-metrics", &listen.to_string()]);
                }
            }
        }
        command.arg("--kubeconfig").arg(&self.accounts[&name].1).stdin(Stdio::null()).stdout(Stdio::null());
        let began = Instant::now();
        let process = command.spawn().unwrap();
        let namespace = namespace.to_owned();
        Part { name, listen, admin, ready_after: Duration::ZERO, namespace, began, process }
    }

    /// GET `path` of `host` at the proxy `at`.
    pub async fn get(&self, at: usize, host: &str, path: &str) -> Option<Answer> {
        ask(self.proxies[at].listen, host, path).await
    }

    /// What the audit log calls the token of the part `name`.
    pub async fn credential(&self, client: &Client, name: &str) -> String {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "spec": {"token": self.accounts[name].0}});
        let request = http::Request::post("/apis/authentication.k8s.io/v1/tokenreviews");
        let request = request.header("content-type", "application/json");
        let review: Value =
            client.request(request.body(review.to_string().into_bytes()).unwrap()).await.unwrap();
        let id = &review["status"]["user"]["extra"]["authentication.kubernetes.io/credential-id"][0];
        id.as_str().unwrap().to_owned()
    }

    /// The namespace it was installed in.
    pub fn system(&self) -> &str {
        &self.system
    }
}

/// Applies what `kaos install` prints, but for what runs as pods: there is nobody here to run them.
pub async fn install(client: &Client, objects: Vec<Value>) {
    for object in objects {
        let kind = object["kind"].as_str().unwrap();
        if matches!(kind, "Deployment" | "Namespace" | "PodDisruptionBudget" | "NetworkPolicy") {
            continue;
        }
        apply(client, &object).await;
    }
}

/// The objects that `kaos install`, of this program, prints.
pub fn printed(program: &Path, arguments: &[&str]) -> Vec<Value> {
    let printed = Command::new(program).arg("install").args(arguments).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    serde_saphyr::from_multiple(&String::from_utf8(printed.stdout).unwrap()).unwrap()
}

/// Installs Gateway API, and waits until it is served.
pub async fn gateway_api(client: &Client) {
    for text in kaos_testbed::gateway_resources().unwrap() {
        apply(client, &serde_saphyr::from_str(&text).unwrap()).await;
    }
    // Each kind comes by itself.
    for kind in ["v1/gatewayclasses", "v1/gateways", "v1/httproutes", "v1beta1/referencegrants"] {
        eventually("Gateway API is served", async || {
            let path = format!("/apis/gateway.networking.k8s.io/{kind}");
            client.request::<Value>(http::Request::get(path).body(Vec::new()).unwrap()).await.ok()
        })
        .await;
    }
}

/// The GatewayClass that Kaos serves.
pub async fn gateway_class(client: &Client) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/gatewayclass/gateway-class.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    apply(client, &serde_saphyr::from_str(&text).unwrap()).await;
}

/// Server-side apply of one object.
pub async fn apply(client: &Client, object: &Value) {
    apply_as(client, "test", object).await;
}

/// The same under the name of somebody else.
pub async fn apply_as(client: &Client, manager: &str, object: &Value) {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap().to_owned();
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let root = if version.contains('/') { "apis" } else { "api" };
    let namespace = match object.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(namespace) => format!("namespaces/{namespace}/"),
        None => String::new(),
    };
    let plural = match kind.to_lowercase() {
        kind if kind.ends_with('y') && !kind.ends_with("ay") => format!("{}ies", kind.trim_end_matches('y')),
        kind if kind.ends_with('s') => format!("{kind}es"),
        kind => format!("{kind}s"),
    };
    let path = format!("/{root}/{version}/{namespace}{plural}/{name}?fieldManager={manager}&force=true");
    let request = http::Request::patch(path).header("content-type", "application/apply-patch+yaml");
    client.request::<Value>(request.body(object.to_string().into_bytes()).unwrap()).await.unwrap();
}

/// Annotates the Deployment `shop`.
pub async fn annotate(client: &Client, namespace: &str, annotations: Value) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    deployments.patch("shop", &PatchParams::default(), &patch).await.unwrap();
}

/// Waits until `shop` is asked to have this many replicas.
pub async fn wanted(client: &Client, namespace: &str, count: i32) {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    eventually(&format!("{count} replicas are wanted"), async || {
        let shop = deployments.get("shop").await.ok()?;
        (shop.spec.replicas == Some(count)).then_some(())
    })
    .await;
}

/// Whether this is a write by Kaos to the count of a Deployment of `namespace`.
pub fn is_scaling(entry: &AuditEntry, namespace: &str) -> bool {
    let of_scale = |of: &ObjectReference| of.namespace == namespace && of.subresource == "scale";
    entry.verb == "patch"
        && entry.user.username.ends_with(":kaos-autoscaler")
        && entry.object_ref.as_ref().is_some_and(of_scale)
}
