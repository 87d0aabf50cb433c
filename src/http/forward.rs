//! What a gateway writes of what it has read: heads edited while they are written out (RFC 9110 §7.6, RFC 9112 §2), and
//! trailers by the same rules.
//!
//! Invariant: framing that was received is never passed on; the message gets its own. What a field of the message
//! nominates as hop-by-hop is removed before the gateway adds its own, so that no message can strip those.

use crate::http::ChunkFault;
use crate::http::framing::Framing;
use crate::http::h1::parse::trim;
use crate::http::head::Field;
use crate::http::head::Known;
use crate::http::head::Method;
use crate::http::head::Request;
use crate::http::head::Response;
use crate::http::head::Version;
use crate::http::identity;
use crate::http::identity::Marks;
use crate::http::upgrade;
use crate::limits;

const VIA_1_0: &[u8; 18] = b"Via: 1.0 ringway\r\n";
const VIA_1_1: &[u8; 18] = b"Via: 1.1 ringway\r\n";

/// What the gateway knows of the hop a request came by.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'a> {
    /// What it tells of its connection.
    pub marks: &'a Marks,
    /// Whether what the peer says of the way before it is believed.
    pub trusted: bool,
    /// The request's id.
    pub request_id: &'a [u8],
    /// Fields that are said anew, as (name, value), instead of those of their names; empty names are none.
    pub anew: &'a [(&'a str, &'a [u8])],
    /// Host to name when the request names none (HTTP/1.0).
    pub authority: &'a [u8],
    /// The protocols that the request may go on with, as the value of an Upgrade field; empty: none.
    pub upgrade: &'a [u8],
}

/// What the gateway knows of the answer to a request.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Framing towards the client.
    pub framing: Framing,
    /// Whether the connection ends with it.
    pub close: bool,
    /// The client's version.
    pub client_version: Version,
    /// The request's id.
    pub request_id: &'a [u8],
    /// The date, for a response that has none (RFC 9110 §6.6.1).
    pub date: &'a [u8],
    /// What becomes of its `Server` field.
    pub server: Server<'a>,
    /// The names of fields that do not go on, in either case: for the gateway alone, or said by it anew; empty: none.
    pub kept: [&'a str; 2],
    /// Field lines to add, each with its CRLF.
    pub added: &'a [u8],
}

/// What becomes of the `Server` field of a response (RFC 9110 §10.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server<'a> {
    /// As the endpoint wrote it.
    Pass,
    /// None.
    Off,
    /// This, whatever the endpoint wrote.
    Set(&'a [u8]),
}

/// Appends a request as it goes to an endpoint.
///
/// The target is in origin form (of CONNECT: in authority form), Host comes first, fields keep their order, case and bytes.
/// `Via`, `X-Forwarded-*`, `Forwarded` and `X-Request-Id` are the gateway's own: what is said there, and in `X-Real-IP`, is
/// not believed of a peer that is not trusted.
pub fn encode_request(out: &mut Vec<u8>, request: Request<'_>, framing: Framing, hop: &Hop<'_>) {
    let (fields, bytes, nominates) = request.raw();
    out.reserve(bytes.len().min(limits::REQUEST_HEAD_BYTES) / 2);
    let origin = request.origin_form();
    let start: &[u8] = match origin {
        [b'/' | b'*', ..] => b"",
        // RFC 9112 §3.2.3: the authority alone.
        _ if request.method_kind() == Method::Connect => b"",
        // RFC 9112 §3.2.4: such a target asks about the server as a whole.
        [] if request.method_kind() == Method::Options => b"*",
        _ => b"/",
    };
    // RFC 9110 §10.1.1: a 1.0 client expects nothing, and 1.1 is spoken from here on.
    let expects = request.version() == Version::Http11;
    let mut trails = false;
    let host = match request.host() {
        [] => hop.authority,
        host => host,
    };
    put(out, &[request.method(), b" ", start, origin, b" HTTP/1.1\r\nHost: ", host, b"\r\n"]);
    for field in fields {
        match field.known {
            Known::XForwarded | Known::XRealIp if hop.trusted => pass(out, field, bytes),
            Known::Te if expects => trails |= takes_trailers(field.value.of(bytes)),
            known if nominates && may_be_stripped(known) && is_nominated(fields, bytes, field) => {}
            Known::Other if hop.anew.iter().any(|(name, _)| is_named(field, bytes, name)) => {}
            Known::Other
            | Known::Authorization
            | Known::Cookie
            | Known::Date
            | Known::Referer
            | Known::Server
            | Known::Trailer
            | Known::UserAgent
            | Known::Via => pass(out, field, bytes),
            Known::Expect if expects => pass(out, field, bytes),
            Known::MaxForwards => pass_hops(out, field, bytes, request.method_kind()),
            _ => {}
        }
    }
    for (name, value) in hop.anew.iter().filter(|(name, _)| !name.is_empty()) {
        put(out, &[name.as_bytes(), b": ", value, b"\r\n"]);
    }
    frame(out, framing);
    out.extend_from_slice(if request.version() == Version::Http10 { VIA_1_0 } else { VIA_1_1 });
    identity::tell(out, request, host, hop.marks, hop.trusted);
    put(out, &[b"X-Request-Id: ", hop.request_id, b"\r\n"]);
    // One Connection field says what is of this hop, and what follows an upgrade has no trailers.
    if !hop.upgrade.is_empty() {
        upgrade::put(out, hop.upgrade);
    } else if trails {
        // RFC 9110 §10.1.4. Codings are not passed: the gateway takes none but chunked.
        out.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Whether the value of a TE field says so.
fn takes_trailers(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|coding| trim(coding).eq_ignore_ascii_case(b"trailers"))
}

/// Appends a response as it goes to the client. Fields keep their order, case and bytes.
pub fn encode_response(out: &mut Vec<u8>, response: Response<'_>, answer: &Answer<'_>) {
    let (fields, bytes, nominates) = response.raw();
    status_line(out, response);
    let mut dated = false;
    // RFC 9110 §8.6: without content of its own (HEAD, 304) a response may tell the length it would have.
    let tells_length = answer.framing == Framing::None && response.status() != 204;
    for field in fields {
        match field.known {
            known if nominates && may_be_stripped(known) && is_nominated(fields, bytes, field) => {}
            Known::ContentLength if tells_length => pass(out, field, bytes),
            Known::Other if answer.kept.iter().any(|name| !name.is_empty() && is_named(field, bytes, name)) => {}
            Known::Server if answer.server != Server::Pass => {}
            known if stays(known) => {
                dated |= known == Known::Date;
                pass(out, field, bytes);
            }
            _ => {}
        }
    }
    frame(out, answer.framing);
    if !dated {
        put(out, &[b"Date: ", answer.date, b"\r\n"]);
    }
    out.extend_from_slice(answer.added);
    if let Server::Set(server) = answer.server {
        put(out, &[b"Server: ", server, b"\r\n"]);
    }
    put(out, &[b"X-Request-Id: ", answer.request_id]);
    let connection: &[u8] = match (answer.close, answer.client_version) {
        (true, _) => b"\r\nConnection: close\r\n\r\n",
        (false, Version::Http10) => b"\r\nConnection: keep-alive\r\n\r\n",
        (false, Version::Http11) => b"\r\n\r\n",
    };
    out.extend_from_slice(connection);
}

/// Appends an interim response as it goes to the client: fields are taken away, none is added.
pub fn encode_interim(out: &mut Vec<u8>, response: Response<'_>, server: Server<'_>) {
    let (fields, bytes, nominates) = response.raw();
    status_line(out, response);
    for field in fields {
        let stripped = nominates && may_be_stripped(field.known) && is_nominated(fields, bytes, field);
        let ours = field.known == Known::Server && server != Server::Pass;
        if stays(field.known) && !stripped && !ours {
            pass(out, field, bytes);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The id that a client gave its request, if it is worth keeping: visible ASCII without quotes, commas and semicolons,
/// `limits::REQUEST_ID_BYTES` at most.
#[must_use]
pub fn request_id(request: Request<'_>) -> Option<&[u8]> {
    let id = request.field(Known::XRequestId)?;
    let fine = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',' | b';');
    ((1..=limits::REQUEST_ID_BYTES).contains(&id.len()) && id.iter().all(fine)).then_some(id)
}

/// The trailer fields that may go on, out of lines that each end in CRLF (RFC 9110 §6.5.1).
pub(super) fn kept_trailers(lines: &[u8], most: usize) -> Result<Vec<u8>, ChunkFault> {
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let mut whole = Vec::with_capacity(lines.len() + 2);
    put(&mut whole, &[lines, b"\r\n"]);
    let mut headers = [httparse::EMPTY_HEADER; limits::RESPONSE_FIELDS];
    let room = headers.get_mut(..most).ok_or(ChunkFault::BadTrailer)?;
    let Ok(httparse::Status::Complete((len, headers))) = httparse::parse_headers(&whole, room) else {
        return Err(ChunkFault::BadTrailer);
    };
    if len != whole.len() {
        return Err(ChunkFault::BadTrailer);
    }
    let mut kept = Vec::new();
    for header in headers.iter().filter(|header| may_trail(header.name.as_bytes())) {
        put(&mut kept, &[header.name.as_bytes(), b": ", trim(header.value), b"\r\n"]);
    }
    Ok(kept)
}

/// Whether a field may stand in a trailer: not one that frames, routes, names the client, authenticates, or changes how
/// the message is taken. `_` counts as `-`, as it does for those who put fields into variables.
fn may_trail(name: &[u8]) -> bool {
    let name: Vec<u8> = name.iter().map(|b| if *b == b'_' { b'-' } else { b.to_ascii_lowercase() }).collect();
    let prefixes: [&[u8]; 6] = [b"content-", b"x-forwarded-", b"if-", b"proxy-", b"access-control-", b"x-real-"];
    let names: [&[u8]; 17] = [
        b"age",
        b"cache-control",
        b"expires",
        b"location",
        b"pragma",
        b"range",
        b"retry-after",
        b"set-cookie",
        b"vary",
        b"warning",
        b"www-authenticate",
        b"accept-ranges",
        b"etag",
        b"allow",
        b"x-http-method-override",
        b"x-original-url",
        b"traceparent",
    ];
    Known::of(&name) == Known::Other
        && !prefixes.iter().any(|prefix| name.starts_with(prefix))
        && !names.contains(&name.as_slice())
}

fn status_line(out: &mut Vec<u8>, response: Response<'_>) {
    let status = response.status();
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
    let code = [digit(status / 100), digit(status / 10), digit(status)];
    put(out, &[b"HTTP/1.1 ", &code, b" ", response.reason(), b"\r\n"]);
}

/// Whether a field of a response is for both ends rather than for one hop, or ours to write.
fn stays(known: Known) -> bool {
    !matches!(
        known,
        Known::Connection
            | Known::ContentLength
            | Known::Http2Settings
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::Te
            | Known::TransferEncoding
            | Known::Upgrade
            | Known::XRequestId
    )
}

/// Whether a nomination counts: not for fields that frame or route the message or bound its way.
fn may_be_stripped(known: Known) -> bool {
    !matches!(
        known,
        Known::ContentLength | Known::Expect | Known::Host | Known::MaxForwards | Known::TransferEncoding | Known::Via
    )
}

/// Whether a Connection field names this one (RFC 9110 §7.6.1).
pub(in crate::http) fn is_nominated(fields: &[Field], bytes: &[u8], field: &Field) -> bool {
    let name = field.name.of(bytes);
    let connections = fields.iter().filter(|field| field.known == Known::Connection);
    connections
        .flat_map(|field| field.value.of(bytes).split(|byte| *byte == b','))
        .any(|token| trim(token).eq_ignore_ascii_case(name))
}

fn is_named(field: &Field, bytes: &[u8], name: &str) -> bool {
    field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes())
}

fn pass(out: &mut Vec<u8>, field: &Field, bytes: &[u8]) {
    if field.plain {
        let line = bytes.get(field.name.start as usize..field.value.end() + 2);
        out.extend_from_slice(line.unwrap_or(&[]));
    } else {
        put(out, &[field.name.of(bytes), b": ", field.value.of(bytes), b"\r\n"]);
    }
}

/// One hop less (RFC 9110 §7.6.2); for other methods than OPTIONS the field means nothing and is passed as it is.
fn pass_hops(out: &mut Vec<u8>, field: &Field, bytes: &[u8], method: Method) {
    let hops = std::str::from_utf8(field.value.of(bytes)).ok().and_then(|text| text.parse::<u32>().ok());
    match hops.filter(|hops| method == Method::Options && *hops > 0) {
        Some(hops) => put(out, &[field.name.of(bytes), b": ", (hops - 1).to_string().as_bytes(), b"\r\n"]),
        None => pass(out, field, bytes),
    }
}

fn frame(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut from = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        from -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(from..).unwrap_or(&[]));
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests;
