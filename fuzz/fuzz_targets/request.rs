//! Bytes of an HTTP/1 client.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kaos_proxy::fuzzing::request(bytes));
