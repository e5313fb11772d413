//! The cluster as it was last heard of, and which workloads have to be built again for what was heard.
//!
//! Pure bookkeeping: changes go in, the set of touched workloads comes out. A relist is compared with what is known, so
//! that it touches only what differs.

use std::collections::{BTreeMap, HashMap, HashSet};

use kaos_core::WorkloadId;
use kaos_core::annotation::SCALE_TARGET;

use crate::controller::Controller;
use crate::infer;
use crate::ingress::{Class, Classes, Ingress};
use crate::object::{Deployment, Name, Pod, Service, Slice};
use crate::scaler::{Scaler, Scalers};

/// More Services than this that change together touch every workload.
const MANY: usize = 100;

/// What a watch has to say of objects of one kind.
#[derive(Debug)]
pub(crate) enum Part<T> {
    /// These are all there are in this namespace (`None`: in the cluster). One that can't be read is `None`: it stays as
    /// it is known.
    All(Option<Box<str>>, Vec<(Name, Option<T>)>),
    /// This one is as given; `None`: gone, or of no concern.
    One(Name, Option<T>),
}

/// One change of the cluster.
#[derive(Debug)]
pub(crate) enum Change {
    /// Deployments or StatefulSets: each kind has a watch of its own.
    Deployments(Controller, Part<Deployment>),
    Services(Part<Service>),
    Slices(Part<Slice>),
    Ingresses(Part<Ingress>),
    Scalers(Part<Scaler>),
    Classes(Part<Class>),
    /// Pods of a waking workload, from its watch of this number.
    Pods(WorkloadId, u64, Pods),
}

/// Pods of a waking workload, by name.
#[derive(Debug)]
pub(crate) enum Pods {
    /// One that can't be read is `None`: it stays as it is known.
    All(HashMap<Box<str>, Option<Pod>>),
    One(Box<str>, Option<Box<Pod>>),
}

impl Pods {
    /// Puts them into `known`. Whether that changed anything.
    pub(crate) fn put(self, known: &mut HashMap<Box<str>, Pod>) -> bool {
        match self {
            Pods::All(all) => {
                let read = |(name, pod): (Box<str>, Option<Pod>)| {
                    let pod = pod.or_else(|| known.get(&name).cloned())?;
                    Some((name, pod))
                };
                let all = all.into_iter().filter_map(read).collect();
                let changed = *known != all;
                *known = all;
                changed
            }
            Pods::One(name, Some(pod)) => {
                let same = known.get(&name) == Some(&*pod);
                known.insert(name, *pod);
                !same
            }
            Pods::One(name, None) => known.remove(&name).is_some(),
        }
    }
}

/// The cluster, reduced.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// One under each name: of a Deployment and a StatefulSet the one that asks to be Kaos's, then the older.
    pub(crate) deployments: BTreeMap<WorkloadId, Box<Deployment>>,
    /// The other one.
    pub(crate) namesakes: HashMap<WorkloadId, Box<Deployment>>,
    pub(crate) scalers: Scalers,
    /// By namespace; sorted by name.
    services: HashMap<Box<str>, Vec<Service>>,
    /// By namespace and Service: nearly always one each, so a map of them would be mostly air.
    slices: HashMap<Name, Vec<Slice>>,
    /// The Service of each slice.
    owners: HashMap<Name, Box<str>>,
    /// Which workloads are reached by a Service.
    users: HashMap<Name, HashSet<WorkloadId>>,
    pub(crate) ingresses: BTreeMap<Name, Box<Ingress>>,
    pub(crate) classes: Classes,
    /// Workloads to be built again.
    pub(crate) touched: HashSet<WorkloadId>,
    /// Ingresses, or what they may lead to, are others than before.
    pub(crate) rerouted: bool,
}

impl State {
    /// The Services of `namespace`.
    pub(crate) fn services(&self, namespace: &str) -> Vec<&Service> {
        self.services.get(namespace).into_iter().flatten().collect()
    }

    /// A Service by its name.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        let all = self.services.get(namespace)?;
        all.get(all.binary_search_by(|known| (*known.name).cmp(name)).ok()?)
    }

    /// Whether there is something to be made of what was heard.
    pub(crate) fn has_changed(&self) -> bool {
        self.rerouted || !self.touched.is_empty()
    }

    /// The slices of a Service.
    pub(crate) fn slices(&self, namespace: &str, service: &str) -> Vec<&Slice> {
        let key = (namespace.into(), service.into());
        self.slices.get(&key).into_iter().flatten().collect()
    }

    /// Remembers by which Service `workload` is reached.
    pub(crate) fn reach(&mut self, workload: &WorkloadId, before: Option<&str>, after: Option<&str>) {
        if before == after {
            return;
        }
        let key = |service: &str| (workload.namespace().into(), service.into());
        if let Some(before) = before.map(key)
            && let Some(users) = self.users.get_mut(&before)
        {
            users.remove(workload);
            if users.is_empty() {
                self.users.remove(&before);
            }
        }
        if let Some(after) = after.map(key) {
            self.users.entry(after).or_default().insert(workload.clone());
        }
    }

    /// Takes what a watch of Deployments or StatefulSets says.
    pub(crate) fn deployments(&mut self, controller: Controller, part: Part<Deployment>) {
        let known = move |state: &State, scope: Option<&str>| {
            let all = state.deployments.iter().chain(&state.namesakes);
            let ours = all.filter(|(id, one)| {
                one.controller == controller && scope.is_none_or(|scope| id.namespace() == scope)
            });
            ours.map(|(id, _)| (id.namespace().into(), id.name().into())).collect()
        };
        for (name, deployment) in self.each(part, known) {
            // Its own id, where there is one: the names are in memory once then.
            let own = deployment.as_ref().map(|deployment| deployment.id.clone());
            let id = own.unwrap_or_else(|| WorkloadId::new(&name.0, &name.1));
            if self.put(&id, controller, deployment) {
                self.touched.insert(id);
            }
        }
    }

    /// Puts what there is of one kind under `id`. Whether that changed anything.
    fn put(&mut self, id: &WorkloadId, controller: Controller, found: Option<Deployment>) -> bool {
        let known = self.deployments.get(id);
        let alone = !self.namesakes.contains_key(id) && known.is_none_or(|one| one.controller == controller);
        match found {
            Some(found) if alone => {
                let same = known.is_some_and(|known| **known == found);
                self.deployments.insert(id.clone(), Box::new(found));
                return !same;
            }
            None if alone => return self.deployments.remove(id).is_some(),
            found => {
                let both = [self.deployments.remove(id), self.namesakes.remove(id)].into_iter().flatten();
                let mut both: Vec<_> = both.filter(|one| one.controller != controller).collect();
                both.extend(found.map(Box::new));
                both.sort_by_key(|one| (!one.opts_in(), one.created, one.controller));
                let mut both = both.into_iter();
                self.deployments.extend(both.next().map(|one| (id.clone(), one)));
                self.namesakes.extend(both.next().map(|one| (id.clone(), one)));
            }
        }
        true
    }

    /// Takes what a watch of HorizontalPodAutoscalers says.
    pub(crate) fn take_scalers(&mut self, part: Part<Scaler>) {
        let known = |state: &State, scope: Option<&str>| state.scalers.names(scope);
        for (name, scaler) in self.each(part, known) {
            for target in self.scalers.put(&name, scaler) {
                let id = WorkloadId::new(&name.0, &target.name);
                let own = self.deployments.contains_key(&id).then_some(id);
                let others = self.within(&name.0).filter(|one| one.annotation(SCALE_TARGET).is_some());
                let touched: Vec<_> = others.map(|one| one.id.clone()).chain(own).collect();
                self.touched.extend(touched);
            }
        }
    }

    /// Takes what a watch of Services says.
    pub(crate) fn take_services(&mut self, part: Part<Service>) {
        let known = |state: &State, scope: Option<&str>| {
            let mut names = HashSet::new();
            for (namespace, all) in &state.services {
                if scope.is_none_or(|scope| **namespace == *scope) {
                    names.extend(all.iter().map(|service| (namespace.clone(), service.name.clone())));
                }
            }
            names
        };
        let mut changed = Vec::new();
        for ((namespace, name), service) in self.each(part, known) {
            let all = self.services.entry(namespace.clone()).or_default();
            let place = all.binary_search_by(|known| known.name.cmp(&name));
            let before = place.ok().map(|at| &all[at]);
            if before != service.as_ref() && changed.len() <= MANY {
                changed.push((namespace.clone(), [before.cloned(), service.clone()]));
            }
            match (place, service) {
                (Ok(at), Some(service)) => all[at] = service,
                (Ok(at), None) => drop(all.remove(at)),
                // Lists come sorted by name, so that nearly all go to the end.
                (Err(at), Some(service)) => all.insert(at, service),
                (Err(_), None) => {}
            }
            if all.is_empty() {
                self.services.remove(&namespace);
            }
        }
        // What leads to a Service may be led elsewhere.
        self.rerouted |= !changed.is_empty() && !self.ingresses.is_empty();
        // To find out whom each of ten thousand Services concerns costs more than to build everything again.
        if changed.len() > MANY {
            self.touched.extend(self.users.values().flatten().cloned());
            return self.touched.extend(self.deployments.keys().cloned());
        }
        for (namespace, services) in changed {
            self.touch_selected(&namespace, &services);
            let names: HashSet<&str> = services.iter().flatten().map(|service| &*service.name).collect();
            for name in names {
                let users = self.users.get(&(namespace.clone(), name.into()));
                self.touched.extend(users.into_iter().flatten().cloned());
            }
        }
    }

    /// Takes what a watch of Ingresses says.
    pub(crate) fn take_ingresses(&mut self, part: Part<Ingress>) {
        let known = |state: &State, scope: Option<&str>| {
            let in_scope = |name: &&Name| scope.is_none_or(|scope| *name.0 == *scope);
            state.ingresses.keys().filter(in_scope).cloned().collect()
        };
        for (name, ingress) in self.each(part, known) {
            let served = |ingress: &Ingress| self.classes.serve(ingress);
            let before = self.ingresses.get(&name).map(Box::as_ref);
            // Those of others change nothing.
            let concerns = before.is_some_and(served) || ingress.as_ref().is_some_and(served);
            self.rerouted |= concerns && before != ingress.as_ref();
            match ingress {
                Some(ingress) => drop(self.ingresses.insert(name, Box::new(ingress))),
                None => drop(self.ingresses.remove(&name)),
            }
        }
    }

    /// Takes what a watch of IngressClasses says.
    pub(crate) fn take_classes(&mut self, part: Part<Class>) {
        let known = |state: &State, _: Option<&str>| {
            state.classes.known.keys().map(|name| (Box::default(), name.clone())).collect()
        };
        for ((_, name), class) in self.each(part, known) {
            let before = match &class {
                Some(class) => self.classes.known.insert(name, class.clone()),
                None => self.classes.known.remove(&name),
            };
            self.rerouted |= before != class;
        }
    }

    /// Workloads that one of `services` leads to.
    fn touch_selected(&mut self, namespace: &str, services: &[Option<Service>]) {
        let led = |deployment: &&Deployment| {
            !infer::leading(services.iter().flatten(), &deployment.template).is_empty()
        };
        let touched: Vec<_> = self.within(namespace).filter(led).map(|one| one.id.clone()).collect();
        self.touched.extend(touched);
    }

    /// The Deployments and StatefulSets of `namespace`.
    fn within(&self, namespace: &str) -> impl Iterator<Item = &Deployment> {
        let all = self.deployments.range(WorkloadId::new(namespace, "")..);
        all.take_while(move |(id, _)| id.namespace() == namespace).map(|(_, one)| &**one)
    }

    /// Takes what a watch of EndpointSlices says.
    pub(crate) fn take_slices(&mut self, part: Part<Slice>) {
        let known = |state: &State, scope: Option<&str>| {
            state
                .owners
                .keys()
                .filter(|(namespace, _)| scope.is_none_or(|scope| **namespace == *scope))
                .cloned()
                .collect()
        };
        for (name, slice) in self.each(part, known) {
            let owner = self.owners.get(&name).cloned();
            let after = slice.as_ref().map(|slice| slice.service.clone());
            if let Some(owner) = owner.filter(|owner| Some(owner) != after.as_ref()) {
                self.set_slice(&name, &owner, None);
                self.owners.remove(&name);
            }
            if let Some(after) = after {
                self.set_slice(&name, &after, slice);
                self.owners.insert(name, after);
            }
        }
    }

    fn set_slice(&mut self, name: &Name, service: &str, slice: Option<Slice>) {
        let key: Name = (name.0.clone(), service.into());
        let all = self.slices.entry(key.clone()).or_default();
        let place = all.iter().position(|known| known.name == name.1);
        let same = place.map(|at| &all[at]) == slice.as_ref();
        match (place, slice) {
            (Some(at), Some(slice)) => all[at] = slice,
            (Some(at), None) => drop(all.swap_remove(at)),
            (None, Some(slice)) => {
                // An allocation of one, not of four.
                all.reserve_exact(1);
                all.push(slice);
            }
            (None, None) => {}
        }
        if all.is_empty() {
            self.slices.remove(&key);
        }
        if !same {
            self.touched.extend(self.users.get(&key).into_iter().flatten().cloned());
        }
    }

    /// The single objects that `part` is about: with a relist, those that are gone too.
    fn each<T, F: Fn(&State, Option<&str>) -> HashSet<Name>>(
        &self,
        part: Part<T>,
        known: F,
    ) -> impl Iterator<Item = (Name, Option<T>)> + use<T, F> {
        let (gone, there) = match part {
            Part::One(name, None) => (HashSet::from([name]), Vec::new()),
            Part::One(name, object) => (HashSet::new(), vec![(name, object)]),
            Part::All(scope, there) => {
                let mut gone = known(self, scope.as_deref());
                for (name, _) in &there {
                    gone.remove(name);
                }
                (gone, there)
            }
        };
        let read = there.into_iter().filter(|(_, object)| object.is_some());
        gone.into_iter().map(|name| (name, None)).chain(read)
    }
}
