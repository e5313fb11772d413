//! Objects as the API server sends them, read straight from their bytes.
//!
//! Where an object's parts begin and end is found in one pass, and only what something is decided from is read: what isn't
//! read may have any shape. An object that can't be read says so, and is no reason not to read the others. What is kept of
//! each kind, and why, is said in `reduce`.

mod deployment;
pub(crate) mod gateway;
mod ingress;
mod meta;
mod pod;
mod service;
mod slice;

use std::fmt::Debug;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub(crate) use deployment::{
    Condition, Container, ContainerPort, DeploymentSpec, DeploymentStatus, PodTemplate, Probe,
};
pub(crate) use ingress::{BalancerStatus, ClassSpec, HttpPath, IngressBackend, IngressSpec, IngressStatus};
pub(crate) use meta::{Meta, Writer};
pub(crate) use pod::{ContainerStatus, PodSpec, PodStatus};
pub(crate) use service::{ServiceSpec, ServiceSpecPort};
pub(crate) use slice::{Conditions, SliceEndpoint, SlicePort};

use crate::object::Name;
use crate::protobuf::Message;

/// A kind of objects that is watched.
pub(crate) trait Watched: Clone + Debug + Send + Sized + 'static {
    /// Such as `apps`; empty for the core group.
    const GROUP: &'static str;
    /// Such as `v1`.
    const VERSION: &'static str;
    /// Such as `deployments`.
    const PLURAL: &'static str;

    /// Its fields in protobuf. `None`: it is read as JSON alone.
    const MESSAGE: Option<&'static Message>;

    /// Whether its objects are in namespaces. Else they have names alone.
    const NAMESPACED: bool = true;

    /// Whether a cluster needn't know the kind: then there are none.
    const OPTIONAL: bool = false;

    /// What is kept of an object. `None`: nothing, for it is of no concern. `Err`: what couldn't be read, and why.
    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String>;
}

/// The parts of an object, as they were sent. Without `Debug`: there are secrets among them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parts<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    address_type: Option<&'a RawValue>,
    #[serde(borrow)]
    endpoints: Option<&'a RawValue>,
    #[serde(borrow)]
    ports: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl<'a> Parts<'a> {
    /// The part `spec`, if there is one.
    pub(crate) fn spec<P: Deserialize<'a>>(&self) -> Result<Option<P>, String> {
        part("spec", self.spec)
    }

    /// The part `status`, if there is one.
    pub(crate) fn status<P: Deserialize<'a>>(&self) -> Result<Option<P>, String> {
        part("status", self.status)
    }

    /// The part `status` as it was sent; empty, if there is none.
    pub(crate) fn status_text(&self) -> &'a str {
        self.status.map(RawValue::get).filter(|text| *text != "null").unwrap_or_default()
    }

    /// The kind of addresses of an EndpointSlice.
    pub(crate) fn address_type(&self) -> Result<Option<Box<str>>, String> {
        part("addressType", self.address_type)
    }

    /// The endpoints of an EndpointSlice.
    pub(crate) fn endpoints(&self) -> Result<Option<Vec<SliceEndpoint>>, String> {
        part("endpoints", self.endpoints)
    }

    /// The ports of an EndpointSlice.
    pub(crate) fn ports(&self) -> Result<Option<Vec<SlicePort>>, String> {
        part("ports", self.ports)
    }

    /// The type of a Secret.
    pub(crate) fn kind(&self) -> Result<Option<Box<str>>, String> {
        part("type", self.kind)
    }

    /// The data of a Secret. The error doesn't quote what it got.
    pub(crate) fn data<P: Deserialize<'a>>(&self) -> Result<Option<P>, String> {
        part("data", self.data).map_err(|_| "data: it isn't a map to base64".to_owned())
    }
}

/// Reads what was set aside as `name`.
pub(crate) fn part<'a, P: Deserialize<'a>>(
    name: &str,
    sent: Option<&'a RawValue>,
) -> Result<Option<P>, String> {
    let read = sent.map(|sent| serde_json::from_str(sent.get()));
    // What it got may be of any length.
    read.transpose().map_err(|error| format!("{name}: {}", line(&error.to_string())))
}

/// One object, reduced as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Wire<T> {
    /// Namespace, empty where its kind has none, and name. `None`: it hasn't both, or they can't be read.
    pub(crate) name: Option<Name>,
    /// What is kept of it. `Ok(None)`: it is of no concern. `Err`: what couldn't be read, and why.
    pub(crate) kept: Result<Option<T>, String>,
    /// The version from which a watch goes on.
    pub(crate) version: Option<String>,
}

/// What an object is called, whatever else is wrong with it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Called {
    namespace: Option<Box<str>>,
    name: Option<Box<str>>,
    resource_version: Option<String>,
}

/// Needs the text itself. In the events of a watch the type comes before the object, so that the object isn't set aside until
/// its type is known (`WatchEvent` of k8s.io/apimachinery `pkg/apis/meta/v1/watch.go`: structs are written in the order of
/// their fields); one that comes the other way round can't be read.
impl<'de, T: Watched> Deserialize<'de> for Wire<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let parts = Parts::deserialize(from)?;
        let meta = part::<Meta<'_>>("metadata", parts.metadata).map(Option::unwrap_or_default);
        let called = match &meta {
            Ok(meta) => Called {
                namespace: meta.namespace.clone(),
                name: meta.name.clone(),
                resource_version: meta.resource_version.as_deref().map(str::to_owned),
            },
            Err(_) => part("metadata", parts.metadata).ok().flatten().unwrap_or_default(),
        };
        Ok(Wire {
            name: match T::NAMESPACED {
                true => called.namespace.zip(called.name),
                false => called.name.map(|name| (Box::default(), name)),
            },
            kept: meta.and_then(|meta| T::reduce(meta, &parts)),
            version: called.resource_version.filter(|version| !version.is_empty()),
        })
    }
}

/// Where the objects of one kind are asked for.
pub(crate) fn path<T: Watched>(namespace: Option<&str>) -> String {
    let root = if T::GROUP.is_empty() { "/api".to_owned() } else { format!("/apis/{}", T::GROUP) };
    let within = namespace.map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
    format!("{root}/{}/{within}{}", T::VERSION, T::PLURAL)
}

/// Most characters of a message that is passed on.
const MESSAGE: usize = 300;

/// A message of the platform as one short line.
pub(crate) fn line(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE).collect();
    line.trim().to_owned()
}
