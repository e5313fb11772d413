//! The platform seam over a Kubernetes cluster.
//!
//! Reading: watches of Deployments, Services and EndpointSlices become [`Snapshot`](kaos_core::Snapshot)s, with a
//! [`Directory`] beside them for those who write. This crate knows no user's requests and no windows: when to scale is
//! decided elsewhere.

pub mod change;
pub mod directory;

pub use directory::Directory;
