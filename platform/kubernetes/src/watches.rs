//! The watches from which the cluster is known.

use kube::Client;
use tokio::sync::mpsc;

use crate::controller::Controller;
use crate::entry::Entrance;
use crate::follow::{Follow, Said, Which};
use crate::news::Change;
use crate::object::Deployment;
use crate::part::{ENTRANCE, List, Part};
use crate::reduce::StatefulSet;
use crate::task::Task;
use crate::wire::Watched;

/// A watch that has begun; dropped, it ends.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What it lists at first.
    pub(crate) list: List,
    _task: Task,
}

/// Begins watches.
pub(crate) struct Watches {
    pub(crate) client: Client,
    /// The namespaces that are read. `None`: all.
    pub(crate) scopes: Vec<Option<String>>,
    pub(crate) out: mpsc::Sender<Change>,
}

impl Watches {
    /// Of what is always worth to be known, in each scope; `scalers`: of HorizontalPodAutoscalers, too.
    pub(crate) fn everywhere(&self, scalers: bool) -> Vec<Watch> {
        let mut watches =
            self.each::<Deployment, _>(|part| Change::Deployments(Controller::Deployment, part));
        watches
            .extend(self.each::<StatefulSet, _>(|part| Change::Deployments(Controller::StatefulSet, part)));
        if scalers {
            watches.extend(self.each(Change::Scalers));
        }
        watches.extend(self.each(Change::Services));
        watches.extend(self.each(Change::Slices));
        watches.extend(self.each(Change::Ingresses));
        watches
    }

    /// Of what belongs to Gateways, in each scope; `spaces`: of Namespaces, too.
    pub(crate) fn gateways(&self, spaces: bool) -> Vec<Watch> {
        let mut watches = self.each(Change::Gateways);
        watches.extend(self.each(Change::Routes));
        watches.extend(self.each(Change::Grants));
        watches.extend(spaces.then(|| self.all(Change::Spaces)));
        watches
    }

    /// Of a kind that is read as `T` and kept as `U`, in each scope: a list for each.
    fn each<T: Watched, U: From<T> + 'static>(&self, change: fn(Part<U>) -> Change) -> Vec<Watch> {
        self.scopes.iter().map(|scope| self.of::<T, U>(scope.clone(), change)).collect()
    }

    /// Of a kind that is in no namespace.
    pub(crate) fn all<T: Watched>(&self, change: fn(Part<T>) -> Change) -> Watch {
        self.of::<T, T>(None, change)
    }

    fn of<T: Watched, U: From<T> + 'static>(
        &self,
        namespace: Option<String>,
        change: fn(Part<U>) -> Change,
    ) -> Watch {
        let scope: Option<Box<str>> = namespace.clone().map(Into::into);
        let list = (T::PLURAL, scope.clone());
        let follow = Follow::<T, _> {
            what: T::PLURAL,
            client: self.client.clone(),
            namespace,
            which: Which::All,
            change: Box::new(move |said: Said<T>| change(said.of::<U>().part(scope.as_deref()))),
        };
        Watch { list, _task: Task::spawn(follow.run(self.out.clone())) }
    }

    /// Of the proxies' Service, by its name.
    pub(crate) fn entrance(&self, (namespace, name): (String, String)) -> Watch {
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
        Watch { list: ENTRANCE, _task: Task::spawn(follow.run(self.out.clone())) }
    }
}
