#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| log_fuzz::envelope::run(bytes));
