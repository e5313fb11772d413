//! The life of `kaos up`: bind, start, serve, drain, stop.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaos_autoscaler::{Inputs, Journal, ORDERS, Order};
use kaos_core::{EndpointUid, Policy, ProxyId, Report, Snapshot, WorkloadId};
use kaos_local::{Launcher, Local};
use kaos_proxy::{Bound, Proxy};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;

use super::reload::Watched;
use super::state;
use super::status::Status;
use super::{DRAIN, output};
use crate::access_log::{self, Opened, Writing};
use crate::admin::{self, Check, Control, Data, Desk};
use crate::cli::GUARDIAN;
use crate::clock::Clock;
use crate::config::{Chosen, Config, Function};
use crate::failure::Failure;
use crate::instance::{Instance, Registered, VERSION, control, register};
use crate::keeping::Keeping;
use crate::process::part::vital;
use crate::process::signals::{Signals, Told};
use crate::process::terminal::Terminal;
use crate::process::{memory, ports};
use crate::report::{Heard, Hub};
use crate::tell;
use crate::tls::{self, Kept};

/// The name of the only proxy of this machine.
const PROXY: &str = "local";

/// What is to be run.
pub(crate) struct Run {
    /// The configuration and where it came from.
    pub(crate) chosen: Chosen,
    /// The policy where nothing is said.
    pub(crate) base: Policy,
    /// CPU cores.
    pub(crate) cores: usize,
    /// Where logs go.
    pub(crate) terminal: Terminal,
    /// Whether stdout begins with a line of JSON.
    pub(crate) json: bool,
}

/// What runs.
struct Running {
    local: Arc<Local>,
    proxy: Arc<Proxy>,
    autoscaler: AbortHandle,
    keeping: Option<Keeping>,
    draining: watch::Sender<bool>,
    reload: mpsc::Sender<()>,
    access_log: Option<Writing>,
    /// The file where the other commands find this Kaos.
    _registered: Option<Registered>,
}

impl Run {
    /// Runs until a signal ends it.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let origin = Instant::now();
        let clock = Clock::new(origin);
        let settings = &self.chosen.config.settings;
        let drain = settings.drain_timeout.unwrap_or(DRAIN);
        let mut signals = Signals::listen()?;
        let bound = ports::requests(settings, self.cores, ProxyId::new(PROXY), origin)?;
        let listening = tls::listen(settings, false, bound)?;
        let admin = ports::admin(settings).await?;
        let opened = access_log::open(settings, clock);
        let (bound, tls) = listening;
        let bound = bound.with_access_log(opened.as_ref().map(Opened::access));
        let terminal = self.terminal.clone();
        let mut running = self.start(clock, (bound, tls), admin, drain).await?;
        // Behind what was announced: that is the first line on stdout.
        running.access_log = opened.map(|opened| opened.write(Some(&terminal))).transpose()?;
        loop {
            match signals.next().await {
                Told::End => break,
                Told::Reload if running.reload.try_send(()).is_ok() => {}
                Told::Reload => tracing::info!("SIGHUP: there is no file to read again, or it is being read"),
            }
        }
        tracing::info!("draining: requests under way get {}", kaos_core::duration::format(drain));
        let ended = tokio::select! {
            () = running.end(drain) => Ok(()),
            () = signals.interrupted() => Err(Failure::Interrupted),
        };
        tracing::info!("ended");
        ended
    }

    async fn start(
        self,
        clock: Clock,
        (bound, tls): (Bound, Option<Arc<Kept>>),
        admin: TcpListener,
        drain: Duration,
    ) -> Result<Running, Failure> {
        let origin = clock.origin();
        let failed = |error: std::io::Error| Failure::Failed(error.to_string());
        let functions = self.chosen.config.functions.iter().map(placed).collect();
        let local = Local::start(Launcher::own(GUARDIAN), functions, origin).await.map_err(failed)?;
        let local = Arc::new(local);
        ports::raise_file_limit();
        let snapshots = local.snapshots();
        let heard = Arc::new(Heard::default());
        let (to_autoscaler, reports) = relay(heard.clone(), clock);
        let (hub, to_readers) = Hub::start(Some(to_autoscaler));
        let listen = [Some(bound.address()), bound.tls_address(), bound.gate_address()];
        let instance = Instance::new(listen, admin.local_addr().map_err(failed)?, &clock);
        let instance = Arc::new(Instance { control: control(std::process::id()), ..instance });
        let proxy = Arc::new(bound.run(snapshots.clone(), to_readers).map_err(failed)?);
        let working = Arc::downgrade(&proxy);
        let busy = move |uid: &EndpointUid| working.upgrade().is_some_and(|proxy| proxy.in_flight(uid) > 0);
        local.drain(drain, Arc::new(busy)).await;
        let journal = Arc::new(tell::journal(clock));
        let (draining, is_draining) = watch::channel(false);
        let shown = snapshots.clone();
        let (orders, ordered) = mpsc::channel(ORDERS);
        let soon = Arc::new(Notify::new());
        let keeping = self.keep(&journal, orders.clone(), soon.clone());
        let inputs = Inputs::alone(snapshots.clone(), reports, [ProxyId::new(PROXY)], ordered);
        let settings = self.deciding(&instance, &clock);
        let deciding = kaos_autoscaler::run(local.clone(), inputs, journal.clone(), settings);
        let (autoscaler, deciding) = vital("the autoscaler", deciding);
        let desk = Desk {
            clock,
            instance: instance.clone(),
            reached: instance.listen,
            snapshots: snapshots.clone(),
            data: Data::Own(Arc::new(Arc::downgrade(&proxy).into())),
            journal: Some(journal.clone()),
            logs: Some(local.logs().clone()),
            heard,
            hub: Some(hub),
            // A configuration is taken whole or not at all on one machine.
            remarks: None,
            written: None,
            tls,
            checks: vec![
                Check::ready("proxy", move || !*is_draining.borrow()),
                Check::ready("platform", move || shown.borrow().version > 0),
                Check::live("autoscaler", deciding),
            ],
            followers: admin::followers(),
        };
        tokio::spawn(output::output(local.logs().follow(), self.terminal.clone()));
        tokio::spawn(admin::serve(admin, Arc::new(desk)));
        take_orders(&instance, Control { orders, soon });
        let registered = registered(&instance);
        self.announce(&instance)?;
        tokio::spawn(self.status(snapshots, &proxy, journal, clock).run());
        tokio::spawn(memory::give_back());
        let reload = self.watch(local.clone());
        Ok(Running {
            local,
            proxy,
            autoscaler,
            keeping,
            draining,
            reload,
            access_log: None,
            _registered: registered,
        })
    }

    /// Says where it is reached.
    fn announce(&self, instance: &Instance) -> Result<(), Failure> {
        let text = if self.json {
            serde_json::to_string(instance).map(|line| line + "\n").unwrap_or_default()
        } else {
            told(&self.chosen.config.functions, instance)
        };
        let mut out = std::io::stdout().lock();
        let said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        said.map_err(|error| Failure::Failed(format!("stdout: {error}")))
    }

    /// How the only autoscaler of this machine decides.
    fn deciding(&self, instance: &Instance, clock: &Clock) -> kaos_autoscaler::Settings {
        let max_starting = self.chosen.config.settings.max_starting.unwrap_or(self.cores);
        kaos_autoscaler::Settings {
            id: format!("local-{}-{}", instance.pid, clock.began().as_microsecond()),
            max_starting: u32::try_from(max_starting).unwrap_or(u32::MAX),
            earn_sleep: false,
            gather: Duration::ZERO,
            origin: clock.origin(),
        }
    }

    /// Keeps what is learned, if there is a place for it.
    fn keep(
        &self,
        journal: &Arc<Journal>,
        orders: mpsc::Sender<Order>,
        soon: Arc<Notify>,
    ) -> Option<Keeping> {
        let lead = watch::channel(true).1;
        state::open(&self.chosen).map(|file| Keeping::start(file, journal.clone(), orders, lead, soon))
    }

    fn status(
        &self,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        proxy: &Arc<Proxy>,
        journal: Arc<Journal>,
        clock: Clock,
    ) -> Status {
        Status { terminal: self.terminal.clone(), snapshots, proxy: Arc::downgrade(proxy), journal, clock }
    }

    /// Watches the file, if there is one.
    fn watch(self, local: Arc<Local>) -> mpsc::Sender<()> {
        let (ask, asked) = mpsc::channel(1);
        let Chosen { config, file, flags } = self.chosen;
        if let Some(file) = file {
            let watched = Watched { file, base: self.base, flags, config };
            let apply = move |config: Config| {
                let local = local.clone();
                async move { local.reload(config.functions.iter().map(placed).collect()).await }
            };
            drop(vital("the watch on the configuration", watched.run(asked, apply)));
        }
        ask
    }
}

impl Running {
    /// Lets requests finish, then stops replicas.
    async fn end(&mut self, drain: Duration) {
        self.draining.send_replace(true);
        self.proxy.drain();
        if tokio::time::timeout(drain, self.proxy.emptied()).await.is_err() {
            tracing::warn!("drain-timeout is over: requests under way are cut");
        }
        if let Some(access_log) = &self.access_log {
            self.proxy.flush().await;
            access_log.finish();
        }
        if let Some(keeping) = &mut self.keeping {
            keeping.end().await;
        }
        self.autoscaler.abort();
        self.local.shutdown().await;
    }
}

/// Reports on their way; the proxy waits when so many are.
const QUEUED: usize = 64;

/// A way for reports to the autoscaler, past those who look on.
fn relay(heard: Arc<Heard>, clock: Clock) -> (mpsc::Sender<Report>, mpsc::Receiver<Report>) {
    let (sender, mut queue) = mpsc::channel::<Report>(QUEUED);
    let (on, reports) = mpsc::channel(QUEUED);
    tokio::spawn(async move {
        while let Some(report) = queue.recv().await {
            heard.take(&report, clock.now());
            if on.send(report).await.is_err() {
                return;
            }
        }
    });
    (sender, reports)
}

/// Where each function is, at most so many.
fn told(functions: &[Function], instance: &Instance) -> String {
    const SHOWN: usize = 10;
    let mut text = format!("kaos {VERSION}, admin at http://{}\n", instance.admin);
    if let Some(listen) = instance.listen_tls {
        text.push_str(&format!("  the same over TLS at {listen}\n"));
    }
    if let Some(listen) = instance.listen_gate {
        text.push_str(&format!("  other proxies ask at http://{listen}/_kaos/gate/\n"));
    }
    for function in functions.iter().take(SHOWN) {
        let url = admin::url(&function.hosts, &function.path, instance.listen);
        text.push_str(&format!("  {}  {url}\n", function.name));
    }
    if functions.len() > SHOWN {
        text.push_str(&format!("  and {} more: kaos ls\n", functions.len() - SHOWN));
    }
    let name = functions.first().map_or("NAME", |function| &function.name);
    text.push_str(&format!("Ask it: kaos ls, kaos explain {name}. Ctrl-C ends it.\n"));
    text
}

/// Takes orders of this user, if there is a place for a socket.
fn take_orders(instance: &Instance, control: Control) {
    let Some(path) = instance.control.clone() else { return };
    match admin::bind_control(&path) {
        Ok(listener) => drop(tokio::spawn(control.serve(listener))),
        Err(error) => {
            tracing::warn!("{}: {error}: `kaos forget` can't reach this Kaos", path.display());
        }
    }
}

/// The file where other commands find this Kaos, if there can be one.
fn registered(instance: &Instance) -> Option<Registered> {
    let tell = |why: &String| {
        tracing::warn!("{why}: other commands find this Kaos with --admin http://{} only", instance.admin);
    };
    register(instance).inspect_err(tell).ok()
}

/// A function as the platform takes it.
fn placed(function: &Function) -> kaos_local::Function {
    kaos_local::Function {
        id: WorkloadId::new("local", &function.name),
        hosts: function.hosts.clone(),
        path: function.path.clone(),
        command: function.command.clone(),
        dir: Some(function.dir.clone()),
        env: function.env.clone(),
        policy: Arc::new(function.policy.clone()),
    }
}
