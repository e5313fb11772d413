//! HTTP/2 without TLS towards replicas, with prior knowledge (h2c): a few connections per worker and replica, many
//! requests on each.
//!
//! The frames and the flow control are [`crate::mux`]'s. Each connection is driven by one task on the worker's own
//! thread; requests and bodies move from the task that serves the client, without another between. It knows nothing of
//! admission, of retries, nor of how clients are spoken to.

pub(crate) mod inflow;
pub(crate) mod outflow;
pub(crate) mod pool;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod session;
