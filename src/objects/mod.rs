//! Plain objects to look at, of a cluster or of files, and which Deployments among them are meant.

mod files;

use kaos_core::WorkloadId;
use kaos_kubernetes::safety::{Objects, Scope, Survey, Unreachable};

use crate::ask::Cluster;
use crate::cli::selection::Selection;
use crate::failure::Failure;

/// The namespace of objects in files that name none.
const DEFAULT: &str = "default";

/// What is looked at.
pub(crate) struct Selected {
    /// All there is.
    pub(crate) objects: Objects,
    /// Where the Deployments are that are meant.
    pub(crate) scope: Scope,
    /// The cluster they are of; none if they are of files.
    pub(crate) cluster: Option<Cluster>,
}

impl Selected {
    /// Reads what `selection` says: files, or what `gather` finds in a cluster.
    pub(crate) async fn read(
        selection: &Selection,
        gather: impl AsyncFnOnce(&kaos_kubernetes::Client, &Scope) -> Result<Objects, Unreachable>,
    ) -> Result<Selected, Failure> {
        if !selection.files.is_empty() {
            return written(selection);
        }
        let cluster = Cluster::connect(&selection.kubeconfig).await?;
        let scope = match selection.all_namespaces {
            true => Scope::Everywhere,
            false => of_namespace(selection, cluster.namespace()),
        };
        let objects = gather(&cluster.client(), &scope).await;
        let objects = objects.map_err(|why| Failure::Unanswered(why.to_string()))?;
        Ok(Selected { objects, scope, cluster: Some(cluster) })
    }

    /// Whether it is of files.
    pub(crate) fn is_written(&self) -> bool {
        self.cluster.is_none()
    }

    /// Whether a Deployment of this name is meant, by where it is.
    pub(crate) fn is_meant(&self, workload: &WorkloadId) -> bool {
        match &self.scope {
            Scope::Everywhere => true,
            Scope::Namespace(namespace) => namespace == workload.namespace(),
            Scope::One(namespace, name) => namespace == workload.namespace() && name == workload.name(),
        }
    }

    /// The Deployments that are meant, by where they are and by their labels. `Err`: the one that was named isn't there.
    pub(crate) fn workloads(
        &self,
        survey: &Survey<'_>,
        selection: &Selection,
    ) -> Result<Vec<WorkloadId>, Failure> {
        let mut all = survey.workloads();
        all.retain(|workload| self.is_meant(workload));
        if let (Scope::One(namespace, name), true) = (&self.scope, all.is_empty()) {
            return Err(Failure::Unanswered(format!("there is no Deployment {namespace}/{name}")));
        }
        if let Some(selector) = &selection.selector {
            all.retain(|workload| survey.labelled(workload, selector));
        }
        Ok(all)
    }
}

/// What stands in files, and what is meant of it: all of it, unless a namespace or a name is said.
fn written(selection: &Selection) -> Result<Selected, Failure> {
    let scope = match selection.name.is_none() && selection.namespace.is_none() {
        true => Scope::Everywhere,
        false => of_namespace(selection, DEFAULT),
    };
    let namespace = selection.namespace.as_deref().unwrap_or(DEFAULT);
    Ok(Selected { objects: files::read(&selection.files, namespace)?, scope, cluster: None })
}

fn of_namespace(selection: &Selection, usual: &str) -> Scope {
    let named = selection.name.as_ref();
    let namespace = named.and_then(|named| named.namespace.as_ref()).or(selection.namespace.as_ref());
    let namespace = namespace.map_or(usual, String::as_str).to_owned();
    match named {
        Some(named) => Scope::One(namespace, named.name.clone()),
        None => Scope::Namespace(namespace),
    }
}
