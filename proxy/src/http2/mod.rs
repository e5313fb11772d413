//! HTTP/2 towards clients, by hyper: it knows the floods and the flow control. Each stream goes the same way as an HTTP/1
//! request.

mod budget;
pub(crate) mod download;
pub(crate) mod io;
pub(crate) mod request;
pub(crate) mod serve;
mod streams;
pub(crate) mod through;
pub(crate) mod upload;
