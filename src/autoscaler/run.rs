//! The life of `kaos autoscaler`: watch, listen, decide, let another lead.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kaos_autoscaler::{Inputs, Journal, ORDERS};
use kaos_kubernetes::change::{self, Changing, Choices, Clients, Kubernetes};
use kaos_kubernetes::{Front, Verdicts};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::listen::Listen;
use crate::admin::{self, Check, Data, Desk, Written};
use crate::cli::cluster::Autoscaler;
use crate::clock::Clock;
use crate::cluster::{self, Originals, Part, Watched};
use crate::config::Settings;
use crate::external;
use crate::failure::Failure;
use crate::instance::{Instance, VERSION};
use crate::keeping::Keeping;
use crate::process::part::vital;
use crate::process::signals::{Signals, Told};
use crate::process::{daemon, ports};
use crate::report::Heard;
use crate::tell;
use crate::tls;

/// Reports on their way; streams wait when so many are.
const QUEUED: usize = 256;
/// Longest wait for the Lease to be given back at the end: without that it runs out by itself.
const FAREWELL: Duration = Duration::from_secs(5);

/// After a wake, what came with its request is waited for so long before the count is raised again: a busy API server takes
/// 10 to 25 ms for a write.
const GATHER: Duration = Duration::from_millis(15);

/// What runs.
struct Running {
    /// The watches: everything reads from them.
    _watched: Watched,
    changing: Changing,
    deciding: AbortHandle,
    keeping: Keeping,
    draining: watch::Sender<bool>,
}

/// Runs until a signal ends it.
pub(crate) async fn run(args: &Autoscaler) -> Result<(), Failure> {
    let clock = Clock::new(Instant::now());
    let mut signals = Signals::listen()?;
    let name = daemon::name(&args.member)?;
    let listener = ports::admin(&Settings { admin: Some(args.admin), ..Settings::default() }).await?;
    let metrics = match args.listen_external_metrics {
        Some(address) => Some(external::bind(address).await?),
        None => None,
    };
    // Who reads must be told what those who write have on record, and begins before them.
    let (originals, on_record) = watch::channel(Originals::default());
    let (judge, verdicts) = watch::channel(Verdicts::default());
    let part = Part::Autoscaler(on_record, verdicts);
    let watched = cluster::watch(&args.member, clock, part).await?;
    tls::judge(&watched.client, watched.served(), judge);
    let (wakes, _) = cluster::reach(&args.member.kubeconfig).await?;
    let clients = Clients { others: watched.client.clone(), wakes: Some(wakes) };
    let mut running = start(args, &name, clock, watched, clients, (listener, metrics))?;
    tokio::spawn(pass_on(running.changing.originals(), originals));
    while signals.next().await == Told::Reload {
        tracing::info!("SIGHUP: there is no file to read again");
    }
    running.draining.send_replace(true);
    running.deciding.abort();
    // While it still leads.
    running.keeping.end().await;
    let ended = tokio::select! {
        released = tokio::time::timeout(FAREWELL, running.changing.stop()) => {
            if released.is_err() {
                tracing::warn!("the Lease wasn't given back in time: another autoscaler leads when it has run out");
            }
            Ok(())
        }
        () = signals.interrupted() => Err(Failure::Interrupted),
    };
    tracing::info!("ended");
    ended
}

/// Passes on each new value until nobody makes or takes one.
async fn pass_on(mut from: watch::Receiver<Originals>, to: watch::Sender<Originals>) {
    loop {
        let value = from.borrow_and_update().clone();
        if to.send(value).is_err() || from.changed().await.is_err() {
            return;
        }
    }
}

/// What became of the writes of `platform`, whenever it is asked for.
fn written(platform: Arc<Kubernetes>) -> impl Fn() -> Written {
    move || {
        let Choices { hits, misses, unknown } = platform.choices();
        Written {
            choices: [hits, misses, unknown].map(|count| count.load(Ordering::Relaxed)),
            dropped_events: platform.dropped_events(),
        }
    }
}

/// Answers autoscalers that ask the API server.
fn tells(
    listening: external::Listening,
    fronts: watch::Receiver<Option<Front>>,
    journal: Arc<Journal>,
) -> Check {
    let (_, runs) = vital("external metrics", external::serve(listening, fronts, journal));
    Check::live("external metrics", runs)
}

fn start(
    args: &Autoscaler,
    name: &str,
    clock: Clock,
    watched: Watched,
    clients: Clients,
    (listener, metrics): (TcpListener, Option<external::Listening>),
) -> Result<Running, Failure> {
    let admin = listener.local_addr().map_err(|error| Failure::Failed(error.to_string()))?;
    let instance = Arc::new(Instance::new([None, None, None], admin, &clock));
    tracing::info!(id = name, %admin, version = VERSION, "this autoscaler has begun");
    let metrics = metrics.map(|metrics| (metrics, Front::follow(&clients.others)));
    let changing = Changing::start(
        clients,
        watched.sources(),
        change::Settings {
            namespace: args.member.home.system_namespace.clone(),
            lease: change::LEASE.into(),
            pod: name.into(),
            clock: change::Clock::boot(),
        },
    );
    let heard = Arc::new(Heard::default());
    let (reports, reported) = mpsc::channel(QUEUED);
    let (proxies, known) = watch::channel(BTreeSet::new());
    let listen = Listen { reports, heard: heard.clone(), clock };
    let (_, listening) = vital("listening to the proxies", listen.run(watched.admins(), proxies));
    let journal = Arc::new(tell::journal(clock));
    let (orders, ordered) = mpsc::channel(ORDERS);
    let soon = Arc::default();
    let keeping = Keeping::start(changing.learned(), journal.clone(), orders, changing.leading(), soon);
    let inputs = Inputs {
        snapshots: watched.snapshots.clone(),
        reports: reported,
        lead: changing.leading(),
        proxies: known,
        orders: ordered,
    };
    let settings = kaos_autoscaler::Settings {
        // Another after each restart, also where the pod keeps its name.
        id: format!("{name}-{}", clock.began().as_microsecond()),
        max_starting: u32::try_from(args.max_starting).unwrap_or(u32::MAX),
        earn_sleep: true,
        gather: GATHER,
        origin: clock.origin(),
    };
    let deciding = kaos_autoscaler::run(changing.platform(), inputs, journal.clone(), settings);
    let (deciding, decides) = vital("the autoscaler", deciding);
    let told = metrics.map(|(listening, fronts)| tells(listening, fronts, journal.clone()));
    let draining = watch::Sender::new(false);
    let ends = draining.subscribe();
    let desk = Desk {
        clock,
        instance,
        reached: None,
        snapshots: watched.snapshots.clone(),
        data: Data::Reported,
        journal: Some(journal),
        logs: None,
        heard,
        hub: None,
        remarks: Some(watched.remarks()),
        written: Some(Box::new(written(changing.platform()))),
        tls: None,
        checks: vec![
            Check::live("autoscaler", decides),
            Check::live("listening", listening),
            Check::live("writing", changing.runs()),
            Check::ready("cluster", watched.is_synced()),
            Check::ready("staying", move || !*ends.borrow()),
        ]
        .into_iter()
        .chain(told)
        .collect(),
        followers: admin::followers(),
    };
    tokio::spawn(admin::serve(listener, Arc::new(desk)));
    Ok(Running { _watched: watched, changing, deciding, keeping, draining })
}
