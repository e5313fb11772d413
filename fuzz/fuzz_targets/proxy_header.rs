//! Bytes of a load balancer that says for whom it connects.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kaos_proxy::fuzzing::proxy_header(bytes));
