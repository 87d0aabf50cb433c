//! Any bytes through [`entry::response_head`].
#![no_main]

#[path = "../entry/mod.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::response_head(bytes));
