#![no_main]
#[path = "../src/load_file.rs"]
mod load_file;
libfuzzer_sys::fuzz_target!(|data: &[u8]| load_file::load_file(data));
