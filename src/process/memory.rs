//! Gives memory back after a burst.
//!
//! The allocator (mimalloc) keeps freed pages for a second, and then returns them to the system when the next large block is
//! freed. A proxy that has nothing to do frees none: so one is, once a second. It is never written to and costs two calls.

use std::hint::black_box;
use std::time::Duration;

/// Larger than what the allocator serves from pages that it keeps.
const BLOCK: usize = 4 * 1024 * 1024;

const EVERY: Duration = Duration::from_secs(1);

/// Runs for ever.
pub(crate) async fn give_back() {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        drop(black_box(Vec::<u8>::with_capacity(BLOCK)));
    }
}
