//! What the statuses of objects are to say, and what of it they don't say yet. Pure: the time is an argument.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::entry::Addresses;
use crate::gateway::{CONTROLLER, GROUP};
use crate::kept::Stand;
use crate::note::Object;
use crate::object::Name;
use crate::state::State;
use crate::wire::gateway::ParentRef;
use crate::wire::{BalancerStatus, IngressStatus};

/// Types of conditions.
pub(crate) const ACCEPTED: &str = "Accepted";
/// See [`ACCEPTED`].
pub(crate) const PROGRAMMED: &str = "Programmed";
/// See [`ACCEPTED`].
pub(crate) const RESOLVED_REFS: &str = "ResolvedRefs";

/// What the status of one object is to say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) of: Object,
    pub(crate) name: Name,
    pub(crate) say: Arc<Say>,
}

impl Wanted {
    pub(crate) fn new(of: Object, name: &Name, say: Say) -> Self {
        Wanted { of, name: name.clone(), say: Arc::new(say) }
    }

    /// What it is of.
    pub(crate) fn key(&self) -> (Object, &Name) {
        (self.of, &self.name)
    }
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Say {
    /// Where an Ingress's requests come in.
    Points(Addresses),
    /// Of a GatewayClass, and what its Gateways can do.
    Class(Vec<Fact>, &'static [&'static str]),
    Gateway {
        addresses: Addresses,
        facts: Vec<Fact>,
        listeners: Vec<ListenerSays>,
    },
    /// Of an HTTPRoute, for each of its parents that is Kaos's.
    Route(Vec<(ParentRef, Vec<Fact>)>),
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) kind: &'static str,
    pub(crate) is: bool,
    pub(crate) reason: &'static str,
    /// A sentence; empty, if there is nothing to do.
    pub(crate) message: String,
}

impl Fact {
    /// That it is so.
    pub(crate) fn is(kind: &'static str, reason: &'static str) -> Self {
        Fact { kind, is: true, reason, message: String::new() }
    }

    /// That it isn't, and why.
    pub(crate) fn isnt(kind: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Fact { kind, is: false, reason, message: message.into() }
    }
}

/// What is said of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenerSays {
    pub(crate) name: Box<str>,
    pub(crate) takes_http_routes: bool,
    /// Routes that are attached to it.
    pub(crate) attached: u32,
    pub(crate) facts: Vec<Fact>,
}

/// One object, with what its status is to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub(crate) wanted: Wanted,
    pub(crate) stand: Stand,
}

impl Status {
    /// The patch after which its status says so, of this very object and not of another under its name. `None`: it says so
    /// already, or there is nothing to be said yet. `now`: as the API writes it.
    pub(crate) fn patch(&self, now: &str) -> Option<Value> {
        let told: Value = serde_json::from_str(&self.stand.status).unwrap_or_default();
        let mut metadata = json!({"uid": &*self.stand.uid});
        let status = match &*self.wanted.say {
            Say::Points(points) => balanced(&told, points)?,
            say => {
                let (status, shared) = self.stated(say, &told, now);
                let same = status.as_object()?.iter().all(|(part, said)| told.get(part) == Some(said));
                if same || told.is_null() && status == json!({"parents": []}) {
                    return None;
                }
                if shared {
                    // What others say there is written again: as long as it is what they say.
                    metadata["resourceVersion"] = json!(&*self.stand.version);
                }
                status
            }
        };
        Some(json!({"metadata": metadata, "status": status}))
    }

    /// Its status, and whether others have a part in it.
    fn stated(&self, say: &Say, told: &Value, now: &str) -> (Value, bool) {
        let write = |facts: &[Fact], told: &Value| conditions(facts, told, self.stand.generation, now);
        match say {
            Say::Points(_) => (Value::Null, false),
            Say::Class(facts, features) => {
                let features: Vec<Value> = features.iter().map(|name| json!({"name": name})).collect();
                (json!({"conditions": write(facts, told), "supportedFeatures": features}), false)
            }
            Say::Gateway { addresses, facts, listeners } => {
                let listeners: Vec<Value> = listeners.iter().map(|one| listener(one, told, &write)).collect();
                let addresses: Vec<Value> = addresses.iter().map(|at| address(at)).collect();
                let conditions = write(facts, told);
                (json!({"addresses": addresses, "conditions": conditions, "listeners": listeners}), false)
            }
            Say::Route(parents) => {
                let known = told["parents"].as_array().map(Vec::as_slice).unwrap_or_default();
                let is_ours = |parent: &&Value| parent["controllerName"] == CONTROLLER;
                let mut all: Vec<Value> = known.iter().filter(|parent| !is_ours(parent)).cloned().collect();
                let shared = !all.is_empty();
                for (parent, facts) in parents {
                    let parent = json!(parent);
                    let before = known.iter().filter(is_ours).find(|known| known["parentRef"] == parent);
                    let conditions = write(facts, before.unwrap_or(&Value::Null));
                    all.push(
                        json!({"parentRef": parent, "controllerName": CONTROLLER, "conditions": conditions}),
                    );
                }
                (json!({"parents": all}), shared)
            }
        }
    }
}

/// What statuses are to say, and all of them.
#[derive(Debug, Default)]
pub(crate) struct Statuses {
    /// Sorted by what they are of.
    wanted: Vec<Wanted>,
    pub(crate) all: Arc<[Status]>,
}

impl Statuses {
    /// They are to say this. What is the same as before stays the same in memory.
    pub(crate) fn want(&mut self, mut wanted: Vec<Wanted>) {
        wanted.sort_by(|one, other| one.key().cmp(&other.key()));
        for new in &mut wanted {
            if let Ok(at) = self.wanted.binary_search_by(|old| old.key().cmp(&new.key()))
                && self.wanted[at].say == new.say
            {
                new.say = self.wanted[at].say.clone();
            }
        }
        self.wanted = wanted;
    }

    /// Finds out again what they say.
    pub(crate) fn say(&mut self, state: &State) {
        let stand = |wanted: &Wanted| match wanted.of {
            Object::Ingress => state.ingresses.get(&wanted.name).map(|stated| &stated.stand),
            Object::GatewayClass => state.gateways.classes.get(&wanted.name).map(|stated| &stated.stand),
            Object::Gateway => state.gateways.all.get(&wanted.name).map(|stated| &stated.stand),
            Object::HttpRoute => state.gateways.routes.get(&wanted.name).map(|stated| &stated.stand),
        };
        let all = self
            .wanted
            .iter()
            .filter_map(|wanted| Some(Status { wanted: wanted.clone(), stand: stand(wanted)?.clone() }));
        self.all = all.collect();
    }
}

/// `status.loadBalancer` with these points, if it says something else. A load balancer that has no address yet is nothing to be
/// told.
fn balanced(told: &Value, points: &Addresses) -> Option<Value> {
    let said: IngressStatus = serde_json::from_value(told.clone()).unwrap_or_default();
    let said: BalancerStatus = said.load_balancer.unwrap_or_default();
    if points.is_empty() || said.points().eq(points.iter().cloned()) {
        return None;
    }
    let point = |at: &str| match is_ip(at) {
        true => json!({"ip": at}),
        false => json!({"hostname": at}),
    };
    let points: Vec<Value> = points.iter().map(|at| point(at)).collect();
    Some(json!({"loadBalancer": {"ingress": points}}))
}

fn is_ip(at: &str) -> bool {
    at.parse::<std::net::IpAddr>().is_ok()
}

fn address(at: &str) -> Value {
    json!({"type": if is_ip(at) { "IPAddress" } else { "Hostname" }, "value": at})
}

fn listener(says: &ListenerSays, told: &Value, write: &impl Fn(&[Fact], &Value) -> Value) -> Value {
    let known = told["listeners"].as_array().map(Vec::as_slice).unwrap_or_default();
    let before = known.iter().find(|known| known["name"] == *says.name);
    let kinds =
        if says.takes_http_routes { json!([{"group": GROUP, "kind": "HTTPRoute"}]) } else { json!([]) };
    json!({
        "name": says.name,
        "supportedKinds": kinds,
        "attachedRoutes": says.attached,
        "conditions": write(&says.facts, before.unwrap_or(&Value::Null)),
    })
}

/// `facts` as conditions, and those of others behind them. The time is that of the last change of what is said.
fn conditions(facts: &[Fact], told: &Value, generation: i64, now: &str) -> Value {
    let known = told["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut all: Vec<Value> = Vec::with_capacity(facts.len());
    for fact in facts {
        let status = if fact.is { "True" } else { "False" };
        let before = known.iter().find(|known| known["type"] == fact.kind && known["status"] == status);
        let since = before.and_then(|before| before["lastTransitionTime"].as_str()).unwrap_or(now);
        all.push(json!({
            "type": fact.kind, "status": status, "reason": fact.reason, "message": fact.message,
            "observedGeneration": generation, "lastTransitionTime": since,
        }));
    }
    let others = known.iter().filter(|known| !facts.iter().any(|fact| known["type"] == fact.kind));
    all.extend(others.cloned());
    json!(all)
}
