//! The watches from which the cluster is known.

use kube::Client;
use tokio::sync::mpsc;

use crate::entry::Entrance;
use crate::follow::{Follow, Said, Which};
use crate::state::{Change, Part};
use crate::task::Task;
use crate::wire::Watched;

/// Begins watches.
pub(crate) struct Watches {
    pub(crate) client: Client,
    /// The namespaces that are read. `None`: all.
    pub(crate) scopes: Vec<Option<String>>,
    pub(crate) out: mpsc::Sender<Change>,
}

impl Watches {
    /// Of what is always worth to be known, in each scope.
    pub(crate) fn everywhere(&self) -> Vec<Task> {
        let mut tasks = self.each("deployments", Change::Deployments);
        tasks.extend(self.each("services", Change::Services));
        tasks.extend(self.each("endpointslices", Change::Slices));
        tasks.extend(self.each("ingresses", Change::Ingresses));
        tasks
    }

    /// Of what belongs to Gateways, in each scope; `spaces`: of Namespaces, too.
    pub(crate) fn gateways(&self, spaces: bool) -> Vec<Task> {
        let mut tasks = self.each("gateways", Change::Gateways);
        tasks.extend(self.each("httproutes", Change::Routes));
        tasks.extend(self.each("referencegrants", Change::Grants));
        tasks.extend(spaces.then(|| self.all("namespaces", Change::Spaces)));
        tasks
    }

    /// Of a kind, in each scope: a list for each.
    fn each<T: Watched>(&self, what: &'static str, change: fn(Part<T>) -> Change) -> Vec<Task> {
        self.scopes.iter().map(|scope| self.of(what, scope.clone(), change)).collect()
    }

    /// Of a kind that is in no namespace.
    pub(crate) fn all<T: Watched>(&self, what: &'static str, change: fn(Part<T>) -> Change) -> Task {
        self.of(what, None, change)
    }

    fn of<T: Watched>(
        &self,
        what: &'static str,
        namespace: Option<String>,
        change: fn(Part<T>) -> Change,
    ) -> Task {
        let scope = namespace.clone();
        let follow = Follow::<T, _> {
            what,
            client: self.client.clone(),
            namespace,
            which: Which::All,
            change: Box::new(move |said: Said<_>| change(said.part(scope.as_deref()))),
        };
        Task::spawn(follow.run(self.out.clone()))
    }

    /// Of the proxies' Service, by its name.
    pub(crate) fn entrance(&self, (namespace, name): (String, String)) -> Task {
        let follow = Follow::<Entrance, _> {
            what: "the proxies' service",
            client: self.client.clone(),
            namespace: Some(namespace),
            which: Which::Named(name),
            change: Box::new(|said| match said {
                Said::All(all) => Change::Entrance(all.into_iter().next().and_then(|(_, service)| service)),
                Said::One(_, service) => Change::Entrance(service),
            }),
        };
        Task::spawn(follow.run(self.out.clone()))
    }
}
