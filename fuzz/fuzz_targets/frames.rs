//! Bytes of an HTTP/2 client, behind its preface.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kaos_proxy::fuzzing::frames(bytes));
