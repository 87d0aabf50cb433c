//! The part of a request that is hashed to find its endpoint, and cookies as requests carry them. It refuses to know what a
//! hash is used for.

use std::net::IpAddr;

use crate::address::Peer;
use crate::http::head::Known;
use crate::http::head::Request;
use crate::model::HashKey;
use crate::model::PathPattern;

/// The hash of the first of `keys` that a request has, and that is not empty. `client` is whom the request is from, `shown`
/// who that is by the certificate it has shown, and `pattern` what its route takes; `of` hashes.
#[must_use]
pub fn hash(
    keys: &[HashKey],
    request: Request<'_>,
    (client, shown, pattern): (Peer, &str, &PathPattern),
    of: fn(&[u8]) -> u64,
) -> Option<u64> {
    let text = |value: Option<&[u8]>| value.filter(|value| !value.is_empty()).map(of);
    keys.iter().find_map(|key| match key {
        HashKey::Header(name) => text(request.named(name)),
        HashKey::Cookie(name) => text(cookie(request, name)),
        HashKey::Query(name) => text(parameter(request.origin_form(), name)),
        HashKey::Path => text(Some(request.path())),
        HashKey::Client => client.ip().map(|ip| match ip {
            IpAddr::V4(ip) => of(&ip.octets()),
            IpAddr::V6(ip) => of(&ip.octets()),
        }),
        HashKey::Certificate => text(Some(shown.as_bytes())),
        HashKey::Capture(nth) => text(capture(request.path(), pattern, *nth)),
    })
}

/// The value of a cookie of a request: the first of its name (RFC 6265 §5.4).
#[must_use]
pub fn cookie<'a>(request: Request<'a>, name: &str) -> Option<&'a [u8]> {
    let fields = request.fields().filter(|(known, ..)| *known == Known::Cookie).map(|(.., value)| value);
    fields.flat_map(|value| value.split(|byte| *byte == b';')).find_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (own, value) = (pair.get(..at)?, pair.get(at + 1..)?);
        (own == name.as_bytes()).then(|| unquoted(value))
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// The value of a parameter of the query, as it is written.
fn parameter<'a>(target: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = target.iter().position(|byte| *byte == b'?')?;
    target.get(at + 1..)?.split(|byte| *byte == b'&').find_map(|pair| {
        let value = pair.strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    })
}

/// The `nth` segment, from 1, of what a pattern's `/*` stands for.
fn capture<'a>(path: &'a [u8], pattern: &PathPattern, nth: u32) -> Option<&'a [u8]> {
    let PathPattern::Prefix(prefix) = pattern else { return None };
    let rest = path.get(prefix.len()..)?.strip_prefix(b"/")?;
    rest.split(|byte| *byte == b'/').nth(usize::try_from(nth).ok()?.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::HeadLimits;
    use crate::http::head::RequestHead;

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, fields: 20, target_bytes: 1000 };
    const HEAD: &[u8] = b"GET /orders/eu/42?id=7&name=x&empty= HTTP/1.1\r\nHost: a\r\nX-User: ann\r\nX-Empty:\r\n\
        Cookie: one=1; cart=\"c42\"; cart=later\r\nCookie: two=2\r\n\r\n";

    fn mix(bytes: &[u8]) -> u64 {
        bytes.iter().fold(7, |hash, byte| hash * 257 % 1_000_003 + u64::from(*byte))
    }

    fn with<T>(judge: impl FnOnce(Request<'_>) -> T) -> T {
        let mut head = RequestHead::default();
        head.parse(HEAD, &LIMITS).unwrap();
        judge(head.view(HEAD))
    }

    fn client(text: &str) -> Peer {
        Peer::Ip(text.parse().unwrap())
    }

    #[test]
    fn each_kind_of_key_is_found_where_it_stands() {
        let prefix = PathPattern::Prefix("/orders".into());
        let name = |text: &str| text.to_owned();
        for (key, value) in [
            (HashKey::Header(name("x-user")), Some(&b"ann"[..])),
            (HashKey::Header(name("x-empty")), None),
            (HashKey::Header(name("x-none")), None),
            (HashKey::Cookie(name("cart")), Some(b"c42")),
            (HashKey::Cookie(name("two")), Some(b"2")),
            (HashKey::Cookie(name("car")), None),
            (HashKey::Query(name("id")), Some(b"7")),
            (HashKey::Query(name("name")), Some(b"x")),
            (HashKey::Query(name("nam")), None),
            (HashKey::Query(name("empty")), None),
            (HashKey::Path, Some(b"/orders/eu/42")),
            (HashKey::Client, Some(&[10, 0, 0, 1])),
            (HashKey::Certificate, Some(b"CN=ann")),
            (HashKey::Capture(1), Some(b"eu")),
            (HashKey::Capture(2), Some(b"42")),
            (HashKey::Capture(3), None),
            (HashKey::Capture(0), None),
        ] {
            let found = with(|request| {
                hash(std::slice::from_ref(&key), request, (client("10.0.0.1:99"), "CN=ann", &prefix), mix)
            });
            assert_eq!(found, value.map(mix), "{key:?}");
        }
    }

    #[test]
    fn the_first_that_is_there_wins_and_none_is_none() {
        let keys = [HashKey::Header("x-none".into()), HashKey::Query("id".into()), HashKey::Path];
        let exact = PathPattern::Exact("/orders/eu/42".into());
        assert_eq!(with(|request| hash(&keys, request, (Peer::Unix, "", &exact), mix)), Some(mix(b"7")));
        let keys = [HashKey::Client, HashKey::Certificate, HashKey::Capture(1)];
        assert_eq!(with(|request| hash(&keys, request, (Peer::Unix, "", &exact), mix)), None);
    }

    #[test]
    fn the_port_of_a_client_is_no_part_of_it() {
        let exact = PathPattern::Exact("/".into());
        let of = |text: &str| with(|request| hash(&[HashKey::Client], request, (client(text), "", &exact), mix));
        assert_eq!(of("10.0.0.1:1"), of("10.0.0.1:2"));
        assert_ne!(of("10.0.0.1:1"), of("10.0.0.2:1"));
    }
}
