//! The cluster as it was last heard of, and which workloads have to be built again for what was heard.
//!
//! Pure bookkeeping: changes go in, the set of touched workloads comes out. A relist is compared with what is known, so
//! that it touches only what differs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use kaos_core::WorkloadId;
use kaos_core::annotation::SCALE_TARGET;

use crate::controller::Controller;
use crate::entry::Entrance;
use crate::gateway::{Gateway, GatewayClass, Gateways, Grant, HttpRoute, Space};
use crate::infer;
use crate::ingress::{Class, Classes, Ingress};
use crate::kept::{Kept, Stated};
use crate::object::{Deployment, Name, Service, Slice};
use crate::part::Part;
use crate::scaler::{Scaler, Scalers};
use crate::secret::SecretName;

/// What is wrong with each Secret that was looked at, if something is.
pub type Verdicts = Arc<BTreeMap<SecretName, Result<(), String>>>;

/// More Services than this that change together touch every workload.
const MANY: usize = 100;

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
    pub(crate) ingresses: Kept<Stated<Ingress>>,
    pub(crate) classes: Classes,
    pub(crate) gateways: Gateways,
    /// Where requests come in.
    pub(crate) entrance: Entrance,
    /// What is known of the Secrets that Gateways name. `None`: it isn't judged here.
    pub(crate) verdicts: Option<Verdicts>,
    /// What statuses say is of concern, and kept.
    pub(crate) states: bool,
    /// Workloads to be built again.
    pub(crate) touched: HashSet<WorkloadId>,
    /// Ingresses, HTTPRoutes, or what they may lead to, are others than before.
    pub(crate) rerouted: bool,
    /// The status of one of them is another than before.
    pub(crate) restated: bool,
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
        self.rerouted || self.restated || !self.touched.is_empty()
    }

    /// Whether there are routes that objects ask for beside Deployments.
    pub(crate) fn has_routes(&self) -> bool {
        !self.ingresses.is_empty() || !self.gateways.routes.is_empty()
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
        self.rerouted |= !changed.is_empty() && self.has_routes();
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

    /// As it is kept: what nobody asks for is neither kept nor a change.
    fn stated<T>(&self, part: Part<Stated<T>>) -> Part<Stated<T>> {
        if self.states {
            return part;
        }
        let without = |object: Option<Stated<T>>| object.map(Stated::without_status);
        match part {
            Part::One(name, object) => Part::One(name, without(object)),
            Part::All(scope, all) => {
                Part::All(scope, all.into_iter().map(|(name, object)| (name, without(object))).collect())
            }
        }
    }

    /// Takes what a watch of Ingresses says.
    pub(crate) fn take_ingresses(&mut self, part: Part<Stated<Ingress>>) {
        let part = self.stated(part);
        let (classes, rerouted, restated) = (&self.classes, &mut self.rerouted, &mut self.restated);
        // Those of others change nothing.
        let served = |ingress: &Stated<Ingress>| classes.serve(&ingress.object);
        self.ingresses.take(part, |before, after| {
            if before.is_some_and(served) || after.is_some_and(served) {
                note(before, after, rerouted, restated);
            }
        });
    }

    /// Takes what a watch of GatewayClasses says.
    pub(crate) fn take_gateway_classes(&mut self, part: Part<Stated<GatewayClass>>) {
        let part = self.stated(part);
        let (rerouted, restated) = (&mut self.rerouted, &mut self.restated);
        self.gateways.classes.take(part, |before, after| note(before, after, rerouted, restated));
        if !self.gateways.are_wanted() {
            let Gateways { all, routes, grants, spaces, .. } = &mut self.gateways;
            all.clear();
            routes.clear();
            grants.clear();
            spaces.clear();
        }
    }

    /// Takes what a watch of Gateways says.
    pub(crate) fn take_gateways(&mut self, part: Part<Stated<Gateway>>) {
        let part = self.stated(part);
        let (rerouted, restated) = (&mut self.rerouted, &mut self.restated);
        self.gateways.all.take(part, |before, after| note(before, after, rerouted, restated));
    }

    /// Takes what a watch of HTTPRoutes says.
    pub(crate) fn take_routes(&mut self, part: Part<Stated<HttpRoute>>) {
        let part = self.stated(part);
        let (rerouted, restated) = (&mut self.rerouted, &mut self.restated);
        self.gateways.routes.take(part, |before, after| note(before, after, rerouted, restated));
    }

    /// Takes what a watch of ReferenceGrants says.
    pub(crate) fn take_grants(&mut self, part: Part<Grant>) {
        let rerouted = &mut self.rerouted;
        self.gateways.grants.take(part, |before, after| *rerouted |= before != after);
    }

    /// Takes what a watch of Namespaces says.
    pub(crate) fn take_spaces(&mut self, part: Part<Space>) {
        let rerouted = &mut self.rerouted;
        self.gateways.spaces.take(part, |before, after| *rerouted |= before != after);
    }

    /// Takes what is said of the proxies' Service. One that is gone is being made anew: what was known of it stays.
    pub(crate) fn take_entrance(&mut self, entrance: Option<Entrance>) {
        let Some(entrance) = entrance else { return };
        self.rerouted |= self.entrance != entrance;
        self.entrance = entrance;
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

/// Notes what has changed with an object.
fn note<T: PartialEq>(
    before: Option<&Stated<T>>,
    after: Option<&Stated<T>>,
    rerouted: &mut bool,
    restated: &mut bool,
) {
    // A new one under an old name is older or younger than the one before; a new generation is to be said again.
    let said =
        |stated: Option<&Stated<T>>| stated.map(|stated| (stated.stand.uid.clone(), stated.stand.generation));
    let same = said(before) == said(after)
        && before.map(|before| &before.object) == after.map(|after| &after.object);
    *rerouted |= !same;
    *restated |= before.map(|before| &before.stand) != after.map(|after| &after.stand);
}
