//! What the fuzzer holds against the codec, held against it by every run of the tests: the seeds that are kept, and
//! random mutations of them. `tests/fuzz/README.md` says how to search for more.

#[path = "../fuzz/entry/mod.rs"]
mod entry;

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

/// What a target does with bytes.
type Entry = fn(&[u8]);

/// The targets of the fuzzer, by the folders of their seeds.
const TARGETS: [(&str, Entry); 9] = [
    ("h1_request_head", entry::request_head),
    ("h1_response_head", entry::response_head),
    ("chunked", entry::chunked),
    ("target", entry::target),
    ("path", entry::path),
    ("proxy", entry::proxy),
    ("hello", entry::hello::hello),
    ("talk", entry::talk),
    ("tls", entry::tls::tls),
];
/// What is kept of a target.
const SEEDS: usize = 300;
const SEED_BYTES: usize = 2048;

/// Bytes at which readers part ways.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\r\n ",
    b"\t",
    b" ",
    b"\0",
    b"\x0b",
    b"\x7f",
    b"\x80",
    b"\xff",
    b":",
    b";",
    b",",
    b"\"",
    b"\\",
    b"0",
    b"5",
    b"f",
    b"/",
    b"?",
    b"#",
    b"*",
    b"@",
    b"[",
    b"]",
    b"::",
    b"%",
    b"http://",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"GET",
    b"HEAD",
    b"OPTIONS",
    b"CONNECT",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding",
    b"chunked",
    b"Connection: close\r\n",
    b"Connection: x-a\r\n",
    b"X-A: b\r\n",
    b"Expect: 100-continue\r\n",
    b"Max-Forwards: 1\r\n",
    b"0\r\n\r\n",
    b"..",
    b"/../",
    b"/./",
    b"%2e",
    b"%2F",
    b"%5c",
    b"%3B",
    b"PROXY TCP4 ",
    b"192.0.2.1",
    b" 80",
    b"::ffff:1.2.3.4",
    b"\x21\x11",
    b"\x16\x03\x01\x00\x04",
    b"\x00\x00\x00\x06\x00\x04\x00\x00\x01a",
    b"\x1a\x1a\x00\x00",
    b";a=\"\\\"\"",
    b"\\\"",
    b"18446744073709551615",
    b"ffffffffffffffff",
    b"100 ",
    b"204 ",
    b"304 ",
    b"HTTP/1.1 100 Continue\r\n\r\n",
];

/// One change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, usize),
    Remove(Index, usize),
    Double(Index, usize),
    /// The rest is that of another seed.
    Graft(Index, Index, Index),
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut seeds: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

#[test]
fn every_kept_seed_passes() {
    for (target, entry) in TARGETS {
        let seeds = seeds(target);
        assert!((20..SEEDS).contains(&seeds.len()), "{} seeds of {target}", seeds.len());
        for (name, bytes) in seeds {
            assert!(bytes.len() <= SEED_BYTES, "{target}/{name} has {} bytes", bytes.len());
            let passed = std::panic::catch_unwind(|| entry(&bytes));
            assert!(passed.is_ok(), "{target}/{name}: {:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), 0..WORDS.len()).prop_map(|(at, word)| Change::Insert(at, word)),
        (at(), 0..WORDS.len()).prop_map(|(at, word)| Change::Insert(at, word)),
        (at(), 1_usize..8).prop_map(|(at, n)| Change::Remove(at, n)),
        (at(), 1_usize..40).prop_map(|(at, n)| Change::Double(at, n)),
        (at(), at(), at()).prop_map(|(at, seed, from)| Change::Graft(at, seed, from)),
    ]
}

fn changed(seeds: &[(String, Vec<u8>)], seed: Index, changes: &[Change]) -> Vec<u8> {
    let mut bytes = seed.get(seeds).1.clone();
    for change in changes {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match change {
            Change::Set(at, byte) => {
                let at = place(at);
                bytes.splice(at..(at + 1).min(bytes.len()), [*byte]);
            }
            Change::Insert(at, word) => {
                let at = place(at);
                bytes.splice(at..at, WORDS[*word].iter().copied());
            }
            Change::Remove(at, n) => {
                let at = place(at);
                bytes.drain(at..(at + n).min(bytes.len()));
            }
            Change::Double(at, n) => {
                let at = place(at);
                let again = bytes[at..(at + n).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Change::Graft(at, seed, from) => {
                bytes.truncate(place(at));
                let other = &seed.get(seeds).1;
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
    }
    bytes
}

/// Every target on so many mutations of its seeds.
fn mutate(name: &str, entry: Entry) {
    mutate_often(name, entry, 4000);
}

fn mutate_often(name: &str, entry: Entry, cases: u32) {
    let seeds = seeds(name);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(seed in any::<Index>(), changes in prop::collection::vec(change(), 1..6))| {
        let bytes = changed(&seeds, seed, &changes);
        let passed = std::panic::catch_unwind(|| entry(&bytes));
        prop_assert!(passed.is_ok(), "{name}: {:?}", bytes.escape_ascii().to_string());
    });
}

#[test]
fn mutated_requests_are_read_as_the_grammar_says() {
    mutate("h1_request_head", entry::request_head);
}

#[test]
fn mutated_responses_are_read_as_the_grammar_says() {
    mutate("h1_response_head", entry::response_head);
}

#[test]
fn mutated_chunks_are_read_as_the_grammar_says() {
    mutate("chunked", entry::chunked);
}

#[test]
fn mutated_targets_and_hosts_are_read_as_the_grammar_says() {
    mutate("target", entry::target);
}

#[test]
fn mutated_paths_are_normal_once_and_for_all() {
    mutate("path", entry::path);
}

#[test]
fn mutated_proxy_headers_read_the_same_in_pieces() {
    mutate("proxy", entry::proxy);
}

#[test]
fn mutated_hellos_read_the_same_in_pieces_and_as_the_rfcs_say() {
    mutate("hello", entry::hello::hello);
}

#[test]
fn mutated_frames_of_an_endpoint_are_heard_the_same_in_pieces() {
    mutate("talk", entry::talk);
}

#[test]
fn mutated_steps_of_two_ends_under_tls_lose_nothing_and_make_nothing_up() {
    // Each begins with a handshake.
    mutate_often("tls", entry::tls::tls, 250);
}
