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

/// Bytes of a status line before its reason.
const STATUS_LINE: usize = b"HTTP/1.1 200 ".len();

type Headers<'a> = [MaybeUninit<httparse::Header<'a>>; limits::RESPONSE_FIELDS];

/// Empty lines that are passed over before a request.
const EMPTY_LINES: usize = 2;
/// Bytes of a method; longer than any that is known.
const METHOD_BYTES: usize = 64;

pub(in crate::http) fn request(head: &mut RequestHead, bytes: &[u8], limits: &HeadLimits) -> Result<Parse, Refusal> {
    // What stands past the bound is not looked at, so that the outcome does not depend on how the bytes were cut.
    let bytes = bytes.get(..limits.head_bytes).unwrap_or(bytes);
    let full = bytes.len() >= limits.head_bytes;
    // By then a first line without an end has too long a method or target.
    let line = 2 * EMPTY_LINES + METHOD_BYTES + limits.target_bytes + 2;
    if !head.parts.news(bytes, line) && !full {
        return Ok(Parse::Partial);
    }
    let more = if full { Err(Refusal::HeadTooLarge) } else { Ok(Parse::Partial) };
    let Some(start) = skip_empty_lines(bytes)? else { return more };
    bound_first_line(bytes, start, limits)?;
    let result = match request_lines(head, bytes, limits) {
        Err(httparse::Error::Version) => match later_version(bytes, start)? {
            Some(later) => request_lines(head, &later, limits),
            None => return more,
        },
        result => result,
    };
    match result {
        Ok(httparse::Status::Complete(len)) => head.parts.len = len,
        Ok(httparse::Status::Partial) => return more,
        Err(error) => return Err(refusal(error)),
    }
    if !ends_in_crlf(bytes, &head.parts) {
        return Err(Refusal::BareLineEnd);
    }
    settle(head, bytes)?;
    Ok(Parse::Whole)
}

/// The parts of a head that keep to the grammar, wherever they end.
fn request_lines(head: &mut RequestHead, bytes: &[u8], limits: &HeadLimits) -> httparse::Result<usize> {
    count_parse();
    let mut headers: Headers<'_> = [const { MaybeUninit::uninit() }; limits::RESPONSE_FIELDS];
    let headers = headers.get_mut(..limits.fields.min(limits::RESPONSE_FIELDS)).unwrap_or_default();
    let mut request = httparse::Request::new(&mut []);
    let status = httparse::ParserConfig::default().parse_request_with_uninit_headers(&mut request, bytes, headers)?;
    if status.is_complete() {
        let method = request.method.unwrap_or_default().as_bytes();
        head.method = span(bytes, method);
        head.kind = Method::of(method);
        head.target = span(bytes, request.path.unwrap_or_default().as_bytes());
        head.parts.version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
        head.parts.take(bytes, request.headers);
    }
    Ok(status)
}

/// Where the request line begins, once that is known.
fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut start = 0;
    loop {
        match bytes.get(start..).unwrap_or_default() {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] if start == 2 * EMPTY_LINES => return Err(Refusal::EmptyLines),
            [b'\r', b'\n', ..] => start += 2,
            [b'\r' | b'\n', ..] => return Err(Refusal::BareLineEnd),
            _ => return Ok(Some(start)),
        }
    }
}

/// Bounds the method and the target, also while they are still coming. Bytes that neither may have are for the parser.
fn bound_first_line(bytes: &[u8], start: usize, limits: &HeadLimits) -> Result<(), Refusal> {
    let line = bytes.get(start..).unwrap_or_default();
    let method = line.iter().take(METHOD_BYTES + 1).take_while(|byte| is_token(**byte)).count();
    if method > METHOD_BYTES {
        // RFC 9112 §3: a longer method than any that is known is not implemented.
        return Err(Refusal::UnknownMethod);
    }
    let Some([b' ', target @ ..]) = line.get(method..).filter(|_| method > 0) else { return Ok(()) };
    let visible = |byte: &&u8| !matches!(**byte, 0..=b' ' | 0x7f);
    let long = target.len() > limits.target_bytes
        && target.iter().take(limits.target_bytes + 1).take_while(visible).count() > limits.target_bytes;
    if long { Err(Refusal::TargetTooLong) } else { Ok(()) }
}

/// A byte of a token (RFC 9110 §5.6.2).
pub(in crate::http) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The head with its version as 1.1 if it is a later minor one, which is taken as such (RFC 9110 §2.5); nothing before
/// the line has ended. A version of another major number is refused as such.
fn later_version(bytes: &[u8], start: usize) -> Result<Option<Vec<u8>>, Refusal> {
    let rest = bytes.get(start..).unwrap_or_default();
    let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(None) };
    let line = rest.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line.get(line.len().saturating_sub(9)..) {
        Some([b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9']) => {
            // Rare enough to be copied.
            let mut later = bytes.to_vec();
            if let Some(minor) = later.get_mut(start + line.len() - 1) {
                *minor = b'1';
            }
            Ok(Some(later))
        }
        Some([b' ', b'H', b'T', b'T', b'P', b'/', b'0' | b'2'..=b'9', b'.', b'0'..=b'9']) => {
            Err(Refusal::UnknownVersion)
        }
        _ => Err(Refusal::BadVersion),
    }
}

fn refusal(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::Version => Refusal::BadVersion,
        httparse::Error::TooManyHeaders => Refusal::TooManyFields,
        httparse::Error::HeaderName => Refusal::BadFieldName,
        httparse::Error::HeaderValue => Refusal::BadFieldValue,
        httparse::Error::NewLine => Refusal::BareLineEnd,
        httparse::Error::Status | httparse::Error::Token => Refusal::BadRequestLine,
    }
}

/// The rules that need the whole head: Host, target, method, expectation.
fn settle(head: &mut RequestHead, bytes: &[u8]) -> Result<(), Refusal> {
    let mut hosts = 0;
    head.host = Span::default();
    head.expects = false;
    let mut spent = false;
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
            Known::MaxForwards => spent |= !value.is_empty() && value.iter().all(|digit| *digit == b'0'),
            _ => {}
        }
    }
    // RFC 9112 §3.2: exactly one, but 1.0 may do without.
    if hosts > 1 || (hosts == 0 && head.parts.version == Version::Http11) {
        return Err(Refusal::HostCount);
    }
    head.host_name = span(bytes, host::name(head.host.of(bytes)).ok_or(Refusal::BadHost)?);
    match head.kind {
        Method::Trace => return Err(Refusal::UnknownMethod),
        Method::Options if spent => return Err(Refusal::NoHopLeft),
        _ => {}
    }
    aim(head, bytes, hosts)
}

/// Takes the target apart (RFC 9112 §3.2): origin form, absolute form, the asterisk of OPTIONS, or the authority of
/// CONNECT.
fn aim(head: &mut RequestHead, bytes: &[u8], hosts: usize) -> Result<(), Refusal> {
    let target = head.target.of(bytes);
    // Visible ASCII without a fragment: what others reject or cut is never passed on.
    if !target.iter().all(|byte| matches!(byte, b'!'..=b'"' | b'$'..=b'~')) {
        return Err(Refusal::BadTarget);
    }
    if head.kind == Method::Connect {
        return authority(head, bytes, hosts);
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

/// `HOST:PORT`, both of them; the Host field must say the same, and may leave the port out (RFC 9112 §3.2.3 does).
fn authority(head: &mut RequestHead, bytes: &[u8], hosts: usize) -> Result<(), Refusal> {
    let target = head.target.of(bytes);
    let name = host::name(target).filter(|name| !name.is_empty()).ok_or(Refusal::BadTarget)?;
    let port = target.get(name.len() + 1..).unwrap_or_default();
    if port.iter().all(|digit| *digit == b'0') {
        return Err(Refusal::BadTarget);
    }
    let host = head.host.of(bytes);
    if hosts > 0 && !host::same(target, host) && !host::same(name, host) {
        return Err(Refusal::HostMismatch);
    }
    head.host = head.target;
    head.host_name = span(bytes, name);
    head.origin = head.target;
    head.path = Span::default();
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
    let name = host::name(authority).filter(|name| !name.is_empty()).ok_or(Refusal::BadTarget)?;
    if hosts > 0 && !host::same(authority, head.host.of(bytes)) {
        return Err(Refusal::HostMismatch);
    }
    head.host = span(bytes, authority);
    head.host_name = span(bytes, name);
    Ok(span(bytes, origin))
}

pub(in crate::http) fn response(head: &mut ResponseHead, bytes: &[u8], limits: &HeadLimits) -> Result<Parse, Fault> {
    let bytes = bytes.get(..limits.head_bytes).unwrap_or(bytes);
    let full = bytes.len() >= limits.head_bytes;
    if !head.parts.news(bytes, limits.head_bytes) && !full {
        return Ok(Parse::Partial);
    }
    let result = match response_lines(head, bytes, limits) {
        Err(httparse::Error::Version) => match later_response(bytes) {
            Some(later) => response_lines(head, &later, limits),
            None => return Err(Fault::BadStatusLine),
        },
        result => result,
    };
    match result {
        Ok(httparse::Status::Partial) if full => return Err(Fault::HeadTooLarge),
        Ok(httparse::Status::Partial) => return Ok(Parse::Partial),
        Ok(httparse::Status::Complete(len)) => head.parts.len = len,
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::HeadTooLarge),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(Fault::BadField),
        Err(httparse::Error::NewLine) => return Err(Fault::BareLineEnd),
        Err(_) => return Err(Fault::BadStatusLine),
    }
    if !ends_in_crlf(bytes, &head.parts) {
        return Err(Fault::BareLineEnd);
    }
    // An empty line before a response is no part of any message.
    if bytes.first() != Some(&b'H') {
        return Err(Fault::BadStatusLine);
    }
    if !(100..=599).contains(&head.status) {
        return Err(Fault::BadStatus);
    }
    // The parser gives no reason that is not ASCII; where it stands is known: behind `HTTP/1.x NNN `.
    let line_end = memchr::memchr(b'\r', bytes).unwrap_or(0);
    head.reason = span(bytes, bytes.get(STATUS_LINE..line_end).unwrap_or_default());
    Ok(Parse::Whole)
}

/// As [`request_lines`].
fn response_lines(head: &mut ResponseHead, bytes: &[u8], limits: &HeadLimits) -> httparse::Result<usize> {
    count_parse();
    let mut headers: Headers<'_> = [const { MaybeUninit::uninit() }; limits::RESPONSE_FIELDS];
    let headers = headers.get_mut(..limits.fields.min(limits::RESPONSE_FIELDS)).unwrap_or_default();
    let mut response = httparse::Response::new(&mut []);
    let mut config = httparse::ParserConfig::default();
    // RFC 9112 §5.1: white space before a colon is removed from a response, and refused in a request.
    config.allow_spaces_after_header_name_in_responses(true);
    let status = config.parse_response_with_uninit_headers(&mut response, bytes, headers)?;
    if status.is_complete() {
        head.status = response.code.unwrap_or(0);
        head.parts.version = if response.version == Some(0) { Version::Http10 } else { Version::Http11 };
        head.parts.take(bytes, response.headers);
    }
    Ok(status)
}

/// As [`later_version`]: the head with its version as 1.1 if it is a later minor one.
fn later_response(bytes: &[u8]) -> Option<Vec<u8>> {
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', ..] = bytes else { return None };
    let mut later = bytes.to_vec();
    *later.get_mut(b"HTTP/1.".len())? = b'1';
    Some(later)
}

impl Parts {
    /// Whether there is something to parse that was not there before: the first bytes, another line, or so many bytes
    /// that a line of `line` bytes would have to be over.
    fn news(&mut self, bytes: &[u8], line: usize) -> bool {
        let seen = self.scanned;
        self.scanned = bytes.len();
        seen == 0
            || (seen <= line && bytes.len() > line)
            || bytes.get(seen..).is_some_and(|fresh| memchr::memchr(b'\n', fresh).is_some())
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

/// Every LF of the head has its CR: that before each field, and those at the end. (Empty lines before the head were looked
/// at, and a CR without LF the parser has refused.)
fn ends_in_crlf(bytes: &[u8], parts: &Parts) -> bool {
    let before = |field: &Field| (field.name.start as usize).checked_sub(2).and_then(|at| bytes.get(at));
    bytes.get(..parts.len).is_some_and(|head| head.ends_with(b"\r\n\r\n"))
        && parts.fields.iter().all(|field| before(field) == Some(&b'\r'))
}

/// Counts how often a head was parsed, so that a test can bound it.
fn count_parse() {
    #[cfg(test)]
    PARSES.with(|parses| parses.set(parses.get() + 1));
}

#[cfg(test)]
thread_local! {
    pub(in crate::http) static PARSES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Without the blanks around it (OWS, RFC 9110 §5.6.3).
pub(in crate::http) fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    // Most have none that the parser left.
    if let ([first, ..], [.., last]) = (text, text)
        && !blank(first)
        && !blank(last)
    {
        return text;
    }
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
