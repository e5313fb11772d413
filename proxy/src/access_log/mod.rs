//! What is told of each request when it has ended. Knows neither a form nor where it is written: whoever owns the proxy gives
//! it an [`AccessLog`].
//!
//! While it is off, a request costs a comparison. While it is on, a request's entry is filled as it goes its way, and
//! goes out with others of the same worker, without ever waiting.

mod book;
mod entry;

use std::fmt::Debug;
use std::sync::Arc;

pub(crate) use book::{Book, Draft};
pub use entry::{Entry, Target, Texts};

/// Takes entries. Shared by all workers.
pub trait AccessLog: Debug + Send + Sync {
    /// Takes entries in the order in which their requests ended. Must not wait: what there is no room for is dropped, and
    /// counted.
    fn take(&self, entries: Vec<Entry>);
    /// How many were dropped so far.
    fn dropped(&self) -> u64;
}

/// Which requests are told of, and to whom.
#[derive(Clone, Debug)]
pub struct Access {
    /// Who is told.
    pub log: Arc<dyn AccessLog>,
    /// The share of the requests without an error that are told of, 0 to 1; of the others each is.
    pub share: f64,
}
