//! What is read of an Ingress and of its class.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IngressSpec {
    pub(crate) ingress_class_name: Option<Box<str>>,
    pub(crate) default_backend: Option<IngressBackend>,
    pub(crate) tls: Option<Vec<IngressTls>>,
    pub(crate) rules: Option<Vec<IngressRule>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IngressTls {
    pub(crate) hosts: Option<Vec<Box<str>>>,
    pub(crate) secret_name: Option<Box<str>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct IngressRule {
    pub(crate) host: Option<Box<str>>,
    pub(crate) http: Option<HttpRule>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HttpRule {
    pub(crate) paths: Option<Vec<HttpPath>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpPath {
    pub(crate) path: Option<Box<str>>,
    pub(crate) path_type: Option<Box<str>>,
    pub(crate) backend: Option<IngressBackend>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct IngressBackend {
    pub(crate) service: Option<ServiceBackend>,
    pub(crate) resource: Option<ResourceBackend>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ServiceBackend {
    pub(crate) name: Option<Box<str>>,
    pub(crate) port: Option<BackendPort>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BackendPort {
    pub(crate) name: Option<Box<str>>,
    pub(crate) number: Option<i32>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ResourceBackend {
    pub(crate) kind: Option<Box<str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IngressStatus {
    pub(crate) load_balancer: Option<BalancerStatus>,
}

/// `status.loadBalancer`, of an Ingress as of a Service.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct BalancerStatus {
    pub(crate) ingress: Option<Vec<BalancerPoint>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct BalancerPoint {
    pub(crate) ip: Option<Box<str>>,
    pub(crate) hostname: Option<Box<str>>,
}

impl BalancerStatus {
    /// The addresses and names, as they are written.
    pub(crate) fn points(self) -> impl Iterator<Item = Box<str>> {
        let said = |text: Option<Box<str>>| text.filter(|text| !text.is_empty());
        let points = self.ingress.into_iter().flatten();
        points.filter_map(move |point| said(point.ip).or_else(|| said(point.hostname)))
    }
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct ClassSpec {
    pub(crate) controller: Option<Box<str>>,
}
