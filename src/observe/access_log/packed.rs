//! A record as bytes: what a core copies and the writer takes apart. It refuses to know how a line looks and where it
//! goes.
//!
//! Each record is a head of fixed size (its own length first, the lengths of its strings last) and then its strings, in
//! the machine's own byte order: the bytes never leave the process.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::address::Peer;
use crate::limits;
use crate::observe::ended::Cause;
use crate::observe::ended::Ended;
use crate::observe::ended::Phase;
use crate::observe::line::Line;
use crate::observe::line::Text;
use crate::observe::record::Record;

/// Bytes kept of a request target.
const TARGET_BYTES: usize = 2048;
/// Bytes kept of a user agent and of a referer, each.
const FIELD_BYTES: usize = 512;
/// Bytes kept of a host.
const HOST_BYTES: usize = 256;
/// Bytes kept of a method, of a protocol and of a version of TLS, each.
const WORD_BYTES: usize = 32;
/// Bytes kept of a route's label, which holds a host and a path, and of what a certificate says.
const LABEL_BYTES: usize = 512;
/// Bytes kept of a listener's, an upstream's or an endpoint's name, each.
const NAME_BYTES: usize = 256;

const STRINGS: usize = 13;
const STRINGS_AT: usize = 80;
const HEAD: usize = STRINGS_AT + 2 * STRINGS;
/// The bit of a string's length that says that the string was cut.
const CUT: u16 = 1 << 15;
const PHASES: [Phase; 7] =
    [Phase::Request, Phase::Route, Phase::Connect, Phase::Wait, Phase::Response, Phase::Tunnel, Phase::Done];

/// Bytes of the largest packed record.
pub(super) const RECORD_BYTES: usize = HEAD
    + TARGET_BYTES
    + 2 * FIELD_BYTES
    + HOST_BYTES
    + 3 * WORD_BYTES
    + 2 * LABEL_BYTES
    + 3 * NAME_BYTES
    + limits::REQUEST_ID_BYTES;

const _: () = assert!(RECORD_BYTES < CUT as usize);

/// Appends a record; at most [`RECORD_BYTES`].
pub(super) fn pack(out: &mut Vec<u8>, record: &Record<'_>) {
    let strings = [
        cut(record.listener.as_bytes(), NAME_BYTES),
        cut(record.request_id, limits::REQUEST_ID_BYTES),
        cut(record.method, WORD_BYTES),
        cut(record.host, HOST_BYTES),
        cut(record.target, TARGET_BYTES),
        cut(record.protocol.as_bytes(), WORD_BYTES),
        cut(record.route.as_bytes(), LABEL_BYTES),
        cut(record.upstream.as_bytes(), NAME_BYTES),
        cut(record.endpoint.as_bytes(), NAME_BYTES),
        cut(record.user_agent, FIELD_BYTES),
        cut(record.referer, FIELD_BYTES),
        cut(record.tls.as_bytes(), WORD_BYTES),
        cut(record.certificate.as_bytes(), LABEL_BYTES),
    ];
    let length = HEAD + strings.iter().map(|text| text.bytes.len()).sum::<usize>();
    let mut head = [0; HEAD];
    let mut fields = Fields { rest: &mut head };
    // Every length is at most `RECORD_BYTES`, which fits the fifteen bits of the smaller kind: see the assertion.
    fields.put((length as u32).to_ne_bytes());
    let Record { time_us, duration_us, upstream_us, queue_us, bytes_in, bytes_out, .. } = *record;
    for number in [time_us, duration_us, upstream_us, queue_us, bytes_in, bytes_out] {
        fields.put(number.to_ne_bytes());
    }
    fields.put(record.attempts.to_ne_bytes());
    fields.put(record.status.to_ne_bytes());
    fields.put([record.ended.cause as u8, record.ended.phase as u8]);
    let (family, ip, port) = match record.client {
        Peer::Ip(SocketAddr::V4(client)) => (4, client.ip().to_ipv6_mapped().octets(), client.port()),
        Peer::Ip(SocketAddr::V6(client)) => (6, client.ip().octets(), client.port()),
        Peer::Unix => (0, [0; 16], 0),
    };
    fields.put(port.to_ne_bytes());
    fields.put([family, 0]);
    fields.put(ip);
    for text in &strings {
        let length = text.bytes.len() as u16;
        fields.put((if text.cut { length | CUT } else { length }).to_ne_bytes());
    }
    out.reserve(length);
    out.extend_from_slice(&head);
    for text in &strings {
        out.extend_from_slice(text.bytes);
    }
}

/// Takes the first record off; `None` when there is none left.
pub(super) fn unpack<'a>(bytes: &mut &'a [u8]) -> Option<Line<'a>> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let (record, after) = bytes.split_at_checked(length)?;
    *bytes = after;
    let (head, strings) = record.split_at_checked(HEAD)?;
    let mut numbers = Cursor { rest: head.get(4..)? };
    let mut lengths = Cursor { rest: head.get(STRINGS_AT..)? };
    let mut strings = Cursor { rest: strings };
    let mut text = || {
        let length = u16::from_ne_bytes(lengths.take()?);
        Some(Text { bytes: strings.slice(usize::from(length & !CUT))?, cut: length & CUT != 0 })
    };
    Some(Line {
        time_us: u64::from_ne_bytes(numbers.take()?),
        duration_us: u64::from_ne_bytes(numbers.take()?),
        upstream_us: u64::from_ne_bytes(numbers.take()?),
        queue_us: u64::from_ne_bytes(numbers.take()?),
        bytes_in: u64::from_ne_bytes(numbers.take()?),
        bytes_out: u64::from_ne_bytes(numbers.take()?),
        attempts: u32::from_ne_bytes(numbers.take()?),
        status: u16::from_ne_bytes(numbers.take()?),
        ended: ended(numbers.take()?)?,
        client: client(u16::from_ne_bytes(numbers.take()?), numbers.take()?, numbers.take()?),
        listener: text()?,
        request_id: text()?,
        method: text()?,
        host: text()?,
        target: text()?,
        protocol: text()?,
        route: text()?,
        upstream: text()?,
        endpoint: text()?,
        user_agent: text()?,
        referer: text()?,
        tls: text()?,
        certificate: text()?,
    })
}

/// How many records there are.
pub(super) fn count(bytes: &[u8]) -> u64 {
    let mut rest = bytes;
    let mut count = 0;
    while unpack(&mut rest).is_some() {
        count += 1;
    }
    count
}

/// The first `most` bytes, or fewer so that no character of UTF-8 is split.
fn cut(bytes: &[u8], most: usize) -> Text<'_> {
    if bytes.len() <= most {
        return Text { bytes, cut: false };
    }
    let inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    let at = (most - 3..=most).rev().find(|at| !inside(*at)).unwrap_or(most);
    Text { bytes: bytes.get(..at).unwrap_or(bytes), cut: true }
}

fn ended([cause, phase]: [u8; 2]) -> Option<Ended> {
    Some(Ended { cause: *Cause::ALL.get(usize::from(cause))?, phase: *PHASES.get(usize::from(phase))? })
}

fn client(port: u16, [family, _]: [u8; 2], ip: [u8; 16]) -> Peer {
    let [.., a, b, c, d] = ip;
    let ip = match family {
        0 => return Peer::Unix,
        4 => Ipv4Addr::new(a, b, c, d).into(),
        _ => IpAddr::from(Ipv6Addr::from(ip)),
    };
    Peer::Ip(SocketAddr::new(ip, port))
}

/// A head being filled from its front.
struct Fields<'a> {
    rest: &'a mut [u8],
}

impl Fields<'_> {
    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some((place, rest)) = std::mem::take(&mut self.rest).split_first_chunk_mut() {
            *place = bytes;
            self.rest = rest;
        }
    }
}

/// Bytes being taken from their front.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::access_log::tests::record;

    #[test]
    fn every_field_comes_back() {
        for (client, cause, phase) in [
            ("192.0.2.7:4711", Cause::Ok, Phase::Done),
            ("[2001:db8::7]:65535", Cause::Panic, Phase::Request),
            ("[::ffff:192.0.2.7]:1", Cause::UpstreamReset, Phase::Connect),
        ] {
            let ended = Ended { cause, phase };
            let record = Record { client: client.parse::<SocketAddr>().unwrap().into(), ended, ..record(b"/x\xFF") };
            let mut bytes = b"".to_vec();
            pack(&mut bytes, &record);
            let mut rest = &bytes[..];
            let text = |bytes| Text { bytes, cut: false };
            let expected = Line {
                time_us: record.time_us,
                duration_us: record.duration_us,
                upstream_us: record.upstream_us,
                queue_us: 9,
                bytes_in: record.bytes_in,
                bytes_out: record.bytes_out,
                ended,
                status: record.status,
                attempts: record.attempts,
                client: record.client,
                listener: text(record.listener.as_bytes()),
                request_id: text(record.request_id),
                method: text(record.method),
                host: text(record.host),
                target: text(record.target),
                protocol: text(record.protocol.as_bytes()),
                route: text(record.route.as_bytes()),
                upstream: text(record.upstream.as_bytes()),
                endpoint: text(record.endpoint.as_bytes()),
                user_agent: text(record.user_agent),
                referer: text(record.referer),
                tls: text(record.tls.as_bytes()),
                certificate: text(record.certificate.as_bytes()),
            };
            assert_eq!(unpack(&mut rest), Some(expected));
            assert_eq!(unpack(&mut rest), None);
        }
    }

    #[test]
    fn every_phase_stands_at_its_own_number() {
        for (number, phase) in PHASES.into_iter().enumerate() {
            assert_eq!(phase as usize, number);
        }
    }

    #[test]
    fn long_strings_are_cut_at_their_bounds_and_say_so() {
        let long = "x".repeat(5_000);
        let record = Record {
            listener: &long,
            request_id: long.as_bytes(),
            method: long.as_bytes(),
            host: long.as_bytes(),
            route: &long,
            upstream: &long,
            endpoint: &long,
            user_agent: long.as_bytes(),
            referer: long.as_bytes(),
            ..record(long.as_bytes())
        };
        let mut bytes = Vec::new();
        pack(&mut bytes, &record);
        assert!(bytes.len() <= RECORD_BYTES);
        let line = unpack(&mut &bytes[..]).unwrap();
        for (text, most) in [
            (line.target, 2048),
            (line.user_agent, 512),
            (line.referer, 512),
            (line.host, 256),
            (line.method, 32),
            (line.request_id, 128),
            (line.route, 512),
            (line.upstream, 256),
        ] {
            assert_eq!((text.bytes.len(), text.cut), (most, true));
        }
        assert!(!line.protocol.cut);
    }

    #[test]
    fn a_cut_splits_no_character() {
        for (text, kept) in [("aaaa€", 4), ("aaa€", 6), ("aa€€", 5), ("a\u{1F600}\u{1F600}", 5), ("aaaaaaa", 6)]
        {
            assert_eq!(cut(text.as_bytes(), 6).bytes.len(), kept, "{text}");
        }
        // Not UTF-8 at all: cut where the bound is.
        assert_eq!(cut(&[0x80; 9], 6).bytes.len(), 6);
    }

    #[test]
    fn broken_bytes_end_the_walk() {
        let mut bytes = Vec::new();
        pack(&mut bytes, &record(b"/a"));
        pack(&mut bytes, &record(b"/b"));
        assert_eq!(count(&bytes), 2);
        assert_eq!(count(&bytes[..bytes.len() - 1]), 1);
        assert_eq!(count(&[0; 200]), 0);
    }
}
