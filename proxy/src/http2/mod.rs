//! HTTP/2 towards clients. Each stream goes the same way as an HTTP/1 request.

mod delivery;
pub(crate) mod request;
mod respond;
pub(crate) mod serve;
mod streams;
pub(crate) mod upload;
