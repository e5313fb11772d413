//! What is promised of HTTP holds over TLS too: the same tests once more, each client within a session.

#![allow(clippy::duplicate_mod, reason = "each file brings its own rig")]

#[path = "answers.rs"]
mod answers;
#[path = "basics.rs"]
mod basics;
#[path = "cuts.rs"]
mod cuts;
#[path = "expect.rs"]
mod expect;
#[path = "framing.rs"]
mod framing;
#[path = "http2.rs"]
mod http2;
#[path = "http2_streams.rs"]
mod http2_streams;
#[path = "leaving.rs"]
mod leaving;
#[path = "retries.rs"]
mod retries;
#[path = "shutdown.rs"]
mod shutdown;
#[path = "streams.rs"]
mod streams;
#[path = "target.rs"]
mod target;
#[path = "upgrade.rs"]
mod upgrade;
