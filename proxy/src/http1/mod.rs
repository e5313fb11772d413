//! HTTP/1 towards clients.
//!
//! An own strict server over `httparse`: hyper drops a `Content-Length` that stands beside `Transfer-Encoding` and folds
//! equal lengths into one before anybody can refuse them, answers malformed requests itself without a body or an id, and
//! doesn't see a client leave behind unread bytes. All of that is promised here.

pub(crate) mod framing;
pub(crate) mod relay;
pub(crate) mod request;
pub(crate) mod respond;
pub(crate) mod serve;
pub(crate) mod tunnel;
pub(crate) mod write;
