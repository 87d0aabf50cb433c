//! Authorities (RFC 3986 §3.2, without user information, which RFC 9110 §4.2.4 forbids): `host [ ":" port ]`.

use std::net::Ipv6Addr;

/// The host of an authority without its port, or nothing if it is not one. An empty authority has an empty host
/// (RFC 9112 §3.2), but a port alone names nothing (RFC 9110 §4.2.1).
#[must_use]
pub fn name(authority: &[u8]) -> Option<&[u8]> {
    if authority.first() == Some(&b'[') {
        let end = memchr::memchr(b']', authority)?;
        let (literal, rest) = authority.split_at_checked(end + 1)?;
        let inner = std::str::from_utf8(literal.get(1..end)?).ok()?;
        let known = inner.parse::<Ipv6Addr>().is_ok() && is_port(rest);
        return known.then_some(literal);
    }
    let end = memchr::memchr(b':', authority).unwrap_or(authority.len());
    let (host, rest) = authority.split_at_checked(end)?;
    let named = !host.is_empty() || rest.is_empty();
    (named && is_registered_name(host) && is_port(rest)).then_some(host)
}

/// Whether two authorities name the same: letters of either case are the same (RFC 9110 §4.2.3).
#[must_use]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// `":" *DIGIT` or nothing, at most 65535.
fn is_port(rest: &[u8]) -> bool {
    match rest {
        [] => true,
        [b':', digits @ ..] => {
            digits.len() <= 5
                && digits.iter().all(u8::is_ascii_digit)
                && digits.iter().fold(0_u32, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
        }
        _ => false,
    }
}

/// `reg-name` of RFC 3986 §3.2.2.
fn is_registered_name(host: &[u8]) -> bool {
    let mut bytes = host.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {}
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => {}
            b'%' => {
                let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
                if !hex(bytes.next()) || !hex(bytes.next()) {
                    return false;
                }
            }
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_and_their_hosts() {
        for (authority, host) in [
            ("a", Some("a")),
            ("a.example", Some("a.example")),
            ("a:80", Some("a")),
            ("a:", Some("a")),
            ("a.", Some("a.")),
            ("", Some("")),
            ("127.0.0.1:8080", Some("127.0.0.1")),
            ("[::1]", Some("[::1]")),
            ("[::1]:80", Some("[::1]")),
            ("a%20b", Some("a%20b")),
            ("u@a", None),
            (":80", None),
            (":", None),
            ("a b", None),
            ("a/b", None),
            ("a?b", None),
            ("a#b", None),
            ("<a>", None),
            ("a\\b", None),
            ("a:80x", None),
            ("a:-1", None),
            ("a:80:90", None),
            ("a:99999", None),
            ("a:123456", None),
            ("[::1", None),
            ("::1]", None),
            ("[::zz]", None),
            ("[::1]x", None),
            ("a%", None),
            ("a%2", None),
            ("a%zz", None),
            ("\u{e4}.example", None),
        ] {
            assert_eq!(name(authority.as_bytes()), host.map(str::as_bytes), "{authority}");
        }
    }
}
