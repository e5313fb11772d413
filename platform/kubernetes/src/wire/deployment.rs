//! What is read of a Deployment and its pod template.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::meta::strings;
use crate::object::Pairs;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct DeploymentSpec<'a> {
    pub(crate) replicas: Option<i32>,
    pub(crate) selector: Option<LabelSelector>,
    /// A [`PodTemplate`], as it was sent.
    #[serde(borrow)]
    pub(crate) template: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentStatus {
    pub(crate) observed_generation: Option<i64>,
    pub(crate) replicas: Option<i32>,
    pub(crate) updated_replicas: Option<i32>,
    pub(crate) conditions: Option<Vec<Condition>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: Option<Box<str>>,
    pub(crate) status: Option<Box<str>>,
    pub(crate) reason: Option<Box<str>>,
    pub(crate) message: Option<Box<str>>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct PodTemplate {
    pub(crate) metadata: Option<TemplateMeta>,
    pub(crate) spec: Option<TemplateSpec>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TemplateMeta {
    #[serde(default, deserialize_with = "strings")]
    pub(crate) labels: Pairs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TemplateSpec {
    pub(crate) init_containers: Option<Vec<Container>>,
    pub(crate) containers: Option<Vec<Container>>,
    pub(crate) readiness_gates: Option<Vec<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Container {
    pub(crate) name: Option<Box<str>>,
    pub(crate) restart_policy: Option<Box<str>>,
    pub(crate) ports: Option<Vec<ContainerPort>>,
    pub(crate) startup_probe: Option<Probe>,
    pub(crate) readiness_probe: Option<Probe>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerPort {
    pub(crate) name: Option<Box<str>>,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) container_port: Option<i32>,
}

/// A probe; with none of the actions it is one that only the kubelet can run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Probe {
    pub(crate) timeout_seconds: Option<i32>,
    pub(crate) success_threshold: Option<i32>,
    pub(crate) http_get: Option<HttpGet>,
    pub(crate) tcp_socket: Option<TcpSocket>,
    pub(crate) grpc: Option<Grpc>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HttpGet {
    pub(crate) host: Option<Box<str>>,
    pub(crate) port: Option<IntOrString>,
    pub(crate) path: Option<Box<str>>,
    pub(crate) scheme: Option<Box<str>>,
    pub(crate) http_headers: Option<Vec<Header>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    pub(crate) name: Option<Box<str>>,
    pub(crate) value: Option<Box<str>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TcpSocket {
    pub(crate) host: Option<Box<str>>,
    pub(crate) port: Option<IntOrString>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Grpc {
    pub(crate) port: Option<i32>,
    pub(crate) service: Option<Box<str>>,
}
