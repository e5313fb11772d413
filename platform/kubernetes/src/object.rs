//! What is kept of the cluster's objects: only the fields that something is decided from, in few bytes.
//!
//! A cluster of 10,000 Deployments and 30,000 pods has to fit beside everything else a proxy holds. Deployments that
//! don't concern Kaos aren't kept at all.

use std::sync::Arc;
use std::time::Duration;

use kaos_core::{WorkloadId, annotation};

use crate::addresses::{Address, Addresses};
use crate::controller::Controller;

/// Pairs of names and values, sorted by name: labels, selectors, annotations.
pub(crate) type Pairs = Box<[(Box<str>, Box<str>)]>;

/// Namespace and name of an object.
pub(crate) type Name = (Box<str>, Box<str>);

/// A Deployment or StatefulSet that carries an annotation of Kaos.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Deployment {
    pub(crate) id: WorkloadId,
    pub(crate) controller: Controller,
    pub(crate) uid: Arc<str>,
    /// `None`: it isn't a number, so versions can't be compared.
    pub(crate) version: Option<u64>,
    pub(crate) generation: i64,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// Kaos's and Knative's; others mean nothing here.
    pub(crate) annotations: Pairs,
    pub(crate) replicas: u32,
    /// Label selector of its pods, as a query writes it. `None`: one that can't be written so.
    pub(crate) selector: Option<Box<str>>,
    /// Pods of its newest template that exist, as its controller last said.
    pub(crate) updated: u32,
    /// An update of its pods isn't finished, or not begun.
    pub(crate) rolling: bool,
    /// Who writes its count beside Kaos.
    pub(crate) contender: Option<Box<str>>,
    /// Who else decides on its count: a sentence's beginning, such as `KEDA`.
    pub(crate) owner: Option<Box<str>>,
    pub(crate) template: Template,
    /// A condition that says why pods aren't made or don't get ready: reason and message.
    pub(crate) trouble: Option<Trouble>,
}

impl Deployment {
    /// The value of an annotation.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.iter().find(|(named, _)| **named == *name).map(|(_, value)| &**value)
    }

    /// Whether it asks to be Kaos's.
    pub(crate) fn opts_in(&self) -> bool {
        self.annotation(annotation::ENABLED) == Some("true")
    }
}

/// The pod template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    pub(crate) labels: Pairs,
    pub(crate) containers: Box<[Container]>,
    /// Readiness also depends on conditions that others set.
    pub(crate) gated: bool,
    /// Changes with anything in it.
    pub(crate) hash: u64,
}

/// A container that runs for as long as its pod does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Container {
    pub(crate) name: Box<str>,
    /// Named TCP ports.
    pub(crate) ports: Box<[(Box<str>, u16)]>,
    pub(crate) startup: Option<Probe>,
    pub(crate) readiness: Option<Probe>,
}

/// A startup or readiness probe.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Probe {
    pub(crate) timeout: Duration,
    pub(crate) successes: u32,
    pub(crate) action: Action,
}

/// What a probe does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Http {
        host: bool,
        port: Target,
        path: Box<str>,
        tls: bool,
        headers: Box<[(Box<str>, Box<str>)]>,
    },
    Tcp {
        host: bool,
        port: Target,
    },
    Grpc {
        port: u16,
        service: Box<str>,
    },
    /// Only the kubelet can run it, or it isn't known.
    Exec,
}

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Number(u16),
    Name(Box<str>),
}

/// What a platform says of a start that doesn't go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// A stable word, such as `image-pull`.
    pub(crate) because: &'static str,
    /// A sentence.
    pub(crate) detail: Box<str>,
}

/// A Service. One that selects no pods has endpoints that somebody has written down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Service {
    pub(crate) name: Box<str>,
    pub(crate) selector: Pairs,
    pub(crate) ports: Box<[ServicePort]>,
    pub(crate) kind: Kind,
}

/// How a Service is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cluster,
    Headless,
    NodePort,
    LoadBalancer,
}

/// A TCP port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServicePort {
    pub(crate) name: Box<str>,
    pub(crate) port: u16,
    pub(crate) target: Target,
    pub(crate) h2c: bool,
}

/// An EndpointSlice of a Service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Slice {
    pub(crate) name: Box<str>,
    pub(crate) service: Box<str>,
    /// By the Service port's name.
    pub(crate) ports: Box<[(Box<str>, u16)]>,
    pub(crate) addresses: Addresses,
}

/// No node takes a pod: the one trouble that may pass within seconds, when another pod's room becomes free.
pub(crate) const UNSCHEDULABLE: &str = "unschedulable";

/// The Deployment's controller waits no longer for its pods to get ready.
pub(crate) const PROGRESS_DEADLINE: &str = "progress-deadline";

/// A pod of a workload that is waking.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pod {
    pub(crate) address: Option<Address>,
    /// Neither on its way out nor ended.
    pub(crate) lives: bool,
    /// Named TCP ports of its containers.
    pub(crate) ports: Box<[(Box<str>, u16)]>,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// Which template it was made from: the same for pods of one ReplicaSet.
    pub(crate) template: Box<str>,
    pub(crate) trouble: Option<Trouble>,
}
