//! External metrics: the load of workloads, for autoscalers that ask the API server for it
//! (<https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#support-for-metrics-apis>).
//!
//! The API server knows who asks and whether he may, and passes on what it was asked, over TLS and with a certificate of its own. Whoever
//! shows none is hung up on; that is all there is to tell them apart by.

mod answer;
mod front;
mod serve;

pub(crate) use serve::{Listening, bind, serve};
