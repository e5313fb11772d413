//! Tells Ingresses where requests come in: `status.loadBalancer`, written by the leader.
//!
//! Only what differs is written, and the same about the same Ingress at most once in a while: whoever else writes there makes
//! no loop.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info};

use super::call::{Api, Ask, DEADLINE, Turn};
use super::lead::Leadership;
use super::object::{encode, managed};
use crate::entry::Addresses;
use crate::rights;
use crate::serve::Served;

/// An Ingress that says something else again is told again after this.
const AGAIN: Duration = Duration::from_secs(30);

/// What there is to read.
pub(crate) struct Telling {
    pub(crate) api: Arc<Api>,
    pub(crate) leadership: Leadership,
    pub(crate) leading: watch::Receiver<bool>,
    pub(crate) served: watch::Receiver<Arc<[Served]>>,
    pub(crate) entry: watch::Receiver<Addresses>,
}

impl Telling {
    /// Tells for as long as there is somebody to hear from.
    pub(crate) async fn run(mut self) {
        let mut written = HashMap::new();
        loop {
            let served = self.served.borrow_and_update().clone();
            let entry = self.entry.borrow_and_update().clone();
            let leads = *self.leading.borrow_and_update();
            let next = if leads { self.tell(&served, &entry, &mut written).await } else { None };
            let changed = tokio::select! {
                changed = self.served.changed() => changed,
                changed = self.entry.changed() => changed,
                changed = self.leading.changed() => changed,
                () = at(next) => Ok(()),
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Writes what differs. When something is to be written later: then.
    async fn tell(
        &self,
        served: &[Served],
        entry: &Addresses,
        written: &mut HashMap<Arc<str>, (Instant, Addresses)>,
    ) -> Option<Instant> {
        written.retain(|uid, _| served.iter().any(|ingress| ingress.uid == *uid));
        // A load balancer that has no address yet is nothing to be told.
        let differs = |ingress: &&Served| !entry.is_empty() && *ingress.told != **entry;
        let mut next: Option<Instant> = None;
        for ingress in served.iter().filter(differs) {
            let now = Instant::now();
            let before = written.get(&ingress.uid).filter(|(_, told)| told == entry);
            let due = before.map_or(now, |(at, _)| *at + AGAIN);
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
                continue;
            }
            written.insert(ingress.uid.clone(), (now, entry.clone()));
            self.write(ingress, entry).await;
            let due = now + AGAIN;
            next = Some(next.map_or(due, |next| next.min(due)));
        }
        next
    }

    async fn write(&self, ingress: &Served, entry: &Addresses) {
        let (namespace, name) = (encode(&ingress.namespace), encode(&ingress.name));
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}/status");
        let ask = Ask::merge(rights::PATCH_INGRESS_STATUS, managed(&path), &body(ingress, entry));
        let may = || self.leadership.leads();
        let sent = self.api.call::<Value>(&ask, Turn::Other, Instant::now() + DEADLINE, may).await;
        let ingress = format!("{}/{}", ingress.namespace, ingress.name);
        match sent {
            Ok(_) => info!(ingress, at = entry.join(", "), "an Ingress was told where requests come in"),
            Err(fault) => debug!(ingress, why = %fault, "an Ingress couldn't be told where requests come in"),
        }
    }
}

/// The patch: of this very Ingress, not of another under its name.
fn body(ingress: &Served, entry: &Addresses) -> Value {
    let point = |at: &str| match at.parse::<IpAddr>() {
        Ok(ip) => json!({"ip": ip}),
        Err(_) => json!({"hostname": at}),
    };
    let points: Vec<Value> = entry.iter().map(|at| point(at)).collect();
    json!({"metadata": {"uid": ingress.uid}, "status": {"loadBalancer": {"ingress": points}}})
}

/// Returns at `moment`; never, if there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
