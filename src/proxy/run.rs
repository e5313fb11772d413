//! The life of `kaos proxy`: bind, watch, serve, retire.

use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use kaos_core::ProxyId;
use kaos_kubernetes::SecretName;
use kaos_proxy::{Bound, Limits};
use tokio::sync::watch;

use crate::access_log::{self, Opened};
use crate::admin::{self, Check, Data, Desk};
use crate::cli::cluster::Proxy;
use crate::clock::Clock;
use crate::cluster::{self, Watched};
use crate::failure::Failure;
use crate::instance::{Instance, VERSION};
use crate::process::signals::{Signals, Told};
use crate::process::{daemon, memory, ports};
use crate::report::{Heard, Hub};
use crate::tls::{self, Ingresses, Kept, Secrets};

/// What makes it ready.
struct Standing {
    draining: watch::Sender<bool>,
    proxy: Arc<OnceLock<std::sync::Weak<kaos_proxy::Proxy>>>,
}

/// Runs until a signal ends it.
pub(crate) async fn run(args: &Proxy) -> Result<(), Failure> {
    let origin = Instant::now();
    let clock = Clock::new(origin);
    let mut signals = Signals::listen()?;
    let id = ProxyId::new(&daemon::name(&args.member)?);
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let bound = ports::requests(&args.settings(), cores, id.clone(), origin)?;
    let named = args.secrets.named()?;
    // Ingresses may name certificates at any time.
    let elsewhere = !named.is_empty() || args.listen_tls.is_some();
    let (bound, tls) = tls::listen(&args.settings(), elsewhere, bound)?;
    let listener = ports::admin(&args.settings()).await?;
    ports::raise_file_limit();
    let watched = cluster::watch(&args.member, clock, cluster::Part::Proxy).await?;
    let kept = tls.clone();
    let (hub, reports) = Hub::start(None);
    let standing = Standing { draining: watch::Sender::new(false), proxy: Arc::default() };
    let listen = bound.address();
    let asked = listener.local_addr().map_err(|error| Failure::Failed(error.to_string()))?;
    let reached = [Some(listen), bound.tls_address(), bound.gate_address()];
    let instance = Arc::new(Instance::new(reached, asked, &clock));
    tracing::info!(id = %id, %listen, admin = %instance.admin, version = VERSION, "this proxy has begun");
    let desk = Desk { tls, ..standing.desk(clock, instance, &watched, hub, &id) };
    tokio::spawn(admin::serve(listener, Arc::new(desk)));
    tokio::spawn(memory::give_back());
    // Who connects before the cluster is known waits in the listener's backlog: nobody is told that nothing is there.
    tokio::select! {
        known = known(&watched, named, kept) => known?,
        () = ended(&mut signals) => return Ok(()),
    }
    let limits = Limits { memory: kaos_proxy::cgroup(), ..ports::limits(&args.settings()) };
    let opened = access_log::open(&args.settings(), clock);
    let bound = bound.with_limits(limits).with_access_log(opened.as_ref().map(Opened::access));
    let proxy = start(bound, &watched, reports)?;
    let access_log = opened.map(|opened| opened.write(None)).transpose()?;
    let _ = standing.proxy.set(Arc::downgrade(&proxy));
    tracing::info!(
        workloads = watched.snapshots.borrow().workloads.len(),
        "the cluster is known: requests are taken"
    );
    ended(&mut signals).await;
    standing.draining.send_replace(true);
    tracing::info!(
        "ending: requests are taken for {}, then those under way get {}",
        kaos_core::duration::format(args.shutdown_delay),
        kaos_core::duration::format(args.drain_timeout)
    );
    let ended = tokio::select! {
        whole = proxy.retire(args.shutdown_delay, args.drain_timeout) => {
            if !whole {
                tracing::warn!("drain-timeout is over: requests under way are cut");
            }
            Ok(())
        }
        () = signals.interrupted() => Err(Failure::Interrupted),
    };
    if let Some(access_log) = access_log {
        proxy.flush().await;
        access_log.finish();
    }
    tracing::info!("ended");
    ended
}

fn start(
    bound: Bound,
    watched: &Watched,
    reports: tokio::sync::mpsc::Sender<kaos_core::Report>,
) -> Result<Arc<kaos_proxy::Proxy>, Failure> {
    let proxy = bound.with_peers(watched.ready()).run(watched.snapshots.clone(), reports);
    proxy.map(Arc::new).map_err(|error| Failure::Failed(error.to_string()))
}

/// Waits until the cluster is known, and what there is of its certificates.
async fn known(watched: &Watched, named: Vec<SecretName>, kept: Option<Arc<Kept>>) -> Result<(), Failure> {
    let Some(kept) = kept else { return watched.synced().await };
    let secrets = Secrets::follow(&watched.client, named, kept.clone());
    watched.synced().await?;
    secrets.first().await;
    Ingresses::follow(&watched.client, watched.served(), kept).first().await;
    Ok(())
}

/// Waits until the process is told to end. There is nothing to read again.
async fn ended(signals: &mut Signals) {
    while signals.next().await == Told::Reload {
        tracing::info!("SIGHUP: there is no file to read again");
    }
}

impl Standing {
    fn desk(&self, clock: Clock, instance: Arc<Instance>, watched: &Watched, hub: Hub, id: &ProxyId) -> Desk {
        let (draining, proxy) = (self.draining.subscribe(), self.proxy.clone());
        let serves = move || proxy.get().is_some_and(|proxy| proxy.strong_count() > 0);
        Desk {
            clock,
            instance,
            reached: None,
            snapshots: watched.snapshots.clone(),
            data: Data::Own(self.proxy.clone()),
            journal: None,
            logs: None,
            heard: Arc::new(Heard::default()),
            hub: Some(hub),
            remarks: Some(watched.remarks()),
            written: None,
            tls: None,
            checks: vec![
                Check::ready("proxy", move || serves() && !*draining.borrow()),
                Check::ready("cluster", watched.is_synced()),
                // Until the others know of it, an autoscaler may not either: it must be heard before it counts.
                Check::ready("peers", watched.lists(id)),
            ],
            followers: admin::followers(),
        }
    }
}
