//! Strings, numbers and addresses as bytes of a line. It refuses to know which field it writes.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::observe::line::Text;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The inside of a JSON string. Bytes that are not UTF-8 are written as the Latin-1 characters of that number; control
/// characters (C1, DEL and the line separators of Unicode included) never stand bare.
pub(super) fn escape_json(out: &mut Vec<u8>, text: Text<'_>) {
    if text.bytes.iter().all(|byte| plain(*byte)) {
        out.extend_from_slice(text.bytes);
    } else {
        for chunk in text.bytes.utf8_chunks() {
            escape_json_str(out, chunk.valid());
            for byte in chunk.invalid() {
                escape_json_unit(out, (*byte).into());
            }
        }
    }
    if text.cut {
        out.extend_from_slice("…".as_bytes());
    }
}

/// The inside of a quoted string of the combined format: quotes, backslashes and all that is not printable ASCII as
/// `\xHH`.
pub(super) fn escape_combined(out: &mut Vec<u8>, text: Text<'_>) {
    let mut rest = text.bytes;
    while let Some(at) = rest.iter().position(|byte| !plain(*byte)) {
        let (run, after) = rest.split_at(at);
        out.extend_from_slice(run);
        let Some((byte, after)) = after.split_first() else { break };
        out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(*byte)]);
        rest = after;
    }
    out.extend_from_slice(rest);
    if text.cut {
        out.extend_from_slice(b"...");
    }
}

/// A number in decimal.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    digits(out, number, 1);
}

/// A number in decimal, filled with zeros to at least `width` digits (at most 20).
pub(super) fn digits(out: &mut Vec<u8>, number: u64, width: usize) {
    let mut text = [b'0'; 20];
    let mut rest = number;
    let mut used = 0;
    for place in text.iter_mut().rev() {
        if rest == 0 {
            break;
        }
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used += 1;
    }
    let length = used.max(width).min(text.len());
    out.extend_from_slice(text.split_at(text.len() - length).1);
}

/// `127.0.0.1:8080` or `[::1]:8080`; without a port, where it is not known, the address alone.
pub(super) fn address(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(v4) if v4.port() == 0 => return ipv4(out, *v4.ip()),
        SocketAddr::V6(v6) if v6.port() == 0 => return ipv6(out, *v6.ip()),
        SocketAddr::V4(v4) => ipv4(out, *v4.ip()),
        SocketAddr::V6(v6) => {
            out.push(b'[');
            ipv6(out, *v6.ip());
            out.push(b']');
        }
    }
    out.push(b':');
    number(out, address.port().into());
}

/// `127.0.0.1`.
pub(super) fn ipv4(out: &mut Vec<u8>, ip: Ipv4Addr) {
    let [a, b, c, d] = ip.octets();
    number(out, a.into());
    for octet in [b, c, d] {
        out.push(b'.');
        number(out, octet.into());
    }
}

/// `::1`.
pub(super) fn ipv6(out: &mut Vec<u8>, ip: Ipv6Addr) {
    // A write into memory does not fail.
    drop(write!(out, "{ip}"));
}

fn escape_json_str(out: &mut Vec<u8>, text: &str) {
    let mut from = 0;
    for (at, char) in text.char_indices() {
        if char.is_ascii() && plain(char as u8) || !char.is_ascii() && !breaks(char) {
            continue;
        }
        out.extend_from_slice(text.get(from..at).unwrap_or_default().as_bytes());
        from = at + char.len_utf8();
        match char {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // All that break lie in the first plane.
            _ => escape_json_unit(out, u16::try_from(u32::from(char)).unwrap_or(0xFFFD)),
        }
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default().as_bytes());
}

fn escape_json_unit(out: &mut Vec<u8>, unit: u16) {
    let [high, low] = unit.to_be_bytes();
    out.extend_from_slice(&[b'\\', b'u', hex(high >> 4), hex(high), hex(low >> 4), hex(low)]);
}

/// Stands for itself in either format.
fn plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// Not ASCII, and taken by some reader for an order or the end of a line.
fn breaks(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

/// The digit of the lower four bits.
fn hex(byte: u8) -> u8 {
    HEX[usize::from(byte & 0xF)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(escape: fn(&mut Vec<u8>, Text<'_>), bytes: &[u8], cut: bool) -> String {
        let mut out = Vec::new();
        escape(&mut out, Text { bytes, cut });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_strings() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"/a b~", "/a b~"),
            (b"\"\\", r#"\"\\"#),
            (b"a\nb\rc\td\x00\x1b\x7f", r"a\nb\rc\td\u0000\u001B\u007F"),
            ("größe €".as_bytes(), "größe €"),
            (b"\xFFa\xC3", r"\u00FFa\u00C3"),
            ("\u{85}\u{2028}\u{2029}\u{1F600}".as_bytes(), "\\u0085\\u2028\\u2029\u{1F600}"),
        ] {
            assert_eq!(escaped(escape_json, bytes, false), expected);
            assert_eq!(escaped(escape_json, bytes, true), format!("{expected}…"));
        }
    }

    #[test]
    fn combined_strings() {
        for (bytes, expected) in [
            (&b""[..], ""),
            (b"/a b~", "/a b~"),
            (b"\"\\", r"\x22\x5C"),
            (b"a\nb\x00\x7f\xFF", r"a\x0Ab\x00\x7F\xFF"),
            ("ö".as_bytes(), r"\xC3\xB6"),
        ] {
            assert_eq!(escaped(escape_combined, bytes, false), expected);
            assert_eq!(escaped(escape_combined, bytes, true), format!("{expected}..."));
        }
    }

    #[test]
    fn numbers() {
        for (value, width, expected) in [
            (0, 1, "0"),
            (0, 3, "000"),
            (7, 2, "07"),
            (200, 3, "200"),
            (1_234, 2, "1234"),
            (u64::MAX, 1, "18446744073709551615"),
        ] {
            let mut out = Vec::new();
            digits(&mut out, value, width);
            assert_eq!(out, expected.as_bytes());
        }
    }

    #[test]
    fn addresses_read_as_the_standard_library_writes_them() {
        for text in ["127.0.0.1:8080", "0.0.0.0:1", "255.255.255.255:65535", "[::1]:80", "[2001:db8::7]:443"] {
            let mut out = Vec::new();
            address(&mut out, text.parse().unwrap());
            assert_eq!(out, text.as_bytes());
        }
    }
}
