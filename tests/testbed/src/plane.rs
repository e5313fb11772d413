//! A control plane: etcd, kube-apiserver and kube-controller-manager on an address of their own, in a folder of their own,
//! for as long as the test lives. No pod runs by it alone.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rustix::process::Signal;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::addresses::Network;
use crate::audit::{Audit, AuditEntry};
use crate::binaries::Binaries;
use crate::eventually::{PATIENCE, eventually};
use crate::failure::{Failure, Trying};
use crate::process::{LOOK, Process, Undo, folder};
use crate::programs::{Audience, Layout, log};

/// Control planes that this process has started.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running control plane. Its processes end and its folder goes when it is dropped, and when the test dies.
pub struct ControlPlane {
    layout: Layout,
    binaries: Binaries,
    // Dropped in this order: who asks before who is asked, the folder last.
    controllers: Process,
    api: Mutex<Option<Process>>,
    etcd: Process,
    _folder: Undo,
}

impl ControlPlane {
    /// Starts a control plane and waits until its API server is ready. Programs of this machine reach it, as any user.
    pub async fn start() -> Result<ControlPlane, Failure> {
        ControlPlane::start_for(Audience::Machine(address())).await
    }

    /// Starts a control plane that pods of a real [`Node`](crate::Node) reach as in every cluster: at the address of the
    /// service `kubernetes`, with their service account's token. As root with CAP_NET_ADMIN.
    pub async fn start_for_pods() -> Result<ControlPlane, Failure> {
        ControlPlane::start_for(Audience::Pods(Network::take(223)?)).await
    }

    async fn start_for(audience: Audience) -> Result<ControlPlane, Failure> {
        // Blocks for minutes where there is nothing yet: no test has anything else to do then.
        let binaries = Binaries::find(&["etcd", "kube-apiserver", "kube-controller-manager"])?;
        let (path, undo) = folder()?;
        let layout = Layout::new(path, audience)?;
        let etcd =
            Process::start("etcd", &layout.etcd(binaries.command("etcd")?), &log(&layout.folder, "etcd"))?;
        let mut api = api(&layout, &binaries)?;
        ready(&layout, &mut api).await?;
        let controllers = layout.controllers(binaries.command("kube-controller-manager")?);
        let controllers = Process::start(
            "kube-controller-manager",
            &controllers,
            &log(&layout.folder, "kube-controller-manager"),
        )?;
        Ok(ControlPlane { layout, binaries, controllers, api: Mutex::new(Some(api)), etcd, _folder: undo })
    }

    /// The control plane that all tests of this binary share: started by the first who asks. Panics if it can't be.
    #[expect(clippy::expect_used, reason = "a test without its control plane has failed")]
    pub async fn shared() -> &'static ControlPlane {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(ControlPlane::start).await.expect("a control plane")
    }

    /// The token of a member of `system:masters`, who may do everything.
    pub fn admin(&self) -> &str {
        &self.layout.token
    }

    /// A token of the service account `name` in `namespace`, which is made if it isn't there: what RBAC binds to
    /// `system:serviceaccount:NAMESPACE:NAME` and its groups. Valid for an hour.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<String, Failure> {
        let what = format!("a token of service account {namespace}/{name}");
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(self.admin()).await?, namespace);
        let account = ServiceAccount { metadata: named(name), ..ServiceAccount::default() };
        match accounts.create(&PostParams::default(), &account).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            other => drop(other.trying(&what)?),
        }
        let request = TokenRequest { spec: Some(TokenRequestSpec::default()), ..TokenRequest::default() };
        let made =
            accounts.create_token_request(name, &PostParams::default(), &request).await.trying(&what)?;
        made.status
            .and_then(|status| status.token)
            .ok_or_else(|| Failure::new(format!("{what}: the answer has none")))
    }

    /// A client with this token. It lives with the runtime of the calling test: make one in each.
    pub async fn client(&self, token: &str) -> Result<Client, Failure> {
        client(&self.layout, token).await
    }

    /// A kubeconfig with this token, for kubectl and for Kaos as a process. The file goes with the control plane.
    pub fn kubeconfig(&self, token: &str) -> Result<PathBuf, Failure> {
        static WRITTEN: AtomicU32 = AtomicU32::new(0);
        let path = self.layout.file(&format!("{}.kubeconfig", WRITTEN.fetch_add(1, Ordering::Relaxed)));
        fs::write(&path, self.layout.kubeconfig(token)).trying(path.display())?;
        Ok(path)
    }

    /// The API server's address, as `https://HOST:PORT`.
    pub fn server(&self) -> String {
        self.layout.server()
    }

    /// A new namespace whose name begins with `name`. Its name.
    pub async fn namespace(&self, name: &str) -> Result<String, Failure> {
        let namespaces: Api<Namespace> = Api::all(self.client(self.admin()).await?);
        let metadata = ObjectMeta { generate_name: Some(format!("{name}-")), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let made = namespaces.create(&PostParams::default(), &namespace).await.trying("a namespace")?;
        let name = made.metadata.name.ok_or_else(|| Failure::new("a namespace without a name was made"))?;
        if self.network().is_some() {
            // No pod is admitted before this account is there.
            let accounts: Api<ServiceAccount> = Api::namespaced(self.client(self.admin()).await?, &name);
            eventually("the namespace's service account", async || accounts.get_opt("default").await.ok()?)
                .await;
        }
        Ok(name)
    }

    /// The number of the network that real pods reach this by; none if they can't.
    pub(crate) fn network(&self) -> Option<u8> {
        match &self.layout.audience {
            Audience::Machine(_) => None,
            Audience::Pods(services) => Some(services.number()),
        }
    }

    /// What the API server was asked so far, and `filter` wants, in the order of its answers.
    pub fn audit(&self, filter: impl Fn(&AuditEntry) -> bool) -> Vec<AuditEntry> {
        Audit(self.layout.file("audit.log")).entries(filter)
    }

    /// Kills the API server: connections break, nobody listens. No effect if it is down.
    pub fn stop_api_server(&self) {
        self.api.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Starts the API server again, on the same address with the same data, and waits until it is ready. No effect if it
    /// is up.
    pub async fn start_api_server(&self) -> Result<(), Failure> {
        if self.api.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut started = api(&self.layout, &self.binaries)?;
        let ready = ready(&self.layout, &mut started).await;
        *self.api.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        ready
    }

    /// Stops the API server without ending it: connections stay, are even accepted, and nothing is answered.
    pub fn pause_api_server(&self) {
        self.signal_api_server(Signal::STOP);
    }

    /// Lets a paused API server go on. What was asked meanwhile is answered, late.
    pub fn resume_api_server(&self) {
        self.signal_api_server(Signal::CONT);
    }

    fn signal_api_server(&self, signal: Signal) {
        if let Some(api) = self.api.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            api.signal(signal);
        }
    }

    /// The processes by name, each with its id and its resident memory in bytes. The API server is left out while it is
    /// down.
    pub fn processes(&self) -> Vec<(&'static str, u32, u64)> {
        let api = self.api.lock().unwrap_or_else(PoisonError::into_inner);
        let all = [
            ("etcd", Some(&self.etcd)),
            ("kube-apiserver", api.as_ref()),
            ("kube-controller-manager", Some(&self.controllers)),
        ];
        all.into_iter()
            .filter_map(|(name, process)| Some((name, process?.pid(), process?.memory())))
            .collect()
    }
}

/// Metadata with this name alone.
pub(crate) fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

/// A loopback address for one control plane: by the process, so that ports on it are free for others' programs.
fn address() -> Ipv4Addr {
    let [_, a, b, c] = (process::id() * 4 + STARTED.fetch_add(1, Ordering::Relaxed)).to_be_bytes();
    Ipv4Addr::new(127, a | 64, b, c)
}

fn api(layout: &Layout, binaries: &Binaries) -> Result<Process, Failure> {
    let command = layout.api(binaries.command("kube-apiserver")?);
    Process::start("kube-apiserver", &command, &log(&layout.folder, "kube-apiserver"))
}

async fn client(layout: &Layout, token: &str) -> Result<Client, Failure> {
    let kubeconfig: Kubeconfig = serde_json::from_str(&layout.kubeconfig(token)).trying("a kubeconfig")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    config.trying("a kubeconfig").and_then(|config| Client::try_from(config).trying("a client"))
}

/// Waits until the API server says that it is ready.
async fn ready(layout: &Layout, api: &mut Process) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        api.check()?;
        // Made anew: the certificate is written while it starts.
        if layout.certificate().exists()
            && let Ok(client) = client(layout, &layout.token).await
        {
            let request = http::Request::get("/readyz").body(Vec::new()).trying("a request")?;
            if client.request_text(request).await.is_ok() {
                return Ok(());
            }
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(format!(
                "kube-apiserver isn't ready after {PATIENCE:?}. It wrote:\n{}",
                api.last_words()
            )));
        }
        sleep(LOOK * 5).await;
    }
}
