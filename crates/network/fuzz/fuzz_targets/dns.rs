#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| buntime_network::fuzzing::dns(data));
