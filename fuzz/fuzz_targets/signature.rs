#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| upstash_dlq_fuzz::signature::signature(data));
