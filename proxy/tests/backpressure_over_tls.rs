//! A body that waits costs no memory over TLS either. A program of its own: it looks at the memory of its process.

#[path = "backpressure.rs"]
mod backpressure;
