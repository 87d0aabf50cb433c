//! Heads out of bytes: `httparse` finds the parts, and what it lets pass is refused here. A head that comes in pieces is
//! parsed again only when a line more has come, which bounds the work by lines and not by reads.

use std::mem::MaybeUninit;

use crate::http::Fault;
use crate::http::Refusal;
use crate::http::head::Field;
use crate::http::head::HeadLimits;
use crate::http::head::Known;
use crate::http::head::Method;
use crate::http::head::Parse;
use crate::http::head::Parts;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;
use crate::http::head::Span;
use crate::http::head::Version;
use crate::http::host;
use crate::limits;

type Headers<'a> = [MaybeUninit<httparse::Header<'a>>; limits::RESPONSE_FIELDS];

/// Bytes of empty lines that are passed over before a request.
const EMPTY_BYTES: usize = 4;

pub(in crate::http) fn request(head: &mut RequestHead, bytes: &[u8], limits: &HeadLimits) -> Result<Parse, Refusal> {
    if !head.parts.news(bytes) {
        return partial_request(bytes, limits);
    }
    let mut headers: Headers<'_> = [const { MaybeUninit::uninit() }; limits::RESPONSE_FIELDS];
    let headers = headers.get_mut(..limits.fields.min(limits::RESPONSE_FIELDS)).unwrap_or_default();
    let mut request = httparse::Request::new(&mut []);
    let result = httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut request, bytes, headers);
    match result {
        Ok(httparse::Status::Partial) => {
            // A name or a value in the making is not yet beyond repair, but what stands there must not grow for ever.
            return partial_request(bytes, limits);
        }
        Ok(httparse::Status::Complete(len)) => head.parts.len = len,
        Err(error) => return refuse(head, bytes, limits, error),
    }
    if head.parts.len > limits.head_bytes {
        return Err(too_large(bytes, limits));
    }
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Refusal::BadRequestLine);
    };
    head.method = span(bytes, method.as_bytes());
    head.kind = Method::of(method.as_bytes());
    head.target = span(bytes, target.as_bytes());
    head.parts.version = if version == 0 { Version::Http10 } else { Version::Http11 };
    if head.method.start as usize > EMPTY_BYTES {
        return Err(Refusal::EmptyLines);
    }
    if target.len() > limits.target_bytes {
        return Err(Refusal::TargetTooLong);
    }
    if !ends_in_crlf(bytes, head.parts.len) {
        return Err(Refusal::BareLineEnd);
    }
    head.parts.take(bytes, request.headers);
    settle(head, bytes)?;
    Ok(Parse::Whole)
}

/// The rules that need the whole head: Host, target, method, expectation.
fn settle(head: &mut RequestHead, bytes: &[u8]) -> Result<(), Refusal> {
    let mut hosts = 0;
    head.host = Span::default();
    head.expects = false;
    let mut hops = None;
    for field in &head.parts.fields {
        let value = field.value.of(bytes);
        match field.known {
            Known::Host => {
                hosts += 1;
                head.host = field.value;
            }
            Known::Expect if value.eq_ignore_ascii_case(b"100-continue") => head.expects = true,
            // RFC 9110 §10.1.1: an expectation of a 1.0 client is ignored.
            Known::Expect if head.parts.version == Version::Http11 => return Err(Refusal::UnknownExpectation),
            Known::MaxForwards => hops = Some(value),
            _ => {}
        }
    }
    // RFC 9112 §3.2: exactly one, but 1.0 may do without.
    if hosts > 1 || (hosts == 0 && head.parts.version == Version::Http11) {
        return Err(Refusal::HostCount);
    }
    if host::name(head.host.of(bytes)).is_none() {
        return Err(Refusal::BadHost);
    }
    match head.kind {
        Method::Connect | Method::Trace => return Err(Refusal::UnknownMethod),
        Method::Options if hops.is_some_and(|hops| hops == b"0") => return Err(Refusal::NoHopLeft),
        _ => {}
    }
    aim(head, bytes, hosts)
}

/// Takes the target apart (RFC 9112 §3.2): origin form, absolute form, or the asterisk of OPTIONS.
fn aim(head: &mut RequestHead, bytes: &[u8], hosts: usize) -> Result<(), Refusal> {
    let target = head.target.of(bytes);
    // Visible ASCII without a fragment: what others reject or cut is never passed on.
    if !target.iter().all(|byte| matches!(byte, b'!'..=b'"' | b'$'..=b'~')) {
        return Err(Refusal::BadTarget);
    }
    head.origin = match target {
        [b'/', ..] => head.target,
        b"*" if head.kind == Method::Options => head.target,
        _ => absolute(head, bytes, hosts)?,
    };
    let origin = head.origin.of(bytes);
    let path = memchr::memchr(b'?', origin).unwrap_or(origin.len());
    head.path = Span { start: head.origin.start, len: u32::try_from(path).unwrap_or(0) };
    Ok(())
}

/// `http://AUTHORITY[/PATH][?QUERY]`: its authority counts, and the Host field must say the same.
fn absolute(head: &mut RequestHead, bytes: &[u8], hosts: usize) -> Result<Span, Refusal> {
    let target = head.target.of(bytes);
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let rest = scheme.and_then(|scheme| target.get(scheme.len()..)).ok_or(Refusal::BadTarget)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, origin) = rest.split_at(end);
    if host::name(authority).is_none_or(<[u8]>::is_empty) {
        return Err(Refusal::BadTarget);
    }
    if hosts > 0 && !host::same(authority, head.host.of(bytes)) {
        return Err(Refusal::HostMismatch);
    }
    head.host = span(bytes, authority);
    Ok(span(bytes, origin))
}

fn refuse(head: &mut RequestHead, bytes: &[u8], limits: &HeadLimits, error: httparse::Error) -> Result<Parse, Refusal> {
    Err(match error {
        httparse::Error::Version => return other_version(head, bytes, limits),
        httparse::Error::TooManyHeaders => Refusal::TooManyFields,
        httparse::Error::HeaderName => Refusal::BadFieldName,
        httparse::Error::HeaderValue => Refusal::BadFieldValue,
        httparse::Error::NewLine => Refusal::BareLineEnd,
        httparse::Error::Status | httparse::Error::Token => {
            if bytes.len() > limits.head_bytes {
                too_large(bytes, limits)
            } else {
                Refusal::BadRequestLine
            }
        }
    })
}

/// A later minor version is taken as 1.1 (RFC 9110 §2.5); one of another major number is refused as such.
fn other_version(head: &mut RequestHead, bytes: &[u8], limits: &HeadLimits) -> Result<Parse, Refusal> {
    let end = memchr::memmem::find(bytes, b"\r\n").filter(|end| *end > 0);
    let Some(line) = end.and_then(|end| bytes.get(..end)) else { return Err(Refusal::BadVersion) };
    let place = line.len().saturating_sub(9);
    match line.get(place..) {
        Some([b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9']) => {
            // Rare enough to be copied.
            let mut later = bytes.to_vec();
            if let Some(minor) = later.get_mut(line.len() - 1) {
                *minor = b'1';
            }
            // These bytes were looked at, but not yet as what they are taken for.
            head.parts.scanned = 0;
            request(head, &later, limits)
        }
        // A good version at the wrong place: there is a space too many before it.
        Some([b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1']) => Err(Refusal::BadRequestLine),
        Some([b' ', b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']) => Err(Refusal::UnknownVersion),
        _ => Err(Refusal::BadVersion),
    }
}

fn partial_request(bytes: &[u8], limits: &HeadLimits) -> Result<Parse, Refusal> {
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if start > EMPTY_BYTES {
        return Err(Refusal::EmptyLines);
    }
    if bytes.len() >= limits.head_bytes || first_line(bytes, start) > limits.target_bytes + LINE_ROOM {
        return Err(too_large(bytes, limits));
    }
    Ok(Parse::Partial)
}

/// Room in a request line for what is not its target.
const LINE_ROOM: usize = 64;

fn first_line(bytes: &[u8], start: usize) -> usize {
    let line = bytes.get(start..).unwrap_or(&[]);
    memchr::memchr(b'\n', line).unwrap_or(line.len())
}

/// Which part of a head is too large.
fn too_large(bytes: &[u8], limits: &HeadLimits) -> Refusal {
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if first_line(bytes, start) > limits.target_bytes { Refusal::TargetTooLong } else { Refusal::HeadTooLarge }
}

pub(in crate::http) fn response(head: &mut ResponseHead, bytes: &[u8], limits: &HeadLimits) -> Result<Parse, Fault> {
    let partial = || if bytes.len() >= limits.head_bytes { Err(Fault::HeadTooLarge) } else { Ok(Parse::Partial) };
    if !head.parts.news(bytes) {
        return partial();
    }
    let mut headers: Headers<'_> = [const { MaybeUninit::uninit() }; limits::RESPONSE_FIELDS];
    let headers = headers.get_mut(..limits.fields.min(limits::RESPONSE_FIELDS)).unwrap_or_default();
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    // RFC 9112 §5.1: white space before a colon is removed from a response, and refused in a request.
    config.allow_spaces_after_header_name_in_responses(true);
    match config.parse_response_with_uninit_headers(&mut response, bytes, headers) {
        Ok(httparse::Status::Partial) => return partial(),
        Ok(httparse::Status::Complete(len)) => head.parts.len = len,
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::HeadTooLarge),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(Fault::BadField),
        Err(httparse::Error::NewLine) => return Err(Fault::BareLineEnd),
        Err(_) => return Err(Fault::BadStatusLine),
    }
    if head.parts.len > limits.head_bytes {
        return Err(Fault::HeadTooLarge);
    }
    if !ends_in_crlf(bytes, head.parts.len) {
        return Err(Fault::BareLineEnd);
    }
    // An empty line before a response is no part of any message.
    if bytes.first() != Some(&b'H') {
        return Err(Fault::BadStatusLine);
    }
    head.status = response.code.filter(|status| (100..=599).contains(status)).ok_or(Fault::BadStatus)?;
    head.reason = span(bytes, response.reason.unwrap_or_default().as_bytes());
    head.parts.version = if response.version == Some(0) { Version::Http10 } else { Version::Http11 };
    head.parts.take(bytes, response.headers);
    Ok(Parse::Whole)
}

impl Parts {
    /// Whether there is something to parse that was not there before: the first bytes, or another line.
    fn news(&mut self, bytes: &[u8]) -> bool {
        let seen = self.scanned;
        self.scanned = bytes.len();
        seen == 0 || bytes.get(seen..).is_some_and(|fresh| memchr::memchr(b'\n', fresh).is_some())
    }

    fn take(&mut self, bytes: &[u8], headers: &[httparse::Header<'_>]) {
        self.fields.clear();
        for header in headers {
            let name = span(bytes, header.name.as_bytes());
            let value = span(bytes, trim(header.value));
            let known = Known::of(header.name.as_bytes());
            if known == Known::Connection {
                self.tokens(value.of(bytes));
            }
            let plain = value.start as usize == name.end() + 2
                && bytes.get(name.end()..name.end() + 2) == Some(b": ")
                && bytes.get(value.end()..value.end() + 2) == Some(b"\r\n");
            self.fields.push(Field { name, value, known, plain });
        }
    }

    fn tokens(&mut self, list: &[u8]) {
        for token in list.split(|byte| *byte == b',').map(trim) {
            match token {
                b"" => {}
                _ if token.eq_ignore_ascii_case(b"close") => self.close = true,
                _ if token.eq_ignore_ascii_case(b"keep-alive") => self.keep = true,
                _ => self.nominates = true,
            }
        }
    }
}

/// Every LF of the head has its CR. (A CR without LF the parser has refused.)
fn ends_in_crlf(bytes: &[u8], len: usize) -> bool {
    let head = bytes.get(..len).unwrap_or(&[]);
    memchr::memchr_iter(b'\n', head).all(|at| at > 0 && head.get(at - 1) == Some(&b'\r'))
}

/// Without the blanks around it (OWS, RFC 9110 §5.6.3).
pub(in crate::http) fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or(&[])
}

/// Where `part` stands in `bytes`, of which it is a part.
fn span(bytes: &[u8], part: &[u8]) -> Span {
    let start = (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
    match (u32::try_from(start), u32::try_from(part.len())) {
        (Ok(start), Ok(len)) if start as usize + part.len() <= bytes.len() => Span { start, len },
        _ => Span::default(),
    }
}
