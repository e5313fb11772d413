//! The platform seam over a Kubernetes cluster.
//!
//! Reading: watches of Deployments, StatefulSets, Services, EndpointSlices, Ingresses and HTTPRoutes become [`Snapshot`](kaos_core::Snapshot)s, with a
//! [`Directory`] beside them for those who write. This crate knows no user's requests and no windows: when to scale is
//! decided elsewhere.

mod addresses;
mod attach;
mod build;
pub mod change;
mod check;
mod claim;
mod cluster;
#[cfg(test)]
mod cluster_test;
mod condemn;
pub mod connect;
mod contest;
pub mod controller;
pub mod dialect;
pub mod directory;
pub mod entry;
mod fail;
#[cfg(test)]
mod fail_test;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod fixture;
mod follow;
mod front;
#[cfg(test)]
mod front_test;
pub mod gateway;
#[cfg(test)]
mod gateway_refused_test;
#[cfg(test)]
mod gateway_test;
mod gather;
mod infer;
#[cfg(test)]
mod infer_test;
pub mod ingress;
#[cfg(test)]
mod ingress_test;
mod kept;
mod list;
#[cfg(test)]
mod list_test;
mod listener;
mod news;
mod nginx;
pub mod note;
mod object;
mod onward;
mod owner;
#[cfg(test)]
mod owner_test;
mod page;
mod part;
mod patience;
mod patterns;
pub mod peers;
mod picture;
#[cfg(test)]
mod picture_any_test;
#[cfg(test)]
mod picture_test;
mod plain;
mod plan;
mod pods;
mod protobuf;
mod reduce;
pub mod rights;
pub mod safety;
mod scaler;
mod secret;
#[cfg(test)]
mod secret_test;
mod selector;
mod serve;
mod state;
mod status;
mod table;
mod task;
mod waking;
mod watches;
mod wire;
#[cfg(test)]
mod wire_test;
mod wish;

pub use claim::HostRules;
pub use cluster::{Cluster, PACE, ReadSettings};
pub use directory::Directory;
pub use front::Front;
/// A connection to the API server, for those who ask it something of their own.
pub use kube::Client;
pub use note::{Note, Notes, Object, ObjectNote};
pub use plan::Served;
pub use scaler::{LOAD, LOAD_OF};
pub use secret::{Secret, SecretName, Secrets};
pub use state::Verdicts;
pub use status::Status;
