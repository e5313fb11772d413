//! HTTP/1.1 towards replicas: connections kept per worker and replica, heads written and read inline by whoever serves
//! the request.

pub(crate) mod answer;
mod forwarded;
pub(crate) mod link;
pub(crate) mod port;
pub(crate) mod send;
