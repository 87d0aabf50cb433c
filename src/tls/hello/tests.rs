//! Hellos made byte by byte, what is wrong with some of them, and one of rustls's own; cut anywhere.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;

use super::*;

const MOST: usize = 16 * 1024;

/// An extension with its number and length.
fn extension(number: u16, held: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &long(held)].concat()
}

fn long(held: &[u8]) -> Vec<u8> {
    [&(held.len() as u16).to_be_bytes()[..], held].concat()
}

fn names(kind: u8, name: &[u8]) -> Vec<u8> {
    extension(0, &long(&[&[kind][..], &long(name)].concat()))
}

/// A message with these extensions, or with none at all.
fn message(extensions: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([4, 1, 2, 3, 4]);
    // A value of GREASE (RFC 8701) among the suites.
    body.extend(long(&[0x0a, 0x0a, 0x13, 1]));
    body.extend([1, 0]);
    body.extend(extensions.map(long).unwrap_or_default());
    let length = (body.len() as u32).to_be_bytes();
    [&[1, length[1], length[2], length[3]][..], &body].concat()
}

/// The message in records of that many bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|held| [&[22, 3, 1][..], &long(held)].concat()).collect()
}

fn asking(name: &str) -> Vec<u8> {
    let grease = extension(0x1a1a, b"");
    let extensions = [grease.clone(), extension(16, b"\0\x03\x02h2"), names(0, name.as_bytes()), grease].concat();
    message(Some(&extensions))
}

/// What comes of bytes that arrive in pieces of that size: the name once it is whole, nothing before.
fn read(bytes: &[u8], piece: usize, most: usize) -> Result<Option<String>, Fault> {
    let mut hello = Hello::new(most);
    let mut end = 0;
    while end < bytes.len() {
        end = (end + piece).min(bytes.len());
        if hello.read(&bytes[..end])? {
            return Ok(Some(String::from_utf8(hello.name().to_vec()).unwrap()));
        }
    }
    Ok(None)
}

fn whole(bytes: &[u8]) -> Result<Option<String>, Fault> {
    read(bytes, usize::MAX - bytes.len(), MOST)
}

#[test]
fn a_name_is_found_in_any_number_of_records() {
    let message = asking("Shop.Example.COM");
    for size in 1..=message.len() {
        let bytes = records(&message, size);
        assert_eq!(whole(&bytes), Ok(Some("shop.example.com".into())), "in records of {size}");
        assert_eq!(whole(&bytes[..bytes.len() - 1]), Ok(None), "in records of {size}, without its last byte");
    }
    assert_eq!(whole(&records(&asking("shop.example.com."), 999)), Ok(Some("shop.example.com".into())));
    let behind = [records(&asking("a"), 999), b"early data".to_vec()].concat();
    assert_eq!(whole(&behind), Ok(Some("a".into())), "what follows is nobody's business");
}

#[test]
fn a_hello_may_ask_for_no_name() {
    for extensions in [None, Some(&b""[..]), Some(&extension(43, b"\x02\x03\x04")[..])] {
        assert_eq!(whole(&records(&message(extensions), 999)), Ok(Some(String::new())), "{extensions:?}");
    }
}

/// What a client of rustls begins with.
fn said_by_rustls(asked: &'static str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    let mut client = ClientConnection::new(config, asked.try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_a_client_of_rustls_says_is_read() {
    for (asked, name) in [("orders.example.com", "orders.example.com"), ("192.0.2.1", "")] {
        assert_eq!(whole(&said_by_rustls(asked)), Ok(Some(name.to_owned())));
    }
}

#[test]
fn a_hello_is_whole_when_its_last_byte_has_come_however_it_is_cut() {
    let said = said_by_rustls("orders.example.com");
    for size in [2, 3, 50, 1000, MOST] {
        let bytes = records(&said[RECORD_HEAD..], size);
        let mut hello = Hello::new(MOST);
        for end in 0..bytes.len() {
            assert_eq!(hello.read(&bytes[..end]), Ok(false), "{end} of {} in records of {size}", bytes.len());
        }
        assert_eq!(hello.read(&bytes), Ok(true), "in records of {size}");
        assert_eq!(hello.name(), b"orders.example.com");
    }
}

#[test]
fn whatever_byte_is_another_nothing_panics() {
    let said = said_by_rustls("orders.example.com");
    for at in 0..said.len() {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut other = said.clone();
            other[at] = byte;
            drop(whole(&other));
        }
    }
}

#[test]
fn what_is_not_tls_is_told_by_its_first_bytes() {
    for bytes in [&b"G"[..], b"GET / HTTP/1.1\r\n\r\n", b"\0", b"\x80\x2e\x01\x03\x01", b"SSH-2.0-x", &[22, 2, 0, 0, 1]]
    {
        assert_eq!(whole(bytes), Err(Fault::NotTls), "{bytes:?}");
    }
    for bytes in [&b""[..], &[22], &[22, 3], &[22, 2, 0, 0]] {
        assert_eq!(whole(bytes), Ok(None), "{bytes:?}");
    }
}

#[test]
fn what_breaks_the_rules_is_refused() {
    let good = asking("a.example");
    let twice = [names(0, b"a"), names(0, b"b")].concat();
    let both = extension(0, &long(&[&[0][..], &long(b"a"), &[0], &long(b"b")].concat()));
    let behind = [extension(0, &[long(&[&[0][..], &long(b"a")].concat()), vec![0]].concat())].concat();
    let changed = |at: usize, byte: u8| {
        let mut message = good.clone();
        message[at] = byte;
        message
    };
    let mut cases = vec![
        ("another message", changed(0, 2)),
        ("a version's length", changed(4 + 34, 33)),
        ("an odd list of suites", changed(4 + 40, 3)),
        ("two lists", message(Some(&twice))),
        ("two names", message(Some(&both))),
        ("a byte behind the list", message(Some(&behind))),
        ("an empty list", message(Some(&extension(0, b"\0\0")))),
        ("an empty extension", message(Some(&extension(0, b"")))),
        ("an address by number", message(Some(&names(1, b"a")))),
        ("half an extension", message(Some(&[0, 0, 0]))),
        ("an extension longer than all", message(Some(&[0, 16, 0, 9, 1]))),
    ];
    for name in [&b""[..], b".", b"a\0b", b"a b", b"\xff", b"a/b", b"*.example.com", &[b'a'; 255]] {
        cases.push(("a name", message(Some(&names(0, name)))));
    }
    for (what, message) in cases {
        for size in [1, 7, 999] {
            let outcome = whole(&records(&message, size));
            assert!(matches!(outcome, Err(Fault::Malformed(_))), "{what}: {outcome:?} in records of {size}");
        }
    }
    let more = records(&[&good[..], &[0]].concat(), 999);
    assert_eq!(whole(&more), Err(Fault::Malformed("more than a hello")), "in its last record");
    for (what, second) in [("nothing", &[22, 3, 3, 0, 0][..]), ("an alert", &[21, 3, 3, 0, 2]), ("plain", b"GET /")] {
        let bytes = [&records(&good[..20], 20)[..], second].concat();
        assert!(matches!(whole(&bytes), Err(Fault::Malformed(_))), "{what} as the second record");
    }
}

#[test]
fn nothing_is_waited_for_that_is_too_long() {
    let message = asking("a.example");
    let exact = records(&message, 999).len();
    assert_eq!(read(&records(&message, 999), 1, exact), Ok(Some("a.example".into())));
    assert_eq!(read(&records(&message, 999), 1, exact - 1), Err(Fault::TooLong));
    // Said at once, whatever was announced: by a record, and by a message of many.
    assert_eq!(whole(&[22, 3, 1, 0x40, 0]), Err(Fault::TooLong));
    assert_eq!(whole(&[22, 3, 1, 0, 4, 1, 0, 0x40, 1]), Err(Fault::TooLong));
    let endless = records(&[&[1, 0, 0x3f, 0xff][..], &[0; 20_000]].concat(), 1);
    assert_eq!(whole(&endless), Err(Fault::TooLong), "the heads of its records count");
}

#[test]
fn an_alert_is_a_whole_record() {
    assert_eq!(alert(UNRECOGNIZED_NAME), [21, 3, 3, 0, 2, 2, 112]);
}

proptest! {
    #[test]
    fn any_cut_gives_the_same(
        name in "[a-zA-Z0-9.-]{0,40}",
        size in 1_usize..80,
        piece in 1_usize..90,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = records(&asking(&name), size);
        let at = at.index(bytes.len());
        for change in [None, Some(byte)] {
            if let Some(byte) = change {
                bytes[at] = byte;
            }
            for most in [MOST, 60] {
                let outcome = read(&bytes, usize::MAX - bytes.len(), most);
                prop_assert_eq!(&read(&bytes, piece, most), &outcome);
                prop_assert_eq!(&read(&bytes, 1, most), &outcome);
            }
        }
    }
}
