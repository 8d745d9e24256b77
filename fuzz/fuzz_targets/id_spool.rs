#![no_main]
#[path = "../src/id_spool.rs"]
mod id_spool;
libfuzzer_sys::fuzz_target!(|data: &[u8]| id_spool::id_spool(data));
