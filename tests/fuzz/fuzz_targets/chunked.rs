//! Any bytes through [`entry::chunked`].
#![no_main]

#[path = "../entry/mod.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::chunked(bytes));
