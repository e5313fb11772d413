//! What is read of an EndpointSlice.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct SlicePort {
    pub(crate) name: Option<Box<str>>,
    pub(crate) protocol: Option<Box<str>>,
    pub(crate) port: Option<i32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SliceEndpoint {
    pub(crate) addresses: Option<Vec<Box<str>>>,
    pub(crate) conditions: Option<Conditions>,
    pub(crate) target_ref: Option<TargetRef>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Conditions {
    pub(crate) ready: Option<bool>,
    pub(crate) terminating: Option<bool>,
}

/// What is behind an address.
#[derive(Debug, Deserialize)]
pub(crate) struct TargetRef {
    pub(crate) kind: Option<Box<str>>,
    pub(crate) namespace: Option<Box<str>>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) uid: Option<Box<str>>,
}
