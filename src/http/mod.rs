//! The rules of HTTP/1 without the world: bytes in, values out. It refuses to know sockets, clocks and gateways.
//!
//! - [`head`]: request and response heads, parsed in place ([`h1::parse`]) and looked at through views;
//! - [`framing`]: where a message ends, decided in one place;
//! - [`h1::chunked`]: chunked bodies, decoded in place;
//! - [`path`]: the one reading of a path that is both routed and forwarded;
//! - [`forward`]: what a gateway writes of what it has read;
//! - [`identity`]: who the client is, and how that is told on;
//! - [`proxy`]: the header that a proxy may put before a connection's first request;
//! - [`upgrade`]: which other protocols a connection may go on with.

pub mod date;
pub mod forward;
pub mod framing;
pub mod h1;
pub mod head;
pub mod host;
pub mod identity;
pub mod path;
pub mod proxy;
pub mod status;
pub mod upgrade;

/// Why a request is refused. One variant for each rule, so that the answer can say which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not `METHOD SP TARGET SP VERSION CRLF` (RFC 9112 §3).
    BadRequestLine,
    /// A version that is not one (RFC 9112 §2.3).
    BadVersion,
    /// A version of another major number (RFC 9110 §15.6.6).
    UnknownVersion,
    /// A line that does not end in CRLF (RFC 9112 §2.2 allows a bare LF; others read such a head differently).
    BareLineEnd,
    /// Many empty lines before the request (RFC 9112 §2.2 asks to ignore one).
    EmptyLines,
    /// A field name that is no token: a space before the colon, or folding (RFC 9112 §5).
    BadFieldName,
    /// A field value with a control byte (RFC 9110 §5.5).
    BadFieldValue,
    /// A target that is not of a form its method may have (RFC 9112 §3.2).
    BadTarget,
    /// A `%` in the path without two hexadecimal digits (RFC 3986 §2.1).
    BadEscape,
    /// `%00` in the path.
    EscapedNul,
    /// `%0D` or `%0A` in the path: whoever decodes it into a line of a head, or of a log, has two lines.
    EscapedLineEnd,
    /// `%2F` or `%5C` in the path, where the listener takes none.
    EncodedSlash,
    /// Several slashes in a row, where the listener takes none.
    EmptySegment,
    /// `.` or `..` between slashes, where the listener takes none.
    DotSegment,
    /// `..` that leads above the root.
    AboveRoot,
    /// A dot segment for readers who take more for a slash than RFC 3986 does, or cut segments.
    HiddenDots,
    /// No Host, or several (RFC 9112 §3.2).
    HostCount,
    /// A Host that is no authority (RFC 9110 §7.2).
    BadHost,
    /// A Host that differs from the target's authority (RFC 9112 §3.2.2).
    HostMismatch,
    /// More than the listener takes of a head.
    HeadTooLarge,
    /// More fields than the listener takes.
    TooManyFields,
    /// A longer target than the listener takes.
    TargetTooLong,
    /// A Content-Length that is not digits, or too many of them (RFC 9110 §8.6).
    BadLength,
    /// More than one Content-Length (RFC 9112 §6.3).
    SeveralLengths,
    /// Content-Length and Transfer-Encoding (RFC 9112 §6.3).
    LengthAndCoding,
    /// Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1).
    CodingInOld,
    /// A Transfer-Encoding other than `chunked` alone (RFC 9112 §6.1).
    UnknownCoding,
    /// TRACE; CONNECT where no route takes it.
    UnknownMethod,
    /// A length or a coding in CONNECT, which has no content (RFC 9110 §9.3.6).
    ContentInConnect,
    /// No hop is left by Max-Forwards (RFC 9110 §7.6.2).
    NoHopLeft,
    /// An expectation other than 100-continue (RFC 9110 §10.1.1).
    UnknownExpectation,
    /// Plain HTTP where TLS is spoken.
    PlainOnTls,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::UnknownVersion => 505,
            Self::UnknownMethod | Self::NoHopLeft => 501,
            Self::UnknownExpectation => 417,
            _ => 400,
        }
    }

    /// The rule in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::BadRequestLine => "the request line is not method, target and version",
            Self::BadVersion => "the version is none of HTTP's",
            Self::UnknownVersion => "the version is not HTTP/1",
            Self::BareLineEnd => "a line does not end in CRLF",
            Self::EmptyLines => "too many empty lines before the request",
            Self::BadFieldName => "a field name is not a token",
            Self::BadFieldValue => "a field value has a byte that it may not have",
            Self::BadTarget => "the target is not of a form that this method may have",
            Self::BadEscape => "a % in the path is not followed by two hexadecimal digits",
            Self::EscapedNul => "the path has an encoded NUL",
            Self::EscapedLineEnd => "the path has an encoded CR or LF",
            Self::EncodedSlash => "the path has an encoded slash",
            Self::EmptySegment => "the path has several slashes in a row",
            Self::DotSegment => "the path has a dot segment",
            Self::AboveRoot => "the path leads above its root",
            Self::HiddenDots => "the path hides a dot segment beside an encoded slash, a backslash or a semicolon",
            Self::HostCount => "there must be one Host field",
            Self::BadHost => "the Host is not a host with an optional port",
            Self::HostMismatch => "the Host differs from the target's",
            Self::HeadTooLarge => "the head has too many bytes",
            Self::TooManyFields => "the head has too many fields",
            Self::TargetTooLong => "the target has too many bytes",
            Self::BadLength => "the Content-Length is not a number",
            Self::SeveralLengths => "there is more than one Content-Length",
            Self::LengthAndCoding => "there are both Content-Length and Transfer-Encoding",
            Self::CodingInOld => "HTTP/1.0 has no Transfer-Encoding",
            Self::UnknownCoding => "the Transfer-Encoding is not chunked alone",
            Self::UnknownMethod => "the method is not relayed here",
            Self::ContentInConnect => "CONNECT has no content",
            Self::NoHopLeft => "Max-Forwards leaves no hop",
            Self::UnknownExpectation => "the expectation is not 100-continue",
            Self::PlainOnTls => "plain HTTP was sent to a port that speaks TLS: ask by https",
        }
    }
}

/// Why a response cannot be relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not `VERSION SP STATUS SP REASON CRLF` (RFC 9112 §4).
    BadStatusLine,
    /// A status outside 100 to 599 (RFC 9110 §15).
    BadStatus,
    /// A line that does not end in CRLF.
    BareLineEnd,
    /// A field that is none (RFC 9112 §5).
    BadField,
    /// More than is taken of a head.
    HeadTooLarge,
    /// A Content-Length that is not digits (RFC 9110 §8.6).
    BadLength,
    /// More than one Content-Length (RFC 9112 §6.3).
    SeveralLengths,
    /// Content-Length and Transfer-Encoding (RFC 9112 §6.3).
    LengthAndCoding,
    /// A Transfer-Encoding other than `chunked` alone, or in HTTP/1.0 (RFC 9112 §6.1).
    UnknownCoding,
    /// Content, or a length, in a status that has none (RFC 9110 §8.6, RFC 9112 §6.1).
    ContentInInterim,
    /// The chunks break a rule.
    Chunks(ChunkFault),
}

impl Fault {
    /// The rule in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::BadStatusLine => "the status line is not version, status and reason",
            Self::BadStatus => "the status is not between 100 and 599",
            Self::BareLineEnd => "a line does not end in CRLF",
            Self::BadField => "a field breaks the rules",
            Self::HeadTooLarge => "the head is too large",
            Self::BadLength => "the Content-Length is not a number",
            Self::SeveralLengths => "there is more than one Content-Length",
            Self::LengthAndCoding => "there are both Content-Length and Transfer-Encoding",
            Self::UnknownCoding => "the Transfer-Encoding is not chunked alone",
            Self::ContentInInterim => "an interim response has content",
            Self::Chunks(fault) => fault.words(),
        }
    }
}

/// Why a chunked body cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkFault {
    /// A chunk size that is not hexadecimal digits, or too many of them (RFC 9112 §7.1).
    BadSize,
    /// A chunk-size line over its bound.
    LineTooLong,
    /// An extension with a byte or a quote out of place, or extensions over their bound (RFC 9112 §7.1.1).
    BadExtension,
    /// A chunk that does not end in CRLF.
    BadEnd,
    /// A trailer field that is none, or trailers over their bound (RFC 9112 §7.1.2).
    BadTrailer,
}

impl ChunkFault {
    /// The rule in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::BadSize => "a chunk size is not a number",
            Self::LineTooLong => "a chunk size line is too long",
            Self::BadExtension => "a chunk extension breaks the rules",
            Self::BadEnd => "a chunk does not end where its size says",
            Self::BadTrailer => "the trailers break the rules",
        }
    }
}

#[cfg(test)]
mod corpus_tests;
#[cfg(test)]
mod section_tests;
