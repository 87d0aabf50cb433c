//! Request and response heads: where their parts stand in the bytes they were parsed from, and views that read them
//! there. Nothing is copied; a head is storage that the next message uses again.

use crate::http::Fault;
use crate::http::Refusal;
use crate::http::path;
use crate::http::path::Outcome;
use crate::http::path::Rules;

/// Where something stands in the bytes given to parse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: u32,
    /// How many.
    pub len: u32,
}

/// A field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, case kept.
    pub name: Span,
    /// Its value, without the white space around it.
    pub value: Span,
    /// Which of the fields that the gateway knows.
    pub known: Known,
    /// Whether it stands as `NAME: VALUE CRLF`, so that it can be passed on in one piece.
    pub plain: bool,
}

/// The fields that mean something to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "they are named as they are written")]
pub enum Known {
    Other,
    /// Differs from a field that the gateway knows by `_` for `-` alone: readers that put fields into variables cannot
    /// tell them apart.
    Twin,
    Authorization,
    Connection,
    ContentLength,
    Cookie,
    Date,
    Expect,
    Forwarded,
    Host,
    Http2Settings,
    KeepAlive,
    MaxForwards,
    Proxy,
    ProxyConnection,
    Referer,
    Server,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    UserAgent,
    Via,
    /// `X-Forwarded-` and something else than the four below.
    XForwarded,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedProto,
    XRealIp,
    XRequestId,
}

/// What the names of fields begin with that tell of the way a request came.
const X_FORWARDED: &[u8] = b"x-forwarded-";

/// Whether a name of token bytes is `text`, which has as many bytes, none of them a capital: eight bytes at a time.
fn is_in_any_case(name: &[u8], text: &[u8]) -> bool {
    let ((name, name_end), (text, text_end)) = (name.as_chunks::<8>(), text.as_chunks::<8>());
    let eight = |(one, other): (&[u8; 8], &[u8; 8])| {
        u64::from_ne_bytes(*one) | 0x2020_2020_2020_2020 == u64::from_ne_bytes(*other)
    };
    name.iter().zip(text).all(eight) && name_end.iter().zip(text_end).all(|(one, other)| one | 0x20 == *other)
}

/// Whether a name begins as `text` does, where `_` passes for `-`.
fn is_twin(name: &[u8], text: &[u8]) -> bool {
    name.iter().zip(text).all(|(one, other)| one | 0x20 == *other || (*one == b'_' && *other == b'-'))
}

impl Known {
    /// Which field a name is of, in either case.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        // Most names differ from most candidates in their first byte, which is never a `-`.
        let first = name.first().map(|byte| byte | 0x20);
        for (text, known) in Self::candidates(name.len()) {
            if text.first().copied() == first {
                if is_in_any_case(name, text) {
                    return *known;
                }
                if is_twin(name, text) {
                    return Self::Twin;
                }
            }
        }
        if first == X_FORWARDED.first().copied() && name.len() > X_FORWARDED.len() && is_twin(name, X_FORWARDED) {
            return if name.contains(&b'_') { Self::Twin } else { Self::XForwarded };
        }
        Self::Other
    }

    /// The names of a length.
    fn candidates(len: usize) -> &'static [(&'static [u8], Self)] {
        match len {
            2 => &[(b"te", Self::Te)],
            3 => &[(b"via", Self::Via)],
            4 => &[(b"host", Self::Host), (b"date", Self::Date)],
            5 => &[(b"proxy", Self::Proxy)],
            6 => &[(b"cookie", Self::Cookie), (b"server", Self::Server), (b"expect", Self::Expect)],
            7 => &[(b"referer", Self::Referer), (b"upgrade", Self::Upgrade), (b"trailer", Self::Trailer)],
            9 => &[(b"forwarded", Self::Forwarded), (b"x-real-ip", Self::XRealIp)],
            10 => {
                &[(b"connection", Self::Connection), (b"user-agent", Self::UserAgent), (b"keep-alive", Self::KeepAlive)]
            }
            12 => &[(b"x-request-id", Self::XRequestId), (b"max-forwards", Self::MaxForwards)],
            13 => &[(b"authorization", Self::Authorization)],
            14 => &[(b"content-length", Self::ContentLength), (b"http2-settings", Self::Http2Settings)],
            15 => &[(b"x-forwarded-for", Self::XForwardedFor)],
            16 => &[
                (b"proxy-connection", Self::ProxyConnection),
                (b"x-forwarded-host", Self::XForwardedHost),
                (b"x-forwarded-port", Self::XForwardedPort),
            ],
            17 => &[(b"transfer-encoding", Self::TransferEncoding), (b"x-forwarded-proto", Self::XForwardedProto)],
            _ => &[],
        }
    }
}

/// A version of HTTP/1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, and whatever later minor version a sender speaks (RFC 9110 §2.5).
    #[default]
    Http11,
}

/// A request method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are named as they are written")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Trace,
    Connect,
    Patch,
    #[default]
    Other,
}

impl Method {
    /// Which method a token is; case counts (RFC 9110 §9.1).
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        match token {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"CONNECT" => Self::Connect,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// Whether acting twice is as good as once (RFC 9110 §9.2.2).
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Put | Self::Delete | Self::Options | Self::Trace)
    }
}

/// Bounds of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Its bytes, the empty line that ends it included.
    pub head_bytes: usize,
    /// Its fields; no more than `limits::RESPONSE_FIELDS` whatever stands here.
    pub fields: usize,
    /// The bytes of a request's target.
    pub target_bytes: usize,
}

/// How far a head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parse {
    /// More bytes are needed.
    Partial,
    /// It is whole.
    Whole,
}

/// What both kinds of heads hold.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "three tokens of the Connection field, each for itself")]
pub(super) struct Parts {
    pub(super) fields: Vec<Field>,
    pub(super) len: usize,
    pub(super) version: Version,
    /// A Connection field names `close`, or `keep-alive`, or something else.
    pub(super) close: bool,
    pub(super) keep: bool,
    pub(super) nominates: bool,
    /// Bytes that were looked at without finding the end of the head.
    pub(super) scanned: usize,
}

/// A request head.
#[derive(Debug, Default)]
pub struct RequestHead {
    pub(super) parts: Parts,
    pub(super) method: Span,
    pub(super) kind: Method,
    /// The target as received.
    pub(super) target: Span,
    /// Its path, empty for an absolute target without one.
    pub(super) path: Span,
    /// Path and query.
    pub(super) origin: Span,
    /// Path and query as they go on, if the path was written anew; and so many bytes of it are the path.
    rewritten: Vec<u8>,
    rewritten_path: usize,
    /// The authority: the target's, else the Host field's.
    pub(super) host: Span,
    /// The same without its port.
    pub(super) host_name: Span,
    pub(super) expects: bool,
}

/// A response head.
#[derive(Debug, Default)]
pub struct ResponseHead {
    pub(super) parts: Parts,
    pub(super) status: u16,
    pub(super) reason: Span,
}

/// A request, read where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    head: &'a RequestHead,
    bytes: &'a [u8],
}

/// A response, read where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    head: &'a ResponseHead,
    bytes: &'a [u8],
}

impl Span {
    /// The bytes it stands for.
    #[inline]
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        let start = self.start as usize;
        bytes.get(start..start + self.len as usize).unwrap_or(&[])
    }

    /// One past its last byte.
    #[inline]
    #[must_use]
    pub fn end(self) -> usize {
        self.start as usize + self.len as usize
    }
}

impl RequestHead {
    /// Parses what was read of a request so far. To be called with the same bytes and more until it is whole.
    ///
    /// # Errors
    /// [`Refusal`], as early as it can be seen.
    pub fn parse(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Parse, Refusal> {
        crate::http::h1::parse::request(self, bytes, limits)
    }

    /// Bytes of the head, empty lines before it included.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.len == 0
    }

    /// The request in the bytes it was parsed from.
    #[inline]
    #[must_use]
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> Request<'a> {
        Request { head: self, bytes }
    }

    /// Brings the path of the request in these bytes into the form in which it is routed and forwarded: from then on
    /// [`Request::path`] and [`Request::origin_form`] say that. The query stays as it is; `*` and an authority are no
    /// paths.
    ///
    /// # Errors
    /// As [`path::normalise`].
    #[inline]
    pub fn normalise_path(&mut self, bytes: &[u8], rules: Rules) -> Result<(), Refusal> {
        let path = self.path.of(bytes);
        if path.first() != Some(&b'/') {
            return Ok(());
        }
        match path::normalise(path, rules, &mut self.rewritten) {
            Ok(Outcome::Normal) => Ok(()),
            Ok(Outcome::Rewritten) => {
                self.rewritten_path = self.rewritten.len();
                let query = self.origin.of(bytes).get(path.len()..);
                self.rewritten.extend_from_slice(query.unwrap_or(&[]));
                Ok(())
            }
            Err(refusal) => {
                self.rewritten.clear();
                Err(refusal)
            }
        }
    }

    /// Forgets the head, keeps the room.
    #[inline]
    pub fn reset(&mut self) {
        self.parts.reset();
        self.rewritten.clear();
    }
}

impl ResponseHead {
    /// Parses what was read of a response so far. To be called with the same bytes and more until it is whole.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn parse(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Parse, Fault> {
        crate::http::h1::parse::response(self, bytes, limits)
    }

    /// Bytes of the head.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.len == 0
    }

    /// The response in the bytes it was parsed from.
    #[inline]
    #[must_use]
    pub fn view<'a>(&'a self, bytes: &'a [u8]) -> Response<'a> {
        Response { head: self, bytes }
    }

    /// Forgets the head, keeps the room.
    #[inline]
    pub fn reset(&mut self) {
        self.parts.reset();
    }
}

impl Parts {
    fn reset(&mut self) {
        self.fields.clear();
        self.len = 0;
        self.close = false;
        self.keep = false;
        self.nominates = false;
        self.scanned = 0;
    }

    /// Whether the connection is kept after the message (RFC 9112 §9.3).
    fn keep_alive(&self) -> bool {
        !self.close && (self.version == Version::Http11 || self.keep)
    }
}

impl<'a> Request<'a> {
    /// The method as received.
    #[must_use]
    pub fn method(self) -> &'a [u8] {
        self.head.method.of(self.bytes)
    }

    /// Which method it is.
    #[inline]
    #[must_use]
    pub fn method_kind(self) -> Method {
        self.head.kind
    }

    /// The target as received.
    #[must_use]
    pub fn target(self) -> &'a [u8] {
        self.head.target.of(self.bytes)
    }

    /// The path: what routes look at. Normal, once [`RequestHead::normalise_path`] was asked. That of CONNECT is empty.
    #[inline]
    #[must_use]
    pub fn path(self) -> &'a [u8] {
        if let path @ [_, ..] = self.head.rewritten.get(..self.head.rewritten_path).unwrap_or(&[]) {
            return path;
        }
        match self.head.path.of(self.bytes) {
            [] if self.head.kind != Method::Connect => b"/",
            path => path,
        }
    }

    /// Path and query as they go on: without a scheme and an authority. The path may be empty. Of CONNECT: the authority.
    #[inline]
    #[must_use]
    pub fn origin_form(self) -> &'a [u8] {
        match self.head.rewritten.as_slice() {
            [] => self.head.origin.of(self.bytes),
            rewritten => rewritten,
        }
    }

    /// The authority: the target's, else the Host field's; may be empty.
    #[inline]
    #[must_use]
    pub fn host(self) -> &'a [u8] {
        self.head.host.of(self.bytes)
    }

    /// The authority without its port.
    #[inline]
    #[must_use]
    pub fn host_name(self) -> &'a [u8] {
        self.head.host_name.of(self.bytes)
    }

    /// The version.
    #[inline]
    #[must_use]
    pub fn version(self) -> Version {
        self.head.parts.version
    }

    /// Whether the client keeps the connection.
    #[inline]
    #[must_use]
    pub fn keep_alive(self) -> bool {
        self.head.parts.keep_alive()
    }

    /// Whether the client waits for a 100 before it sends its content; HTTP/1.0 has no such thing (RFC 9110 §10.1.1).
    #[must_use]
    pub fn expects_continue(self) -> bool {
        self.head.expects && self.version() == Version::Http11
    }

    /// The value of the first field of a kind.
    #[must_use]
    pub fn field(self, known: Known) -> Option<&'a [u8]> {
        let field = self.head.parts.fields.iter().find(|field| field.known == known)?;
        Some(field.value.of(self.bytes))
    }

    /// The value of the first field of a name, in either case.
    #[must_use]
    pub fn named(self, name: &str) -> Option<&'a [u8]> {
        self.fields().find(|(_, field, _)| field.eq_ignore_ascii_case(name.as_bytes())).map(|(.., value)| value)
    }

    /// Every field, as (kind, name, value).
    pub fn fields(self) -> impl Iterator<Item = (Known, &'a [u8], &'a [u8])> {
        let bytes = self.bytes;
        self.head.parts.fields.iter().map(move |field| (field.known, field.name.of(bytes), field.value.of(bytes)))
    }

    pub(super) fn framing_fields(self) -> impl Iterator<Item = (Known, &'a [u8])> {
        let bytes = self.bytes;
        self.head.parts.fields.iter().map(move |field| (field.known, field.value.of(bytes)))
    }

    pub(super) fn raw(self) -> (&'a [Field], &'a [u8], bool) {
        (&self.head.parts.fields, self.bytes, self.head.parts.nominates)
    }
}

impl<'a> Response<'a> {
    /// The status, 100 to 599.
    #[inline]
    #[must_use]
    pub fn status(self) -> u16 {
        self.head.status
    }

    /// The words behind the status.
    #[must_use]
    pub fn reason(self) -> &'a [u8] {
        self.head.reason.of(self.bytes)
    }

    /// The version.
    #[must_use]
    pub fn version(self) -> Version {
        self.head.parts.version
    }

    /// Whether the endpoint keeps the connection.
    #[inline]
    #[must_use]
    pub fn keep_alive(self) -> bool {
        self.head.parts.keep_alive()
    }

    /// The value of the first field of a kind.
    #[must_use]
    pub fn field(self, known: Known) -> Option<&'a [u8]> {
        let field = self.head.parts.fields.iter().find(|field| field.known == known)?;
        Some(field.value.of(self.bytes))
    }

    /// The value of the first field of a name, in either case.
    #[must_use]
    pub fn named(self, name: &str) -> Option<&'a [u8]> {
        self.fields().find(|(_, field, _)| field.eq_ignore_ascii_case(name.as_bytes())).map(|(.., value)| value)
    }

    /// Every field, as (kind, name, value).
    pub fn fields(self) -> impl Iterator<Item = (Known, &'a [u8], &'a [u8])> {
        let bytes = self.bytes;
        self.head.parts.fields.iter().map(move |field| (field.known, field.name.of(bytes), field.value.of(bytes)))
    }

    pub(super) fn framing_fields(self) -> impl Iterator<Item = (Known, &'a [u8])> {
        let bytes = self.bytes;
        self.head.parts.fields.iter().map(move |field| (field.known, field.value.of(bytes)))
    }

    pub(super) fn raw(self) -> (&'a [Field], &'a [u8], bool) {
        (&self.head.parts.fields, self.bytes, self.head.parts.nominates)
    }
}

#[cfg(test)]
mod tests;
