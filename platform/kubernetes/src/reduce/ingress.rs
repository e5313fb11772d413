//! What is kept of an Ingress and of an IngressClass.

use kaos_core::route::Matching;

use super::number;
use crate::ingress::{Backend, CONTROLLER, Class, HostRule, Ingress, PathRule, Tls};
use crate::nginx;
use crate::object::Target;
use crate::protobuf::{Message, schema};
use crate::wire::{ClassSpec, IngressBackend, IngressSpec, Meta, Parts, Watched, line};

/// How a class was named before `spec.ingressClassName`.
const CLASS: &str = "kubernetes.io/ingress.class";
/// Marks the class of those that name none.
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// Of no concern is one that is on its way out.
impl Watched for Ingress {
    const GROUP: &'static str = "networking.k8s.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "ingresses";
    const MESSAGE: Option<&'static Message> = Some(&schema::INGRESS);

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        if meta.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let spec: IngressSpec = parts.spec()?.unwrap_or_default();
        let before = || meta.annotation(CLASS).map(Into::into);
        let class = spec.ingress_class_name.filter(|class| !class.is_empty()).or_else(before);
        let rules = spec.rules.into_iter().flatten().map(|rule| HostRule {
            host: rule.host.unwrap_or_default(),
            paths: rule.http.and_then(|http| http.paths).into_iter().flatten().map(path).collect(),
        });
        let tls = spec.tls.into_iter().flatten().filter_map(|tls| {
            let secret = tls.secret_name.filter(|name| !name.is_empty())?;
            Some(Tls { secret, hosts: tls.hosts.unwrap_or_default().into() })
        });
        let annotations = meta.annotations.iter().filter(|(name, _)| name.starts_with(nginx::PREFIX));
        Ok(Some(Ingress {
            class,
            annotations: annotations.cloned().collect(),
            default: spec.default_backend.map(|given| backend(Some(given))),
            rules: rules.collect(),
            tls: tls.collect(),
        }))
    }
}

fn path(path: crate::wire::HttpPath) -> PathRule {
    PathRule {
        path: path.path.unwrap_or_default(),
        matching: match path.path_type.as_deref() {
            Some("Exact") => Some(Matching::Exact),
            Some("Prefix") => Some(Matching::Prefix),
            _ => None,
        },
        backend: backend(path.backend),
    }
}

fn backend(backend: Option<IngressBackend>) -> Backend {
    let Some(backend) = backend else { return Backend::Other("nothing".into()) };
    let Some(service) = backend.service else {
        let kind = backend.resource.and_then(|resource| resource.kind);
        return Backend::Other(line(kind.as_deref().unwrap_or("nothing")).into());
    };
    let port = service.port.and_then(|port| {
        let named = port.name.filter(|name| !name.is_empty()).map(Target::Name);
        named.or_else(|| number(port.number?).map(Target::Number))
    });
    // The API server lets none through without a port.
    Backend::Service(service.name.unwrap_or_default(), port.unwrap_or(Target::Name(Box::default())))
}

/// Of no concern is one of another controller.
impl Watched for Class {
    const GROUP: &'static str = "networking.k8s.io";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "ingressclasses";
    const MESSAGE: Option<&'static Message> = Some(&schema::INGRESS_CLASS);
    const NAMESPACED: bool = false;

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        let spec: ClassSpec = parts.spec()?.unwrap_or_default();
        let ours = spec.controller.as_deref() == Some(CONTROLLER);
        let is_default = meta.annotation(DEFAULT) == Some("true");
        Ok(ours.then_some(Class { is_default }))
    }
}
