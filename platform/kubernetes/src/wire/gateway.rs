//! What is read of Gateway API's objects. Of what is asked for in a route nothing is left out unseen: fields that aren't known
//! are kept by name.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

/// Fields that nothing is made of.
pub(crate) type Rest = BTreeMap<Box<str>, IgnoredAny>;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayClassSpec {
    pub(crate) controller_name: Option<Box<str>>,
    pub(crate) parameters_ref: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewaySpec {
    pub(crate) gateway_class_name: Option<Box<str>>,
    pub(crate) listeners: Option<Vec<ListenerSpec>>,
    pub(crate) addresses: Option<Vec<AddressSpec>>,
    pub(crate) infrastructure: Option<Infrastructure>,
    /// Certificates that clients, or backends, are asked for.
    pub(crate) tls: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Infrastructure {
    pub(crate) parameters_ref: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AddressSpec {
    #[serde(rename = "type")]
    pub(crate) kind: Option<Box<str>>,
    pub(crate) value: Option<Box<str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListenerSpec {
    pub(crate) name: Box<str>,
    pub(crate) hostname: Option<Box<str>>,
    pub(crate) port: i32,
    pub(crate) protocol: Box<str>,
    pub(crate) tls: Option<ListenerTls>,
    pub(crate) allowed_routes: Option<AllowedRoutes>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListenerTls {
    pub(crate) mode: Option<Box<str>>,
    pub(crate) certificate_refs: Option<Vec<ObjectRef>>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

/// A reference to an object, maybe of another namespace.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct ObjectRef {
    pub(crate) group: Option<Box<str>>,
    pub(crate) kind: Option<Box<str>>,
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) name: Box<str>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct AllowedRoutes {
    pub(crate) namespaces: Option<RouteNamespaces>,
    pub(crate) kinds: Option<Vec<RouteKind>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RouteNamespaces {
    pub(crate) from: Option<Box<str>>,
    pub(crate) selector: Option<LabelSelector>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RouteKind {
    pub(crate) group: Option<Box<str>>,
    pub(crate) kind: Box<str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpRouteSpec {
    pub(crate) parent_refs: Option<Vec<ParentRef>>,
    pub(crate) hostnames: Option<Vec<Box<str>>>,
    pub(crate) rules: Option<Vec<HttpRouteRule>>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

/// What a route wants to be attached to. It is said again in the status as it is here.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParentRef {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) name: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) section_name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<i32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpRouteRule {
    /// For policies that name it.
    #[serde(rename = "name")]
    pub(crate) _name: Option<IgnoredAny>,
    pub(crate) matches: Option<Vec<HttpRouteMatch>>,
    pub(crate) filters: Option<Vec<HttpRouteFilter>>,
    pub(crate) backend_refs: Option<Vec<HttpBackendRef>>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpRouteMatch {
    pub(crate) path: Option<ValueMatch>,
    pub(crate) headers: Option<Vec<NamedMatch>>,
    pub(crate) query_params: Option<Vec<NamedMatch>>,
    pub(crate) method: Option<Box<str>>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ValueMatch {
    #[serde(rename = "type")]
    pub(crate) kind: Option<Box<str>>,
    pub(crate) value: Option<Box<str>>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedMatch {
    #[serde(rename = "type")]
    pub(crate) kind: Option<Box<str>>,
    pub(crate) name: Box<str>,
    pub(crate) value: Box<str>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpRouteFilter {
    #[serde(rename = "type")]
    pub(crate) kind: Box<str>,
    pub(crate) request_header_modifier: Option<HeaderModifier>,
    pub(crate) response_header_modifier: Option<HeaderModifier>,
    pub(crate) request_redirect: Option<RequestRedirect>,
    pub(crate) url_rewrite: Option<UrlRewrite>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HeaderModifier {
    pub(crate) set: Option<Vec<HeaderValue>>,
    pub(crate) add: Option<Vec<HeaderValue>>,
    pub(crate) remove: Option<Vec<Box<str>>>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HeaderValue {
    pub(crate) name: Box<str>,
    pub(crate) value: Box<str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestRedirect {
    pub(crate) scheme: Option<Box<str>>,
    pub(crate) hostname: Option<Box<str>>,
    pub(crate) path: Option<PathModifier>,
    pub(crate) port: Option<i32>,
    pub(crate) status_code: Option<u16>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UrlRewrite {
    pub(crate) hostname: Option<Box<str>>,
    pub(crate) path: Option<PathModifier>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PathModifier {
    #[serde(rename = "type")]
    pub(crate) kind: Box<str>,
    pub(crate) replace_full_path: Option<Box<str>>,
    pub(crate) replace_prefix_match: Option<Box<str>>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HttpBackendRef {
    pub(crate) group: Option<Box<str>>,
    pub(crate) kind: Option<Box<str>>,
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) name: Box<str>,
    pub(crate) port: Option<i32>,
    pub(crate) weight: Option<u32>,
    pub(crate) filters: Option<Vec<IgnoredAny>>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ReferenceGrantSpec {
    pub(crate) from: Option<Vec<GrantFrom>>,
    pub(crate) to: Option<Vec<GrantTo>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct GrantFrom {
    pub(crate) group: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) namespace: Box<str>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct GrantTo {
    pub(crate) group: Box<str>,
    pub(crate) kind: Box<str>,
    pub(crate) name: Option<Box<str>>,
}
