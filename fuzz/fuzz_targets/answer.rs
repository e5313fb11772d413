//! Bytes of a replica.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kaos_proxy::fuzzing::answer(bytes));
