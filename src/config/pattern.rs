//! Host and path patterns: which texts are accepted and what they become. It refuses to know where they stand.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::http::path;
use crate::http::path::Outcome;
use crate::http::path::Rule;
use crate::http::path::Rules;
use crate::model::HostPattern;
use crate::model::PathPattern;

/// Why a pattern is not accepted: "path X `reason`", and what would be.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) help: String,
}

/// A host pattern: a name, `*.name`, an IP literal, or `*`; lower-cased.
///
/// # Errors
/// What is no name by RFC 952 and RFC 1123 (an underscore is let pass, as inside container networks), a port, a dot at
/// the end.
pub(super) fn host(written: &str) -> Result<HostPattern, Refusal> {
    if written == "*" {
        return Ok(HostPattern::Any);
    }
    let lower = written.to_ascii_lowercase();
    if let Some(suffix) = lower.strip_prefix("*.") {
        name(suffix).map_err(Refusal::below_wildcard)?;
        if is_address_like(suffix) {
            return refused("puts a wildcard before an IP address", HOST_ACCEPTED);
        }
        return Ok(HostPattern::Wildcard(suffix.to_owned()));
    }
    if let Some(inside) = lower.strip_prefix('[') {
        let (address, rest) = inside.split_once(']').unwrap_or((inside, ""));
        return match (address.parse::<Ipv6Addr>(), rest) {
            (Ok(address), "") => Ok(HostPattern::Exact(format!("[{address}]"))),
            (Ok(address), _) => refused("has a port", format!("a host is matched without its port: \"[{address}]\"")),
            (Err(_), _) => refused("is not an IPv6 address", HOST_ACCEPTED),
        };
    }
    if let Ok(address) = lower.parse::<Ipv6Addr>() {
        return refused("lacks its brackets", format!("write \"[{address}]\""));
    }
    if let Some((host, port)) = lower.split_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return refused("has a port", format!("a host is matched without its port: \"{host}\""));
    }
    name(&lower)?;
    if is_address_like(&lower) && lower.parse::<Ipv4Addr>().is_err() {
        return refused("is not an IPv4 address", HOST_ACCEPTED);
    }
    Ok(HostPattern::Exact(lower))
}

/// A path pattern: a path, or one that ends in `/*`.
///
/// # Errors
/// What no request target can be (RFC 3986 §3.3) or what never matches, because requests are matched without dot
/// segments and empty parts.
pub(super) fn path(written: &str) -> Result<PathPattern, Refusal> {
    if !written.starts_with('/') {
        let help =
            if written.contains("://") { "write the path alone".into() } else { format!("write \"/{written}\"") };
        return refused("does not begin with \"/\"", help);
    }
    let (path, prefix) = written.strip_suffix("/*").map_or((written, false), |path| (path, true));
    if path.contains('*') {
        return refused("has a \"*\" that is not its last part", "accepted: an exact path, or one ending in \"/*\"");
    }
    if path.contains(['?', '#']) {
        return refused("has a query or a fragment", "routes match the path alone: write it without \"?\" and \"#\"");
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        let help = "write such a byte as \"%\" and two hexadecimal digits, as clients send it";
        return refused("has a byte that a request never carries", help);
    }
    if !percent_signs_are_followed_by_digits(path) {
        return refused("has a \"%\" without two hexadecimal digits", "write \"%25\" for the sign itself");
    }
    if path.contains("//") || written == "//*" {
        return refused("has an empty part", "write each \"/\" once");
    }
    if path.split('/').map(str::to_ascii_lowercase).any(|part| DOTS.contains(&part.as_str())) {
        return refused("has a \".\" or \"..\" part", "write the path that they lead to");
    }
    if path.contains("%00") {
        return refused("has an encoded NUL", "a request with one is refused");
    }
    if ["%0d", "%0a"].iter().any(|end| path.to_ascii_lowercase().contains(end)) {
        return refused("has an encoded CR or LF", "a request with one is refused");
    }
    if let Some(normal) = escapes_in_another_way(written) {
        return refused("has an escape that requests are matched without", format!("write \"{normal}\""));
    }
    Ok(if prefix { PathPattern::Prefix(path.to_owned()) } else { PathPattern::Exact(path.to_owned()) })
}

/// A name of dot-separated labels.
fn name(lower: &str) -> Result<(), Refusal> {
    if lower.is_empty() {
        return refused("is empty", HOST_ACCEPTED);
    }
    if lower.ends_with('.') {
        return refused("ends with a dot", format!("write \"{}\"", lower.trim_end_matches('.')));
    }
    if lower.contains('*') {
        return refused("has a \"*\" that is not its first part", "accepted: \"*.example.com\", or \"*\" for any host");
    }
    if lower.contains("://") || lower.contains('/') {
        return refused("is not a host name", "write the host alone, without scheme and path");
    }
    if !lower.is_ascii() {
        return refused("is not in ASCII", "write the name as it is sent: its \"xn--\" form");
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_BYTES
            && label.bytes().all(letter)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if lower.len() > NAME_BYTES || !lower.split('.').all(label) {
        return refused("is not a host name", HOST_ACCEPTED);
    }
    Ok(())
}

/// Whether the last label is a number: then it can only be an IPv4 address (RFC 3986 §3.2.2, RFC 1123 §2.1).
fn is_address_like(lower: &str) -> bool {
    lower.rsplit('.').next().is_some_and(|last| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

fn percent_signs_are_followed_by_digits(path: &str) -> bool {
    let digits = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    path.split('%').skip(1).all(digits)
}

/// The path with its escapes as they are when requests are matched, if that differs.
fn escapes_in_another_way(path: &str) -> Option<String> {
    let mut out = Vec::new();
    let kept = Rules { dots: Rule::Keep, slashes: Rule::Keep, encoded_slashes: Rule::Keep };
    let outcome = path::normalise(path.as_bytes(), kept, &mut out);
    (outcome == Ok(Outcome::Rewritten)).then(|| String::from_utf8_lossy(&out).into_owned())
}

fn refused<T>(reason: &'static str, help: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { reason, help: help.into() })
}

impl Refusal {
    fn below_wildcard(self) -> Self {
        match self.reason {
            "ends with a dot" => Self { help: self.help.replacen('"', "\"*.", 1), ..self },
            _ => self,
        }
    }
}

const HOST_ACCEPTED: &str =
    "accepted: \"shop.example.com\", \"*.example.com\", \"*\", or an IP address such as \"[::1]\"";
/// Of a label, and of a whole name (RFC 1035 §2.3.4).
const LABEL_BYTES: usize = 63;
const NAME_BYTES: usize = 253;
/// Parts that are resolved before a route is looked up.
const DOTS: [&str; 6] = [".", "..", "%2e", "%2e%2e", ".%2e", "%2e."];
