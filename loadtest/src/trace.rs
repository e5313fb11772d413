//! `loadtest trace`: recorded traffic of a hundred functions, sent again to a running Kaos.

pub mod read;
pub mod replay;
