//! Who the client of a request is, and how that is told on: `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`, and
//! `Forwarded` (RFC 7239).
//!
//! Invariant: nothing of it is believed of a peer that is not trusted, and nothing of it can be stripped by a nomination
//! in Connection. What is the same for all requests of a connection is written once, as [`Marks`].

use std::io::Write;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::Range;

use crate::address::Networks;
use crate::address::Peer;
use crate::http::h1::parse::trim;
use crate::http::head::Known;
use crate::http::head::Request;
use crate::http::host;
use crate::limits;

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The client, as far as it can be believed; port 0 where it is not known.
    pub client: Peer,
    /// Whether the peer's own words on the way before it are believed.
    pub trusted: bool,
}

impl Identity {
    /// Somebody of whom the connection alone tells.
    #[must_use]
    pub fn unheard(peer: Peer) -> Self {
        Self { client: peer, trusted: false }
    }

    /// Who sent this request over a connection of `peer`.
    #[must_use]
    pub fn of(request: Request<'_>, peer: Peer, trusted: &Networks) -> Self {
        if !trusted.is_empty() && trusted.holds(peer) {
            Self { client: client(request, peer, trusted), trusted: true }
        } else {
            Self::unheard(peer)
        }
    }
}

/// What every request of one connection is marked with.
#[derive(Clone, Debug)]
pub struct Marks {
    /// The fields as an untrusted peer's requests get them, up to the host in `Forwarded`.
    text: Vec<u8>,
    /// Where in them the peer's address stands; empty for one that has none.
    address: Range<usize>,
    /// The same as a node of `Forwarded`.
    node: Range<usize>,
    /// Where in them the port's field stands; empty without one.
    port: Range<usize>,
    /// The field of the peer's certificate; empty without one.
    certificate: Vec<u8>,
    scheme: &'static str,
}

impl Marks {
    /// The marks of a connection of `peer`, which reached us at `port` and speaks `scheme`.
    #[must_use]
    pub fn of(peer: Peer, port: Option<u16>, scheme: &'static str) -> Self {
        let mut text = Vec::with_capacity(192);
        let mut address = 0..0;
        if let Some(ip) = peer.ip() {
            text.extend_from_slice(b"X-Forwarded-For: ");
            address = span(&mut text, |text| drop(write!(text, "{ip}")));
            text.extend_from_slice(b"\r\n");
        }
        put(&mut text, &[b"X-Forwarded-Proto: ", scheme.as_bytes(), b"\r\n"]);
        let port = span(&mut text, |text| {
            if let Some(port) = port {
                let _ = write!(text, "X-Forwarded-Port: {port}\r\n");
            }
        });
        text.extend_from_slice(b"Forwarded: for=");
        let node = span(&mut text, |text| match peer.ip() {
            Some(IpAddr::V4(ip)) => drop(write!(text, "{ip}")),
            Some(IpAddr::V6(ip)) => drop(write!(text, "\"[{ip}]\"")),
            None => text.extend_from_slice(b"unknown"),
        });
        text.extend_from_slice(b";host=");
        Self { text, address, node, port, certificate: Vec::new(), scheme }
    }

    /// The same, and who the peer is by its certificate, as `X-Forwarded-Client-Cert` tells it; empty: it has shown none.
    #[must_use]
    pub fn with_certificate(mut self, told: &str) -> Self {
        if !told.is_empty() {
            put(&mut self.certificate, &[b"X-Forwarded-Client-Cert: ", told.as_bytes(), b"\r\n"]);
        }
        self
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.text.get(range.clone()).unwrap_or(&[])
    }
}

/// The client behind a trusted peer: as long as an address is trusted, the next one of `X-Forwarded-For` from the right,
/// whose fields are one list. An element that is no address ends the walk; so do [`limits::FORWARDED_FOR`] of them.
fn client(request: Request<'_>, peer: Peer, trusted: &Networks) -> Peer {
    let (fields, bytes, _) = request.raw();
    let lists = fields.iter().rev().filter(|field| field.known == Known::XForwardedFor);
    let elements = lists.flat_map(|field| field.value.of(bytes).rsplit(|byte| *byte == b','));
    let mut client = peer;
    for element in elements.take(limits::FORWARDED_FOR) {
        let Some(before) = element_address(element) else { break };
        client = Peer::Ip(before);
        if !trusted.holds(client) {
            break;
        }
    }
    client
}

/// The address of an element: an IP address, one in brackets, either with a port; any of it in quotes.
fn element_address(element: &[u8]) -> Option<SocketAddr> {
    let element = trim(element);
    let inner = element.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let text = std::str::from_utf8(inner.unwrap_or(element)).ok()?;
    let alone = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match alone {
        Some(literal) => SocketAddr::new(IpAddr::V6(literal.parse().ok()?), 0),
        None => text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 0)).or_else(|_| text.parse()).ok()?,
    };
    // A scope means something on the machine that wrote it alone.
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Appends what the endpoint is told of the way of a request. `trusted`: the peer's own words are kept and added to.
pub(super) fn tell(out: &mut Vec<u8>, request: Request<'_>, host: &[u8], marks: &Marks, trusted: bool) {
    out.extend_from_slice(&marks.certificate);
    if trusted {
        return tell_on(out, request, host, marks);
    }
    out.extend_from_slice(&marks.text);
    put_host(out, host);
    put(out, &[b";proto=", marks.scheme.as_bytes(), b"\r\nX-Forwarded-Host: ", host, b"\r\n"]);
}

fn tell_on(out: &mut Vec<u8>, request: Request<'_>, host: &[u8], marks: &Marks) {
    let address = marks.part(&marks.address);
    if !address.is_empty() || elements(request, Known::XForwardedFor).next().is_some() {
        out.extend_from_slice(b"X-Forwarded-For: ");
        extend(out, request, Known::XForwardedFor);
        match address {
            // The separator behind the last one.
            [] => out.truncate(out.len() - 2),
            address => out.extend_from_slice(address),
        }
        out.extend_from_slice(b"\r\n");
    }
    let proto = alone(request, Known::XForwardedProto, |value| {
        value.eq_ignore_ascii_case(b"http") || value.eq_ignore_ascii_case(b"https")
    });
    put(out, &[b"X-Forwarded-Proto: ", proto.unwrap_or(marks.scheme.as_bytes()), b"\r\n"]);
    match alone(request, Known::XForwardedPort, is_port) {
        Some(port) => put(out, &[b"X-Forwarded-Port: ", port, b"\r\n"]),
        None => out.extend_from_slice(marks.part(&marks.port)),
    }
    let named = alone(request, Known::XForwardedHost, |value| host::name(value).is_some_and(|name| !name.is_empty()));
    put(out, &[b"X-Forwarded-Host: ", named.unwrap_or(host), b"\r\nForwarded: "]);
    extend(out, request, Known::Forwarded);
    put(out, &[b"for=", marks.part(&marks.node), b";host="]);
    put_host(out, host);
    put(out, &[b";proto=", marks.scheme.as_bytes(), b"\r\n"]);
}

/// The values of all fields of a kind that have one.
fn elements(request: Request<'_>, known: Known) -> impl Iterator<Item = &[u8]> {
    request.fields().filter(move |field| field.0 == known && !field.2.is_empty()).map(|field| field.2)
}

/// Appends them as one list, with a separator behind each.
fn extend(out: &mut Vec<u8>, request: Request<'_>, known: Known) {
    elements(request, known).for_each(|value| put(out, &[value, b", "]));
}

/// The value of a field that came once and is as it should be.
fn alone(request: Request<'_>, known: Known, fine: impl Fn(&[u8]) -> bool) -> Option<&[u8]> {
    let mut values = request.fields().filter(|field| field.0 == known).map(|field| field.2);
    let value = values.next()?;
    (values.next().is_none() && fine(value)).then_some(value)
}

fn is_port(value: &[u8]) -> bool {
    let digits = value.iter().all(u8::is_ascii_digit) && value.len() <= 5;
    digits && std::str::from_utf8(value).is_ok_and(|text| text.parse::<u16>().is_ok_and(|port| port != 0))
}

/// A host as a value of `Forwarded`: quoted unless it is a token (RFC 7239 §4). An authority has neither quotes nor
/// backslashes.
fn put_host(out: &mut Vec<u8>, host: &[u8]) {
    let token = host.iter().fold(!host.is_empty(), |token, byte| token & TOKEN[usize::from(*byte)]);
    if token {
        out.extend_from_slice(host);
    } else {
        put(out, &[b"\"", host, b"\""]);
    }
}

/// Which bytes of an authority may stand in a token. Looked up rather than compared, since every request asks.
const TOKEN: [bool; 256] = {
    let mut token = [true; 256];
    let others = b":[](),;=";
    let mut at = 0;
    while at < others.len() {
        token[others[at] as usize] = false;
        at += 1;
    }
    token
};

fn span(text: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    let start = text.len();
    write(text);
    start..text.len()
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests;
