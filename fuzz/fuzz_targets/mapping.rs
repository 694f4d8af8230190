#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sever_fuzz::mapping::run(input));
