//! Towards replicas: connections kept per worker and replica. By HTTP/1.1 heads are written and read inline by whoever
//! serves the request; HTTP/2 is in [`http2`].

pub(crate) mod answer;
pub(crate) mod forwarded;
pub(crate) mod http2;
pub(crate) mod link;
pub(crate) mod port;
pub(crate) mod send;
