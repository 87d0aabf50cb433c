//! Which requests may change something. The interface has no passwords: whoever reaches its address may use it. What must
//! not reach it is a web page in an operator's browser, be it by a cross-site form or by a name that is rebound to the
//! interface's address. Pure.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::header;

/// Whether a request may go on.
///
/// # Errors
/// Why not, in words.
pub(super) fn judge(method: &Method, head: &HeaderMap) -> Result<(), &'static str> {
    if method.is_safe() {
        return Ok(());
    }
    let host = head.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    if !literal(name(host)) {
        return Err("the Host of a request that changes something must be an IP address or `localhost`");
    }
    if let Some(origin) = head.get(header::ORIGIN) {
        // The interface speaks plain HTTP: a page of its own has this origin and no other.
        let own = origin.to_str().is_ok_and(|origin| {
            origin.strip_prefix("http://").is_some_and(|authority| authority.eq_ignore_ascii_case(host))
        });
        if !own {
            return Err("a page of another site may not change anything here");
        }
    }
    match head.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err("a page of another site may not change anything here"),
    }
}

/// A `Host` without its port (RFC 9110 §7.2).
fn name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

fn literal(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operator_may_change_something() {
        for (method, head, may) in [
            ("GET", &[("host", "evil.example")][..], true),
            ("HEAD", &[], true),
            ("POST", &[], false),
            ("POST", &[("host", "127.0.0.1:9901")], true),
            ("POST", &[("host", "[::1]:9901")], true),
            ("POST", &[("host", "LocalHost")], true),
            ("POST", &[("host", "rebound.example:9901")], false),
            ("POST", &[("host", "127.0.0.1.example")], false),
            ("POST", &[("host", "[::1")], false),
            ("PATCH", &[("host", "rebound.example")], false),
            ("POST", &[("host", "127.0.0.1:9901"), ("origin", "http://127.0.0.1:9901")], true),
            ("POST", &[("host", "127.0.0.1:9901"), ("origin", "http://127.0.0.1:8080")], false),
            ("POST", &[("host", "127.0.0.1:9901"), ("origin", "https://127.0.0.1:9901")], false),
            ("POST", &[("host", "127.0.0.1:9901"), ("origin", "null")], false),
            ("POST", &[("host", "localhost"), ("sec-fetch-site", "cross-site")], false),
            ("POST", &[("host", "localhost"), ("sec-fetch-site", "same-site")], false),
            ("POST", &[("host", "localhost"), ("sec-fetch-site", "same-origin")], true),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in head {
                map.insert(*name, value.parse().unwrap());
            }
            assert_eq!(judge(&method.parse().unwrap(), &map).is_ok(), may, "{method} {head:?}");
        }
    }
}
