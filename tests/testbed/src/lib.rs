//! A real Kubernetes for tests: nothing here is shipped.
//!
//! [`ControlPlane`] is etcd, kube-apiserver and kube-controller-manager; [`Kubelet`] is played: it makes pods out of what
//! the controllers ask for, with a real HTTP server behind every pod's address. [`Node`] is a real one, with containers.
//! [`kaos`] is Kaos as a program. [`Interop`] is a gRPC client and a server that nobody here wrote, [`h2spec`] what a server of
//! HTTP/2 is tried by, [`websocket_echo`] a server of WebSockets; [`helm`] and [`kustomize`] are what people install with. What
//! needs a real Kubernetes is a test in `tests/testbed/tests/`, whichever crate it tests: `cargo test` alone runs none of them.
//!
//! ```no_run
//! use k8s_openapi::api::core::v1::Pod;
//! use kaos_testbed::{Behaviour, ControlPlane, Kubelet, eventually};
//! use kube::Api;
//!
//! #[tokio::test]
//! async fn a_pod_gets_an_address() {
//!     let plane = ControlPlane::shared().await; // one for the whole test binary
//!     let client = plane.client(plane.admin()).await.unwrap();
//!     let namespace = plane.namespace("pod").await.unwrap(); // one for each test
//!     let _kubelet = Kubelet::start(plane, &namespace, Behaviour::default()).await.unwrap();
//!     // ... make a Deployment, then wait for what should come of it:
//!     let pods: Api<Pod> = Api::namespaced(client, &namespace);
//!     eventually("a pod has an address", async || {
//!         let pods = pods.list(&Default::default()).await.ok()?;
//!         pods.items.into_iter().find_map(|pod| pod.status?.pod_ip)
//!     })
//!     .await;
//! }
//! ```

mod addresses;
mod audit;
mod binaries;
mod built;
mod eventually;
mod failure;
mod interop;
mod kubelet;
mod machine;
mod node;
mod plane;
mod pod;
mod probe;
mod process;
mod programs;
mod recipe;
mod status;
mod suites;

pub use audit::{Audit, AuditEntry, ObjectReference, ResponseStatus, User};
pub use built::kaos;
pub use eventually::{PATIENCE, eventually};
pub use failure::Failure;
pub use interop::Interop;
pub use kubelet::Kubelet;
pub use node::{ANSWER, Node};
pub use plane::ControlPlane;
pub use pod::{Behaviour, Fate};
pub use suites::{gateway_conformance, gateway_resources, h2spec, helm, kustomize, websocket_echo};
