//! Upgrades (RFC 9110 §7.8): which of the protocols that a request names go on, and which response switches to one of
//! them. It refuses to know what is spoken afterwards.

use crate::http::forward::is_nominated;
use crate::http::h1::parse::is_token;
use crate::http::h1::parse::trim;
use crate::http::head::Field;
use crate::http::head::Known;
use crate::http::head::Method;
use crate::http::head::Request;
use crate::http::head::Response;
use crate::http::head::Version;

/// Never passed on, whatever is allowed: what follows would be requests that nobody looks at (RFC 9113 §3.1 has dropped it).
const NEVER: [&[u8]; 3] = [b"h2c", b"h2", b"http"];

/// Whether a request asks to go on with another protocol. HTTP/1.0 knows no such thing, and CONNECT has its own way.
#[must_use]
pub fn is_asked(request: Request<'_>) -> bool {
    let (fields, bytes, nominates) = request.raw();
    nominates
        && request.version() == Version::Http11
        && request.method_kind() != Method::Connect
        && fields.iter().any(|field| field.known == Known::Upgrade && is_nominated(fields, bytes, field))
}

/// The protocols that a request may go on with: those it names whose names, without version, are allowed, as it wrote
/// them and in its order, as the value of an Upgrade field. Empty for an ordinary request.
#[must_use]
pub fn passed(request: Request<'_>, allowed: &[String]) -> Vec<u8> {
    let mut list = Vec::new();
    if allowed.is_empty() || !is_asked(request) {
        return list;
    }
    let (fields, bytes, _) = request.raw();
    for protocol in named(fields, bytes).filter(|protocol| is_protocol(protocol)) {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        if allowed.iter().any(|allowed| is(allowed.as_bytes())) && !NEVER.into_iter().any(is) {
            push(&mut list, protocol);
        }
    }
    list
}

/// The protocols that a 101 switches to, as the value of an Upgrade field; none if it may not switch: it names something
/// that was not `passed` on, or nothing, or frames a content that it cannot have.
#[must_use]
pub fn switched(response: Response<'_>, passed: &[u8]) -> Option<Vec<u8>> {
    let (fields, bytes, _) = response.raw();
    let framed = |field: &Field| matches!(field.known, Known::ContentLength | Known::TransferEncoding);
    if response.status() != 101 || response.version() != Version::Http11 || fields.iter().any(framed) {
        return None;
    }
    let mut list = Vec::new();
    for protocol in named(fields, bytes) {
        if !elements(passed).any(|one| one.eq_ignore_ascii_case(protocol)) {
            return None;
        }
        push(&mut list, protocol);
    }
    (!list.is_empty()).then_some(list)
}

/// Appends the two fields of an upgrade to a head that was just written: before the empty line at its end.
pub fn append(head: &mut Vec<u8>, list: &[u8]) {
    head.truncate(head.len().saturating_sub(2));
    put(head, list);
    head.extend_from_slice(b"\r\n");
}

/// Appends the two fields.
pub(in crate::http) fn put(head: &mut Vec<u8>, list: &[u8]) {
    for part in [b"Connection: Upgrade\r\nUpgrade: ", list, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

fn named<'a>(fields: &'a [Field], bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let upgrades = fields.iter().filter(|field| field.known == Known::Upgrade);
    upgrades.flat_map(|field| elements(field.value.of(bytes)))
}

fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// `token [ "/" token ]`.
fn is_protocol(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'/');
    let token = |part: Option<&[u8]>| part.is_some_and(|part| !part.is_empty() && part.iter().all(|b| is_token(*b)));
    let named = token(parts.next());
    named && parts.next().is_none_or(|version| token(Some(version))) && parts.next().is_none()
}

fn push(list: &mut Vec<u8>, protocol: &[u8]) {
    if !list.is_empty() {
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(protocol);
}

#[cfg(test)]
mod tests;
