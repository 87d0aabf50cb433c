//! The part of a request that is hashed to find its endpoint, and cookies as requests carry them. It refuses to know what a
//! hash is used for.

use std::net::IpAddr;

use crate::address::Peer;
use crate::http::head::Known;
use crate::http::head::Request;
use crate::model::HashKey;
use crate::model::PathPattern;

/// The hash of the first of `keys` that a request has, and that is not empty. `client` is whom the request is from, and
/// `pattern` what its route takes.
#[must_use]
pub fn hash(keys: &[HashKey], request: Request<'_>, client: Peer, pattern: &PathPattern) -> Option<u64> {
    keys.iter().find_map(|key| match key {
        HashKey::Header(name) => text(request.named(name)),
        HashKey::Cookie(name) => text(cookie(request, name)),
        HashKey::Query(name) => text(parameter(request.origin_form(), name)),
        HashKey::Path => text(Some(request.path())),
        HashKey::Client => client.ip().map(|ip| match ip {
            IpAddr::V4(ip) => mix(&ip.octets()),
            IpAddr::V6(ip) => mix(&ip.octets()),
        }),
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

fn text(value: Option<&[u8]>) -> Option<u64> {
    value.filter(|value| !value.is_empty()).map(mix)
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

/// FNV-1a, and then the finish of SplitMix64, which spreads it over all bits. The same on every machine and in every
/// release: several gateways send one key to one endpoint.
fn mix(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::HeadLimits;
    use crate::http::head::RequestHead;

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, fields: 20, target_bytes: 1000 };
    const HEAD: &[u8] = b"GET /orders/eu/42?id=7&name=x&empty= HTTP/1.1\r\nHost: a\r\nX-User: ann\r\nX-Empty:\r\n\
        Cookie: one=1; cart=\"c42\"; cart=later\r\nCookie: two=2\r\n\r\n";

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
            (HashKey::Capture(1), Some(b"eu")),
            (HashKey::Capture(2), Some(b"42")),
            (HashKey::Capture(3), None),
            (HashKey::Capture(0), None),
        ] {
            let found = with(|request| hash(std::slice::from_ref(&key), request, client("10.0.0.1:99"), &prefix));
            assert_eq!(found, value.map(mix), "{key:?}");
        }
    }

    #[test]
    fn the_first_that_is_there_wins_and_none_is_none() {
        let keys = [HashKey::Header("x-none".into()), HashKey::Query("id".into()), HashKey::Path];
        let exact = PathPattern::Exact("/orders/eu/42".into());
        assert_eq!(with(|request| hash(&keys, request, Peer::Unix, &exact)), Some(mix(b"7")));
        let keys = [HashKey::Client, HashKey::Capture(1)];
        assert_eq!(with(|request| hash(&keys, request, Peer::Unix, &exact)), None);
    }

    #[test]
    fn the_port_of_a_client_is_no_part_of_it() {
        let exact = PathPattern::Exact("/".into());
        let of = |text: &str| with(|request| hash(&[HashKey::Client], request, client(text), &exact));
        assert_eq!(of("10.0.0.1:1"), of("10.0.0.1:2"));
        assert_ne!(of("10.0.0.1:1"), of("10.0.0.2:1"));
    }

    #[test]
    fn the_hash_is_the_same_in_every_release_and_spreads_neighbours() {
        assert_eq!(mix(b""), 0xf52a_15e9_a9b5_e89b);
        let mut tops = std::collections::BTreeSet::new();
        for n in 0..64 {
            tops.insert(mix(format!("user-{n}").as_bytes()) >> 56);
        }
        assert!(tops.len() > 48, "{} of 64 differ in their first byte", tops.len());
    }
}
