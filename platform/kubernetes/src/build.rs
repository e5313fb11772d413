//! One workload, built from its Deployment and what surrounds it: pure, but for the memory that is handed in.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use kaos_core::annotation::{self, Adoption, Reading};
use kaos_core::host::HostPattern;
use kaos_core::policy::{Protocol, Readiness};
use kaos_core::snapshot::{Check, Endpoint, Hold, Phase, Replicas, StartTimes, Workload};
use kaos_core::{EndpointUid, Moment, Policy};

use crate::check;
use crate::claim::HostRules;
use crate::condemn::Condemned;
use crate::controller::Controller;
use crate::directory::{Entry, PodName};
use crate::fail::{Failing, Seen};
use crate::gather;
use crate::infer::{self, Way};
use crate::note::{Kind, Note};
use crate::object::{Deployment, PROGRESS_DEADLINE, Pod, Service, ServicePort, Slice, Trouble};
use crate::owner::{self, Above};
use crate::scaler::Scaler;

/// What surrounds a Deployment.
pub(crate) struct Around<'a> {
    /// The Services of its namespace.
    pub(crate) services: Vec<&'a Service>,
    /// The slices of a Service of its namespace.
    pub(crate) slices: &'a dyn Fn(&str) -> Vec<&'a Slice>,
    /// The HorizontalPodAutoscalers that scale it.
    pub(crate) scalers: &'a [Scaler],
    /// The object of the other kind and the same name.
    pub(crate) namesake: Option<&'a Deployment>,
    /// Its pods, while they are watched.
    pub(crate) pods: Option<&'a HashMap<Box<str>, Pod>>,
    /// Its count before Kaos came, where that is on record.
    pub(crate) original: Option<u32>,
    /// Which hosts may be claimed.
    pub(crate) rules: &'a HostRules,
    /// The time.
    pub(crate) now: Moment,
}

/// What is remembered of one workload from one build to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    uid: Option<Arc<str>>,
    /// Its count when it was adopted.
    found: Option<u32>,
    /// The last that was allowed.
    good: Option<Good>,
    failing: Failing,
    condemned: Condemned,
    replicas: u32,
    raised: Option<Moment>,
    starts: HashMap<EndpointUid, StartTimes>,
}

/// Annotations that were allowed, and the hosts and the way they lead to.
#[derive(Clone, Debug)]
struct Good {
    adoption: Adoption,
    hosts: Vec<HostPattern>,
}

/// What a build comes to.
#[derive(Debug)]
pub(crate) struct Built {
    /// The workload with all hosts it claims. `None`: not adopted.
    pub(crate) workload: Option<Workload>,
    /// What a write needs to know.
    pub(crate) entry: Entry,
    /// What is to be told.
    pub(crate) notes: Vec<Note>,
    /// It is to be built again then, though nothing may have changed.
    pub(crate) due: Option<Moment>,
    /// It wakes, and its pods are worth watching.
    pub(crate) waking: bool,
    /// The Service it is reached by.
    pub(crate) service: Option<Box<str>>,
    /// The Services that lead to its pods, each with its ports that lead to the one where requests are taken.
    pub(crate) doors: Box<[Door]>,
}

/// A Service that leads to a workload's pods, and its ports that lead to where it takes requests.
pub(crate) type Door = (Box<str>, Box<[u16]>);

/// Builds the workload of `deployment`.
pub(crate) fn build(deployment: &Deployment, around: &Around<'_>, memory: &mut Memory) -> Built {
    memory.meet(deployment, around);
    let leading = infer::leading(around.services.iter().copied(), &deployment.template);
    let mut notes = Vec::new();
    let mut invalid = Vec::new();
    let usable = adopt(deployment, around, memory, &leading, &mut notes, &mut invalid);
    let hold = hold(deployment, &mut notes);
    let Reached { mut endpoints, pods, waking, service } =
        usable.as_ref().map(|(_, way)| reach(deployment, around, way)).unwrap_or_default();
    memory.condemned.see(&mut endpoints, deployment.replicas, around.now);
    let endpoints = memory.timed(endpoints, around.now);
    let ready = ready(&endpoints);
    let seen = Seen {
        trouble: deployment.trouble.as_ref().or_else(|| stuck(around.pods)),
        ready,
        desired: deployment.replicas,
        template: deployment.template.hash,
    };
    memory.failing.see(&seen, around.now);
    let spared = memory.condemned.due(deployment.replicas);
    // Those that are listed as ready aren't what is waited for.
    let waking = waking || spared.is_some();
    let due = memory.failing.due(&seen, around.now).into_iter().chain(spared).min();
    let failing = seen.trouble.filter(|_| memory.failing.stands(&seen, around.now));
    let starting = starting(deployment, around.pods, failing).min(deployment.replicas.saturating_sub(ready));
    let adoption = usable.as_ref().map(|(good, _)| &good.adoption);
    let Above { mode, handed_to } = owner::settle(deployment, adoption, around.scalers, &leading, &mut notes);
    let target = adoption.and_then(|adoption| adoption.scale_target.clone());
    let namesake = owner::namesake(deployment, around.namesake, &mut notes);
    let entry = Entry {
        controller: deployment.controller,
        uid: deployment.uid.clone(),
        version: deployment.version.unwrap_or(0),
        generation: deployment.generation,
        replicas: deployment.replicas,
        rolling: deployment.rolling,
        adopted: usable.is_some(),
        mode: mode.clone(),
        hold: hold.clone(),
        marked: deployment.annotation(annotation::HOLD).is_some(),
        // Whoever has the count writes it here.
        contender: deployment.contender.as_deref().filter(|_| target.is_none()).map(str::to_owned),
        target,
        handed_to: handed_to.clone(),
        namesake,
        invalid: invalid.into(),
        pods: Arc::new(pods),
    };
    let order = order(deployment, &endpoints, &entry.pods);
    let doors = usable.as_ref().map(|(_, way)| doors(deployment, &leading, way)).unwrap_or_default();
    let workload = usable.zip(deployment.version).map(|((good, way), version)| {
        let checks = checks(deployment, &good.adoption, &way, &mut notes);
        Workload {
            id: deployment.id.clone(),
            hosts: good.hosts,
            policy: policy(&good.adoption, &way),
            path: good.adoption.path,
            endpoints,
            replicas: Replicas { desired: deployment.replicas, ready, starting },
            hold,
            failure: memory.failing.failure().cloned(),
            version,
            mode,
            checks,
            contender: entry.contender.clone(),
            handed_to,
            order,
        }
    });
    Built { workload, entry, notes, due, waking, service, doors }
}

fn doors(deployment: &Deployment, leading: &[&Service], way: &Way) -> Box<[Door]> {
    let template = &deployment.template;
    let number = infer::number(&way.port.target, template);
    let same = |port: &&ServicePort| {
        port.target == way.port.target || number.is_some() && infer::number(&port.target, template) == number
    };
    let door = |service: &&Service| {
        (service.name.clone(), service.ports.iter().filter(same).map(|port| port.port).collect())
    };
    leading.iter().map(door).collect()
}

/// The replicas of one workload.
#[derive(Default)]
struct Reached {
    endpoints: Vec<Endpoint>,
    pods: HashMap<EndpointUid, PodName>,
    waking: bool,
    service: Option<Box<str>>,
}

fn reach(deployment: &Deployment, around: &Around<'_>, way: &Way) -> Reached {
    let slices = (around.slices)(&way.service);
    let listed = gather::endpoints(&way.port, slices.iter().copied(), None, gather::Of::Pods);
    let all = match around.pods {
        Some(pods) => gather::endpoints(&way.port, slices, Some(pods), gather::Of::Pods),
        None => listed.clone(),
    };
    let ready = listed.0.iter().any(|endpoint| endpoint.phase == Phase::Ready);
    // What the pods say beyond the slices would be lost with the watch.
    let waking = deployment.replicas > 0 && !(ready && listed.0 == all.0);
    Reached { endpoints: all.0, pods: all.1, waking, service: Some(way.service.clone()) }
}

/// What is in force: what the annotations say, else the last that was allowed. What isn't allowed goes to `invalid`.
fn adopt(
    deployment: &Deployment,
    around: &Around<'_>,
    memory: &mut Memory,
    leading: &[&Service],
    notes: &mut Vec<Note>,
    invalid: &mut Vec<String>,
) -> Option<(Good, Way)> {
    let found = around.original.or(memory.found).unwrap_or(deployment.replicas);
    let usual = Policy::cluster(found);
    let annotations = deployment.annotations.iter().map(|(name, value)| (&**name, &**value));
    let id = &deployment.id;
    let read = match annotation::read(annotations, &usual) {
        Reading::Left => {
            (memory.good, memory.found) = (None, None);
            return None;
        }
        Reading::Invalid(wrong) => Err(wrong.iter().map(ToString::to_string).collect()),
        Reading::Adopted(_) if deployment.version.is_none() => Err(vec![
            "its resourceVersion isn't a number: this API server's objects can't be compared".to_owned(),
        ]),
        Reading::Adopted(adoption) => infer::way(&adoption, id.name(), &deployment.template, leading)
            .and_then(|way| Ok((around.rules.hosts(id, &adoption.hosts, &way.service)?, way)))
            .map(|(hosts, way)| (Good { adoption, hosts }, way))
            .map_err(|wrong| vec![wrong]),
    };
    match read {
        Ok((good, way)) => {
            notes.extend(
                good.adoption.notes.iter().map(|text| Note::of(&deployment.id, Kind::Limited, text.clone())),
            );
            notes.extend(
                way.inferred.iter().map(|text| Note::of(&deployment.id, Kind::Inferred, text.clone())),
            );
            let good = memory.settle(good);
            memory.found = Some(found);
            Some((good, way))
        }
        Err(wrong) => {
            notes.extend(wrong.iter().map(|text| Note::of(&deployment.id, Kind::Invalid, text.clone())));
            *invalid = wrong;
            deployment.version?;
            // The last good one, as far as there is still a way to its pods.
            let good = memory.good.clone()?;
            let way = infer::way(&good.adoption, id.name(), &deployment.template, leading).ok()?;
            Some((good, way))
        }
    }
}

impl Memory {
    /// Another object under the same name begins from nothing.
    fn meet(&mut self, deployment: &Deployment, around: &Around<'_>) {
        if self.uid.as_ref() != Some(&deployment.uid) {
            *self = Memory {
                uid: Some(deployment.uid.clone()),
                replicas: deployment.replicas,
                ..Memory::default()
            };
        }
        if deployment.replicas > self.replicas {
            self.raised = Some(around.now);
        }
        self.replicas = deployment.replicas;
    }

    /// Keeps what is allowed; what is equal to what was allowed before stays the same in memory.
    fn settle(&mut self, good: Good) -> Good {
        let mut good = good;
        if let Some(before) = self.good.take().filter(|before| before.adoption.policy == good.adoption.policy)
        {
            good.adoption.policy = before.adoption.policy;
        }
        self.good = Some(good.clone());
        good
    }

    /// Writes down when each endpoint was first seen, and first seen ready.
    fn timed(&mut self, endpoints: Vec<Endpoint>, now: Moment) -> Vec<Endpoint> {
        // What was there at the first look began at a time that isn't known.
        let raised = self.raised;
        let before = std::mem::take(&mut self.starts);
        let timed = |mut endpoint: Endpoint| {
            let fresh = StartTimes { decided: raised, started: raised.and(Some(now)), ready: None };
            let mut start = before.get(&endpoint.uid).copied().unwrap_or(fresh);
            if endpoint.phase == Phase::Ready && start.started.is_some() {
                start.ready.get_or_insert(now);
            }
            self.starts.insert(endpoint.uid.clone(), start);
            endpoint.start = start;
            endpoint
        };
        endpoints.into_iter().map(timed).collect()
    }
}

/// What keeps the pods of the newest template from starting.
fn stuck(pods: Option<&HashMap<Box<str>, Pod>>) -> Option<&Trouble> {
    let troubled = newest(pods?).filter_map(|(name, pod)| Some((name, pod.trouble.as_ref()?)));
    troubled.min_by_key(|(name, _)| *name).map(|it| it.1)
}

/// The pods of the newest template.
fn newest(pods: &HashMap<Box<str>, Pod>) -> impl Iterator<Item = (&str, &Pod)> {
    let newest = pods.values().max_by_key(|pod| (pod.created, &pod.template)).map(|pod| &pod.template);
    pods.iter().filter(move |(_, pod)| Some(&pod.template) == newest).map(|(name, pod)| (&**name, pod))
}

/// At most how many replicas are on their way. Those of which the platform says that they don't start aren't: who waits
/// for nothing else is told.
fn starting(
    deployment: &Deployment,
    pods: Option<&HashMap<Box<str>, Pod>>,
    failing: Option<&Trouble>,
) -> u32 {
    let coming = |pod: &Pod| {
        let ready = pod.address.as_ref().is_some_and(|address| address.phase == Phase::Ready);
        pod.lives && pod.trouble.is_none() && !ready
    };
    match (failing, pods) {
        (None, _) => deployment.replicas,
        (Some(trouble), _) if trouble.because == PROGRESS_DEADLINE => 0,
        (Some(_), Some(pods)) => {
            u32::try_from(newest(pods).filter(|(_, pod)| coming(pod)).count()).unwrap_or(u32::MAX)
        }
        // Which of them start isn't known, but what was refused isn't among them.
        (Some(_), None) => deployment.updated,
    }
}

fn ready(endpoints: &[Endpoint]) -> u32 {
    let ready = endpoints.iter().filter(|endpoint| endpoint.phase == Phase::Ready).count();
    u32::try_from(ready).unwrap_or(u32::MAX)
}

/// What a proxy may try by itself. Where that isn't what was asked for, it is told why.
fn checks(deployment: &Deployment, adoption: &Adoption, way: &Way, notes: &mut Vec<Note>) -> Arc<[Check]> {
    let readiness = &adoption.policy.readiness;
    let (checks, why) = check::checks(readiness, &deployment.template, &way.port.target);
    let said = adoption.says_readiness && *readiness != Readiness::Ready;
    let kind = if said { Kind::Limited } else { Kind::Inferred };
    notes.extend(why.map(|text| Note::of(&deployment.id, kind, text)));
    checks.into()
}

fn policy(adoption: &Adoption, way: &Way) -> Arc<Policy> {
    let mut policy = adoption.policy.clone();
    if way.h2c {
        Arc::make_mut(&mut policy).protocol = Protocol::H2c;
    }
    policy
}

/// The ready replicas of a StatefulSet in the order in which they go: the highest ordinal first
/// (<https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#deployment-and-scaling-guarantees>).
fn order(
    deployment: &Deployment,
    endpoints: &[Endpoint],
    pods: &HashMap<EndpointUid, PodName>,
) -> Option<Arc<[EndpointUid]>> {
    let ordinal = |endpoint: &Endpoint| -> Option<u32> {
        let name = &pods.get(&endpoint.uid)?.name;
        name.strip_prefix(deployment.id.name())?.strip_prefix('-')?.parse().ok()
    };
    if deployment.controller != Controller::StatefulSet {
        return None;
    }
    let ready = endpoints.iter().filter(|endpoint| endpoint.phase == Phase::Ready);
    let mut ready: Vec<_> = ready.filter_map(|one| Some((Reverse(ordinal(one)?), &one.uid))).collect();
    ready.sort_unstable();
    Some(ready.into_iter().map(|(_, uid)| uid.clone()).collect())
}

fn hold(deployment: &Deployment, notes: &mut Vec<Note>) -> Option<Hold> {
    let text = deployment.annotation(annotation::HOLD)?;
    match serde_json::from_str(text) {
        Ok(hold) => Some(hold),
        Err(_) => {
            let shown: String = text.chars().take(annotation::SHOWN).collect();
            let text = format!("{} = {shown:?} isn't a hold and has no effect: remove it", annotation::HOLD);
            notes.push(Note::of(&deployment.id, Kind::Limited, text));
            None
        }
    }
}
