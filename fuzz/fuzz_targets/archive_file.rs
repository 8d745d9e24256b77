#![no_main]
#[path = "../src/archive_file.rs"]
mod archive_file;
libfuzzer_sys::fuzz_target!(|data: &[u8]| archive_file::archive_file(data));
