//! What is kept of Gateway API's objects but for routes: classes, Gateways, grants, and the labels of Namespaces.

use super::number;
use crate::gateway::{CONTROLLER, GROUP, Gateway, GatewayClass, Grant, Listener, Space, TakesFrom};
use crate::protobuf::Message;
use crate::wire::gateway::{GatewayClassSpec, GatewaySpec, ListenerSpec, ReferenceGrantSpec, RouteKind};
use crate::wire::{Meta, Parts, Watched, line};

/// Of no concern is one of another controller.
impl Watched for GatewayClass {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "gatewayclasses";
    const MESSAGE: Option<&'static Message> = None;
    const NAMESPACED: bool = false;
    const OPTIONAL: bool = true;

    fn reduce(_: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        let spec: GatewayClassSpec = parts.spec()?.unwrap_or_default();
        let ours = spec.controller_name.as_deref() == Some(CONTROLLER);
        Ok(ours.then_some(GatewayClass { has_parameters: spec.parameters_ref.is_some() }))
    }
}

/// Of no concern is one that is on its way out.
impl Watched for Gateway {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "gateways";
    const MESSAGE: Option<&'static Message> = None;
    const OPTIONAL: bool = true;

    fn reduce(meta: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        if meta.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let spec: GatewaySpec = parts.spec()?.unwrap_or_default();
        let asked =
            spec.addresses.into_iter().flatten().map(|asked| {
                (asked.kind.unwrap_or_else(|| "IPAddress".into()), asked.value.unwrap_or_default())
            });
        let refused = spec
            .tls
            .map(|_| "spec.tls: Kaos asks no client for a certificate, and shows none to backends".into());
        Ok(Some(Gateway {
            class: spec.gateway_class_name.unwrap_or_default(),
            listeners: spec.listeners.into_iter().flatten().map(listener).collect(),
            addresses: asked.collect(),
            refused,
            has_parameters: spec.infrastructure.is_some_and(|given| given.parameters_ref.is_some()),
        }))
    }
}

fn listener(spec: ListenerSpec) -> Listener {
    let (namespaces, kinds) =
        spec.allowed_routes.map(|allowed| (allowed.namespaces, allowed.kinds)).unwrap_or_default();
    let from = match namespaces.as_ref().and_then(|namespaces| namespaces.from.as_deref()) {
        None | Some("Same") => TakesFrom::Same,
        Some("All") => TakesFrom::All,
        Some("Selector") => {
            let selector = namespaces.and_then(|namespaces| namespaces.selector);
            selector.map_or(TakesFrom::None, |selector| TakesFrom::Selected(Box::new(selector)))
        }
        Some(_) => TakesFrom::None,
    };
    let kinds = kinds.unwrap_or_default();
    let is_known =
        |kind: &RouteKind| kind.group.as_deref().unwrap_or(GROUP) == GROUP && &*kind.kind == "HTTPRoute";
    let unknown = kinds.iter().find(|kind| !is_known(kind)).map(|kind| line(&kind.kind).into());
    let tls = spec.tls.as_ref();
    let mode = tls.and_then(|tls| tls.mode.as_deref()).filter(|mode| *mode != "Terminate");
    let mode = mode.map(|mode| format!("tls.mode {}: allowed is Terminate", line(mode)));
    let rest = tls.and_then(|tls| tls.rest.keys().next());
    let rest = rest.map(|field| format!("tls.{}: Kaos doesn't have it", line(field)));
    Listener {
        name: spec.name,
        host: spec.hostname.unwrap_or_default(),
        port: spec.port,
        protocol: spec.protocol,
        refused: mode.or(rest).map(Into::into),
        certificates: spec.tls.and_then(|tls| tls.certificate_refs).unwrap_or_default().into(),
        from,
        takes_http_routes: kinds.is_empty() || kinds.iter().any(is_known),
        unknown_kind: unknown,
    }
}

/// In the version that all releases of Gateway API have.
impl Watched for Grant {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = "v1beta1";
    const PLURAL: &'static str = "referencegrants";
    const MESSAGE: Option<&'static Message> = None;
    const OPTIONAL: bool = true;

    fn reduce(_: Meta<'_>, parts: &Parts<'_>) -> Result<Option<Self>, String> {
        let spec: ReferenceGrantSpec = parts.spec()?.unwrap_or_default();
        Ok(Some(Grant { from: spec.from.unwrap_or_default().into(), to: spec.to.unwrap_or_default().into() }))
    }
}

impl Watched for Space {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const PLURAL: &'static str = "namespaces";
    const MESSAGE: Option<&'static Message> = None;
    const NAMESPACED: bool = false;

    fn reduce(meta: Meta<'_>, _: &Parts<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Space(meta.labels)))
    }
}

/// A port that a reference names.
pub(super) fn port(port: Option<i32>) -> Option<u16> {
    port.and_then(number)
}
