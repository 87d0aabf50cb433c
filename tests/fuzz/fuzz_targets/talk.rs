//! Any bytes through [`entry::talk`].
#![no_main]

#[allow(dead_code, reason = "one entry is for this target, the others for others")]
#[path = "../entry/mod.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entry::talk(bytes));
