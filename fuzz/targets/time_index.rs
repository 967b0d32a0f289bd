#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| log_fuzz::time_index::run(bytes));
