//! Listens to every proxy: one stream of reports each, begun again with patience when it ends.
//!
//! What proxies say is material: it is read within bounds, and a stream that can't be read is given up with its reason.
//! A silent proxy is no matter here: the line that gets the reports sees it itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use kaos_core::report::REPORT_VERSION;
use kaos_core::{ProxyId, Report};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::ask::exchange;
use crate::clock::Clock;
use crate::report::{Heard, Reader, Unreadable};

/// Longest wait for the head of an answer, the connection included.
const HEAD: Duration = Duration::from_secs(5);
/// A proxy says something every second: one that says nothing for this long has a dead connection.
const SILENCE: Duration = Duration::from_secs(5);
/// Wait before the second try; it doubles.
const SHORTEST: Duration = Duration::from_millis(100);
/// Longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(5);
/// Wait where another try can't help before something is changed.
const HOPELESS: Duration = Duration::from_secs(30);

/// A proxy that can't be heard for so long is told to people, once until it is heard again.
const TELLING: Duration = Duration::from_secs(10);

/// Where proxies are asked: their admin ports.
pub(crate) type Proxies = BTreeMap<ProxyId, SocketAddr>;

/// What a listener needs.
#[derive(Clone)]
pub(crate) struct Listen {
    /// Where reports go.
    pub(crate) reports: mpsc::Sender<Report>,
    /// What was heard, for people.
    pub(crate) heard: Arc<Heard>,
    /// Tells when.
    pub(crate) clock: Clock,
}

/// Why a stream has ended.
enum Ended {
    /// It may go better the next time.
    Lost(String),
    /// What is there can't be read.
    Unreadable(Unreadable),
    /// Somebody else answers at this address.
    Stranger(ProxyId),
    /// It won't tell reports of this version.
    Refused(StatusCode),
    /// Nobody takes reports any more.
    Unwanted,
}

impl Listen {
    /// Listens to all `proxies` as they come and go, and says who they are. Ends when their sender is gone, or when nobody
    /// takes reports any more.
    pub(crate) async fn run(
        self,
        mut proxies: watch::Receiver<Proxies>,
        known: watch::Sender<BTreeSet<ProxyId>>,
    ) {
        let mut streams: BTreeMap<ProxyId, (SocketAddr, tokio::task::AbortHandle)> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        while !self.reports.is_closed() {
            let present = proxies.borrow_and_update().clone();
            // Listed first: until it is heard, an unheard proxy keeps everything up.
            known.send_replace(present.keys().cloned().collect());
            streams.retain(|id, (address, stream)| {
                let stays = present.get(id) == Some(address);
                if !stays {
                    stream.abort();
                }
                // One that has ended by itself has failed: it is begun again.
                stays && !stream.is_finished()
            });
            self.heard.keep(|id| present.contains_key(id));
            for (id, address) in present {
                streams.entry(id).or_insert_with_key(|id| {
                    (address, tasks.spawn(self.clone().follow(id.clone(), address)))
                });
            }
            tokio::select! {
                changed = proxies.changed() => if changed.is_err() {
                    return;
                },
                // What an aborted stream has said last is forgotten with the others.
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    /// Follows one proxy for ever.
    async fn follow(self, proxy: ProxyId, address: SocketAddr) {
        let mut pause = SHORTEST;
        let (mut heard, mut told) = (Instant::now(), false);
        loop {
            let began = Instant::now();
            let ended = self.stream(&proxy, address, &mut heard).await;
            if began.elapsed() > LONGEST {
                pause = SHORTEST;
            }
            told &= heard < began;
            let wait = match ended {
                Ended::Unwanted => return,
                Ended::Lost(why) if !told && heard.elapsed() >= TELLING => {
                    told = true;
                    let what = "this proxy can't be heard: nothing sleeps until it is, and who waits there wakes nothing";
                    tracing::warn!(%proxy, %address, why, "{what}");
                    pause
                }
                Ended::Lost(why) => {
                    tracing::debug!(%proxy, %address, why, "a stream of reports has ended");
                    pause
                }
                Ended::Unreadable(why) => {
                    tracing::warn!(%proxy, %address, %why, "what this proxy reports can't be read");
                    HOPELESS
                }
                Ended::Stranger(other) => {
                    tracing::warn!(%proxy, %address, %other, "another proxy answers at this address");
                    pause
                }
                Ended::Refused(status) => {
                    tracing::warn!(%proxy, %address, %status, "this proxy doesn't tell its reports");
                    HOPELESS
                }
            };
            sleep(jittered(wait)).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// Reads one stream to its end. `heard` is when the last report came.
    async fn stream(&self, proxy: &ProxyId, address: SocketAddr, heard: &mut Instant) -> Ended {
        let address = address.to_string();
        let request =
            Request::get(format!("/v1/reports?version={REPORT_VERSION}")).body(Full::<Bytes>::default());
        let Ok(request) = request else { return Ended::Lost("no request".into()) };
        let response = match timeout(HEAD, exchange(&address, &address, request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(why)) => return Ended::Lost(why),
            Err(_) => return Ended::Lost("no answer within 5 s".into()),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::SERVICE_UNAVAILABLE => {
                return Ended::Lost("it has no room for another reader".into());
            }
            status => return Ended::Refused(status),
        }
        let (mut body, mut reader) = (response.into_body(), Reader::default());
        loop {
            let frame = match timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Ended::Lost(error.to_string()),
                Ok(None) => return Ended::Lost("it was ended by the proxy".into()),
                Err(_) => return Ended::Lost("nothing came for 5 s".into()),
            };
            let Some(data) = frame.data_ref() else { continue };
            let reports = match reader.take(data) {
                Ok(reports) => reports,
                Err(why) => return Ended::Unreadable(why),
            };
            for report in reports {
                if report.proxy != *proxy {
                    return Ended::Stranger(report.proxy);
                }
                *heard = Instant::now();
                self.heard.take(&report, self.clock.now());
                if self.reports.send(report).await.is_err() {
                    return Ended::Unwanted;
                }
            }
        }
    }
}

/// Half of `wait` to all of it: several autoscalers don't come back in step.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
#[path = "listen_test.rs"]
mod tests;
