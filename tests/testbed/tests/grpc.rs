//! gRPC through `kaos up`, by a client and a server that nobody here wrote: grpc-go's interoperability tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this is test code")]

mod up;

use kaos_testbed::Interop;
use up::{Kaos, PATIENCE, run};

/// The cases that need neither TLS nor accounts, in the order of their description.
const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
];

fn passes(interop: &Interop, kaos: &Kaos, case: &str) -> Result<(), String> {
    let mut client = interop.client().unwrap();
    client.args(["--server_host=127.0.0.1", &format!("--server_port={}", kaos.listen.port())]);
    let (passed, said) = run(client.arg(format!("--test_case={case}")), PATIENCE);
    if passed { Ok(()) } else { Err(format!("{case}: {said}")) }
}

/// The first case finds no replica; later ones find one, or none again.
#[test]
fn every_case_passes_through_kaos() {
    let interop = Interop::find().unwrap();
    let flags = ["--protocol", "h2c", "--idle-timeout", "1s", "--window", "6s"];
    let kaos = Kaos::up("grpc", &flags, &[&interop.server().unwrap(), "--port={port}"]);
    let failed: Vec<String> = CASES.iter().filter_map(|case| passes(&interop, &kaos, case).err()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(kaos.metric("kaos_cold_requests_total{") >= 1.0);
    kaos.lets_go();
}
