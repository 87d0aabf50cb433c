//! Whom a PROXY protocol header names, byte for byte.

use proptest::prelude::*;

use super::*;
use ProxyFault as F;

/// `v4 1.2.3.4:5 6.7.8.9:10` as addresses.
fn between(from: &str, to: &str) -> Ends {
    Ends::Between(from.parse().unwrap(), to.parse().unwrap())
}

#[test]
fn lines_of_version_1() {
    let v4 = between("1.2.3.4:0", "255.255.255.255:65535");
    let v6 = between("[::1]:80", "[fd00::a:B]:443");
    for (line, wanted) in [
        ("PROXY TCP4 1.2.3.4 255.255.255.255 0 65535\r\n", Ok(v4)),
        ("PROXY TCP6 ::1 FD00:0:0:0:0:0:a:000b 80 443\r\n", Ok(v6)),
        ("PROXY TCP6 ::ffff:1.2.3.4 ::ffff:102:305 1 2\r\n", Ok(between("1.2.3.4:1", "1.2.3.5:2"))),
        ("PROXY UNKNOWN\r\n", Ok(Ends::Own)),
        ("PROXY UNKNOWN ffff::1 nonsense \r 1 \r\n", Ok(Ends::Own)),
        ("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP4 1.2.3.4 5.6.7.8  1 2\r\n", Err(F::BadPort)),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", Err(F::BadPort)),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", Err(F::BadPort)),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", Err(F::BadPort)),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n", Err(F::BadPort)),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", Err(F::BadPort)),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", Err(F::BadPort)),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n", Err(F::BadPort)),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", Err(F::BadPort)),
        ("PROXY TCP4 1.2.3.4\t5.6.7.8 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP4 ::1 ::2 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP6 1.2.3.4 ::2 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP6 ::1::2 ::2 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP6 fe80::1%1 ::2 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP6 [::1] ::2 1 2\r\n", Err(F::BadAddress)),
        ("PROXY TCP4\r\n", Err(F::BadAddress)),
        ("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", Err(F::BadFamily)),
        ("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", Err(F::BadFamily)),
        ("PROXY UNKNOWNS\r\n", Err(F::BadFamily)),
        ("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Err(F::BadFamily)),
        ("PROXY \r\n", Err(F::BadFamily)),
        ("PROXY\r\n", Err(F::Missing)),
        ("PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n", Err(F::Missing)),
        (" PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Err(F::Missing)),
        ("proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Err(F::Missing)),
        ("GET / HTTP/1.1\r\n", Err(F::Missing)),
        ("PUT / HTTP/1.1\r\n", Err(F::Missing)),
        ("\r\nPROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Err(F::Missing)),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", Err(F::BadLine)),
        ("PROXY UNKNOWN\nGET / HTTP/1.1\r\n", Err(F::BadLine)),
    ] {
        let read = parse(line.as_bytes()).map(|read| read.expect("a whole line"));
        assert_eq!(read, wanted.map(|ends| (line.len(), ends)), "{line:?}");
    }
}

#[test]
fn a_line_has_107_bytes_at_the_most() {
    for (padding, fits) in [(107, true), (108, false)] {
        let line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(padding - 16));
        assert_eq!(line.len(), padding);
        assert_eq!(parse(line.as_bytes()).is_ok(), fits);
    }
    let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
    assert_eq!(parse(&endless[..106]), Ok(None));
    assert_eq!(parse(&endless[..107]), Err(F::BadLine));
    assert_eq!(parse(&endless), Err(F::BadLine));
}

/// A header of version 2 with these two bytes, and these behind its length.
fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE.as_slice(), &[command, family], &length, body].concat()
}

#[test]
fn headers_of_version_2() {
    let v4 = [1, 2, 3, 4, 5, 6, 7, 8, 0x1f, 0x90, 0, 80].as_slice();
    let v6 = [[0; 15].as_slice(), &[1], &[0xfd], &[0; 14], &[2, 0, 1, 0xff, 0xff]].concat();
    let named = between("1.2.3.4:8080", "5.6.7.8:80");
    let with = |additions: &[u8]| [v4, additions].concat();
    for (command, family, body, wanted) in [
        (0x21, 0x11, v4.to_vec(), Ok(named)),
        (0x21, 0x21, v6.clone(), Ok(between("[::1]:1", "[fd00::2]:65535"))),
        (0x21, 0x31, vec![b'/'; 216], Ok(Ends::Unix)),
        (0x21, 0x00, Vec::new(), Ok(Ends::Own)),
        (0x21, 0x00, vec![7; 5], Ok(Ends::Own)),
        (0x20, 0x00, Vec::new(), Ok(Ends::Own)),
        (0x20, 0x11, v4.to_vec(), Ok(Ends::Own)),
        (0x20, 0xff, vec![7; 5], Ok(Ends::Own)),
        // Additions.
        (0x21, 0x11, with(&[4, 0, 0]), Ok(named)),
        (0x21, 0x11, with(&[2, 0, 3, b'a', b'b', b'c', 4, 0, 1, 0]), Ok(named)),
        (0x21, 0x11, with(&[2]), Err(F::BadAddition)),
        (0x21, 0x11, with(&[2, 0]), Err(F::BadAddition)),
        (0x21, 0x11, with(&[2, 0, 1]), Err(F::BadAddition)),
        (0x21, 0x11, with(&[2, 0, 1, 0, 9]), Err(F::BadAddition)),
        (0x21, 0x11, with(&[2, 0xff, 0xff, 0]), Err(F::BadAddition)),
        // What it may not be.
        (0x11, 0x11, v4.to_vec(), Err(F::BadVersion)),
        (0x31, 0x11, v4.to_vec(), Err(F::BadVersion)),
        (0x22, 0x11, v4.to_vec(), Err(F::BadCommand)),
        (0x2f, 0x11, v4.to_vec(), Err(F::BadCommand)),
        (0x21, 0x12, v4.to_vec(), Err(F::BadFamily)),
        (0x21, 0x22, v6, Err(F::BadFamily)),
        (0x21, 0x32, vec![0; 216], Err(F::BadFamily)),
        (0x21, 0x10, v4.to_vec(), Err(F::BadFamily)),
        (0x21, 0x01, Vec::new(), Err(F::BadFamily)),
        (0x21, 0x41, v4.to_vec(), Err(F::BadFamily)),
        (0x21, 0x11, v4[..11].to_vec(), Err(F::BadLength)),
        (0x21, 0x21, vec![0; 35], Err(F::BadLength)),
        (0x21, 0x31, vec![0; 215], Err(F::BadLength)),
    ] {
        let bytes = header(command, family, &body);
        let read = parse(&bytes).map(|read| read.expect("a whole header"));
        assert_eq!(read, wanted.map(|ends| (bytes.len(), ends)), "{command:x} {family:x} {body:?}");
    }
}

#[test]
fn a_header_of_version_2_has_a_bound() {
    let most = limits::PROXY_BYTES - FIXED_BYTES;
    assert_eq!(parse(&header(0x20, 0, &vec![0; most])), Ok(Some((limits::PROXY_BYTES, Ends::Own))));
    // It is seen before the bytes come.
    assert_eq!(parse(&header(0x20, 0, &vec![0; most + 1])[..16]), Err(F::BadLength));
    assert_eq!(parse(&header(0x21, 0x11, &[0; 11])[..16]), Err(F::BadLength));
    assert_eq!(parse(&header(0x21, 0x12, &[])[..14]), Err(F::BadFamily));
    assert_eq!(parse(&header(0x31, 0x12, &[])[..13]), Err(F::BadVersion));
}

#[test]
fn what_is_written() {
    let v4 = between("1.2.3.4:5", "6.7.8.9:10");
    let mixed = between("1.2.3.4:5", "[fd00::1]:10");
    for (ends, line) in [
        (v4, "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"),
        (between("[::ffff:1.2.3.4]:5", "6.7.8.9:10"), "PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n"),
        (between("[::1]:0", "[fd00::1]:10"), "PROXY TCP6 ::1 fd00::1 0 10\r\n"),
        (mixed, "PROXY TCP6 ::ffff:102:304 fd00::1 5 10\r\n"),
        (Ends::Unix, "PROXY UNKNOWN\r\n"),
        (Ends::Own, "PROXY UNKNOWN\r\n"),
    ] {
        let mut out = Vec::new();
        write_line(&mut out, ends);
        assert_eq!(String::from_utf8_lossy(&out), line);
    }
    let mapped = [[0; 10].as_slice(), &[0xff, 0xff, 1, 2, 3, 4], &[0xfd], &[0; 14], &[1, 0, 5, 0, 10]].concat();
    for (ends, bytes) in [
        (v4, header(0x21, 0x11, &[1, 2, 3, 4, 6, 7, 8, 9, 0, 5, 0, 10])),
        (mixed, header(0x21, 0x21, &mapped)),
        (Ends::Unix, header(0x20, 0, &[])),
        (Ends::Own, header(0x20, 0, &[])),
    ] {
        let mut out = Vec::new();
        write_binary(&mut out, ends);
        assert_eq!(out, bytes, "{ends:?}");
    }
}

fn addresses() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        any::<[u8; 4]>().prop_map(|v4| IpAddr::V6(Ipv4Addr::from(v4).to_ipv6_mapped())),
        Just(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

/// Bytes that come near to headers.
fn near() -> impl Strategy<Value = Vec<u8>> {
    let line = "PROXY (TCP4|TCP6|UNKNOWN|TCP) ?[0-9a-f:.]{0,9} ?[0-9.:f]{0,9} [0-9]{0,6} ?[0-9]{0,6}\r?\n?";
    let body = prop::collection::vec(0..4_u8, 0..60);
    let binary = (0x1f..0x23_u8, prop::sample::select(vec![0, 0x11, 0x21, 0x12, 0x31]), body);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        line.prop_map(String::into_bytes),
        binary.prop_map(|(command, family, body)| header(command, family, &body)),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_as_the_same(from in addresses(), to in addresses(), behind in prop::collection::vec(any::<u8>(), 0..20)) {
        let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let wanted = Ends::Between(plain(from), plain(to));
        for write in [write_line, write_binary] {
            let mut out = Vec::new();
            write(&mut out, Ends::Between(from, to));
            let end = out.len();
            out.extend_from_slice(&behind);
            prop_assert_eq!(parse(&out), Ok(Some((end, wanted))));
        }
    }

    #[test]
    fn pieces_read_as_the_whole(bytes in near(), behind in prop::collection::vec(any::<u8>(), 0..120)) {
        let bytes = [bytes, behind].concat();
        let whole = parse(&bytes);
        let first = (0..=bytes.len()).map(|end| parse(&bytes[..end])).find(|read| *read != Ok(None));
        prop_assert_eq!(first.unwrap_or(Ok(None)), whole);
        if let Ok(Some((end, _))) = whole {
            prop_assert!(end <= bytes.len() && end <= limits::PROXY_BYTES);
        }
    }
}
