//! What is read of a Service.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;

use super::meta::strings;
use crate::object::Pairs;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(crate) kind: Option<Box<str>>,
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: Option<Box<str>>,
    #[serde(default, deserialize_with = "strings")]
    pub(crate) selector: Pairs,
    pub(crate) ports: Option<Vec<ServiceSpecPort>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceSpecPort {
    pub(crate) name: Option<Box<str>>,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) app_protocol: Option<Box<str>>,
    pub(crate) port: Option<i32>,
    pub(crate) target_port: Option<IntOrString>,
}
