//! HTTP/1.1 as far as both ends of a load test need it: heads, bodies, and bodies' expected bytes. It trusts the shape
//! of what it reads less than its content: what it cannot read is a fault, what it reads is compared. It refuses to
//! know sockets' readiness.

use std::io::{self, IoSlice, Write};

/// What matters of a request's or a response's head.
pub struct Head<'a> {
    /// The first line, without its end.
    pub line: &'a [u8],
    /// How long the whole head is, in bytes.
    pub bytes: usize,
    pub length: Option<u64>,
    pub chunked: bool,
    pub close: bool,
    /// The request's number, echoed by the origin.
    pub token: Option<u64>,
}

/// A message that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

impl<'a> Head<'a> {
    /// Reads the head at the front of `bytes`; nothing, if it is not whole yet.
    pub fn read(bytes: &'a [u8]) -> Result<Option<Self>, Broken> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
            return if bytes.len() > HEAD_BYTES_MAX { Err(Broken) } else { Ok(None) };
        };
        let mut lines = bytes[..end].split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let line = lines.next().ok_or(Broken)?;
        let mut head = Self { line, bytes: end + 4, length: None, chunked: false, close: false, token: None };
        for field in lines {
            let colon = memchr::memchr(b':', field).ok_or(Broken)?;
            let (name, value) = (&field[..colon], field[colon + 1..].trim_ascii());
            match name.len() {
                7 if name.eq_ignore_ascii_case(b"x-token") => head.token = Some(number(value).ok_or(Broken)?),
                10 if name.eq_ignore_ascii_case(b"connection") => head.close |= value.eq_ignore_ascii_case(b"close"),
                14 if name.eq_ignore_ascii_case(b"content-length") => head.length = Some(number(value).ok_or(Broken)?),
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => head.chunked = true,
                _ => {}
            }
        }
        Ok(Some(head))
    }

    /// A response's status, if the first line is a status line.
    pub fn status(&self) -> Result<u16, Broken> {
        let rest = self.line.strip_prefix(b"HTTP/1.").ok_or(Broken)?;
        let digits = rest.get(2..5).ok_or(Broken)?;
        number(digits).and_then(|status| u16::try_from(status).ok()).ok_or(Broken)
    }

    /// The body that follows, when a message without length is one without body (`request`) or ends with the
    /// connection.
    pub fn body(&self, request: bool) -> Body {
        match (self.chunked, self.length) {
            (true, _) => Body::Chunked(Chunk::Size { value: 0, digits: 0, extension: false }),
            (false, Some(left)) => Body::Length(left),
            (false, None) if request => Body::Length(0),
            (false, None) => Body::UntilClose,
        }
    }
}

/// Where a body's reader stands.
pub enum Body {
    /// That many bytes are to come.
    Length(u64),
    Chunked(Chunk),
    UntilClose,
}

/// Where the reader of a chunked body stands.
pub enum Chunk {
    /// In a size line.
    Size {
        value: u64,
        digits: u8,
        extension: bool,
    },
    /// That many bytes of the chunk are to come.
    Data(u64),
    /// Before the line end that follows a chunk.
    DataEnd,
    /// In the trailers: bytes of the line so far.
    Trailer(usize),
    Done,
}

impl Body {
    /// Takes off the front of `bytes` what belongs to the body, hands its content to `content`, and says how many bytes
    /// it took.
    pub fn feed(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> Result<usize, Broken> {
        match self {
            Self::Length(left) => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                content(&bytes[..count]);
                *left -= count as u64;
                Ok(count)
            }
            Self::UntilClose => {
                content(bytes);
                Ok(bytes.len())
            }
            Self::Chunked(chunk) => {
                let mut at = 0;
                while at < bytes.len() && !matches!(chunk, Chunk::Done) {
                    at += chunk.step(&bytes[at..], &mut content)?;
                }
                Ok(at)
            }
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }
}

impl Chunk {
    /// Takes at least one byte off the front of `bytes`, which is not empty.
    fn step(&mut self, bytes: &[u8], content: &mut impl FnMut(&[u8])) -> Result<usize, Broken> {
        let mut taken = 1;
        *self = match (&mut *self, bytes[0]) {
            (Self::Data(left), _) => {
                taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                content(&bytes[..taken]);
                *left -= taken as u64;
                if *left > 0 { Self::Data(*left) } else { Self::DataEnd }
            }
            (Self::Size { digits: 0, .. }, b'\n') => return Err(Broken),
            (Self::Size { value: 0, .. }, b'\n') => Self::Trailer(0),
            (Self::Size { value, .. }, b'\n') => Self::Data(*value),
            (Self::Size { value, digits, .. }, b'\r' | b';') => {
                Self::Size { value: *value, digits: *digits, extension: true }
            }
            (Self::Size { value, digits, extension: true }, _) => {
                Self::Size { value: *value, digits: *digits, extension: true }
            }
            (Self::Size { value, digits, extension: false }, byte) if *digits < 15 => {
                let digit = char::from(byte).to_digit(16).ok_or(Broken)?;
                Self::Size { value: *value << 4 | u64::from(digit), digits: *digits + 1, extension: false }
            }
            (Self::DataEnd, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::Size { value: 0, digits: 0, extension: false },
            (Self::Trailer(length), b'\r') => Self::Trailer(*length),
            (Self::Trailer(0), b'\n') => Self::Done,
            (Self::Trailer(_), b'\n') => Self::Trailer(0),
            (Self::Trailer(length), _) if *length < HEAD_BYTES_MAX => Self::Trailer(*length + 1),
            (Self::Size { .. } | Self::DataEnd | Self::Trailer(_) | Self::Done, _) => return Err(Broken),
        };
        Ok(taken)
    }
}

/// The bytes that every body is made of: a body begins at a place that its token chooses, so that two bodies in each
/// other's place are seen.
pub struct Pattern(Vec<u8>);

impl Pattern {
    pub fn new() -> Self {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut bytes: Vec<u8> = (0..PATTERN_PERIOD)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[3]
            })
            .collect();
        for at in 0..PATTERN_RUN {
            bytes.push(bytes[at % PATTERN_PERIOD]);
        }
        Self(bytes)
    }

    /// At most `bytes_max` bytes, as many as lie in a row, of the body of `token` from `offset` on.
    pub fn run(&self, token: u64, offset: u64, bytes_max: u64) -> &[u8] {
        let at = (token.wrapping_mul(7919).wrapping_add(offset) % PATTERN_PERIOD as u64) as usize;
        let length = (self.0.len() - at).min(usize::try_from(bytes_max).unwrap_or(usize::MAX));
        &self.0[at..at + length]
    }

    /// Whether `bytes` are those of the body of `token` from `offset` on.
    pub fn holds(&self, token: u64, mut offset: u64, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let run = self.run(token, offset, bytes.len() as u64);
            let (front, rest) = bytes.split_at(run.len());
            if front != run {
                return false;
            }
            (offset, bytes) = (offset + run.len() as u64, rest);
        }
        true
    }
}

/// A message on its way out.
#[derive(Default)]
pub struct Outgoing {
    /// Rendered and not yet sent: the head, with as much of the body as is small; then chunk by chunk.
    lead: Vec<u8>,
    lead_sent: usize,
    token: u64,
    offset: u64,
    body_left: u64,
    /// The body goes out in chunks, the last of which is still to come.
    chunked: bool,
}

impl Outgoing {
    /// A message with the body of `token`, `body` bytes long; `head` renders the head without its empty line and
    /// without the field that says how the body ends.
    pub fn begin(&mut self, token: u64, body: Option<u64>, chunked: bool, head: impl FnOnce(&mut Vec<u8>)) {
        self.lead.clear();
        (self.lead_sent, self.token, self.offset) = (0, token, 0);
        head(&mut self.lead);
        self.body_left = body.unwrap_or(0);
        self.chunked = chunked && body.is_some();
        if self.chunked {
            self.lead.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        } else if let Some(length) = body {
            self.lead.extend_from_slice(b"Content-Length: ");
            push_number(&mut self.lead, length);
            self.lead.extend_from_slice(b"\r\n");
        }
        self.lead.extend_from_slice(b"\r\n");
    }

    /// Keeps only the first half of what is rendered and no body, or the head and half of the body.
    pub fn cut(&mut self, in_head: bool) {
        if in_head {
            self.lead.truncate(self.lead.len() / 2);
            (self.body_left, self.chunked) = (0, false);
        } else {
            self.body_left /= 2;
        }
    }

    /// Leaves the body out, of which the head goes on to speak.
    pub fn without_body(&mut self) {
        (self.body_left, self.chunked) = (0, false);
    }

    /// Sends what the socket takes. True: all is sent.
    pub fn push(&mut self, stream: &mut impl Write, pattern: &Pattern) -> io::Result<bool> {
        loop {
            self.fill(pattern);
            let lead = &self.lead[self.lead_sent..];
            let body = if self.chunked { &[] } else { pattern.run(self.token, self.offset, self.body_left) };
            let sent = match (lead.is_empty(), body.is_empty()) {
                (true, true) => stream.flush().map(|()| 0),
                (false, true) => stream.write(lead),
                (true, false) => stream.write(body),
                (false, false) => stream.write_vectored(&[IoSlice::new(lead), IoSlice::new(body)]),
            };
            match sent {
                Ok(_) if lead.is_empty() && body.is_empty() => return Ok(true),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let of_lead = count.min(lead.len());
                    let of_body = (count - of_lead) as u64;
                    self.lead_sent += of_lead;
                    self.offset += of_body;
                    self.body_left -= of_body;
                }
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Appends a small body or the next chunk to the lead.
    fn fill(&mut self, pattern: &Pattern) {
        if self.chunked && self.lead_sent == self.lead.len() && self.offset > 0 {
            self.lead.clear();
            self.lead_sent = 0;
        }
        if self.chunked && (self.offset == 0 || self.lead.is_empty()) {
            let run = pattern.run(self.token, self.offset, self.body_left.min(CHUNK_BYTES));
            self.chunked = !run.is_empty();
            if run.is_empty() {
                self.lead.extend_from_slice(b"0\r\n\r\n");
                return;
            }
            // Writing to a Vec cannot fail.
            let _ = write!(self.lead, "{:x}\r\n", run.len());
            self.lead.extend_from_slice(run);
            self.lead.extend_from_slice(b"\r\n");
            self.offset += run.len() as u64;
            self.body_left -= run.len() as u64;
        } else if !self.chunked && self.lead_sent == 0 && self.body_left > 0 && self.body_left <= COPIED_BODY_BYTES {
            let run = pattern.run(self.token, self.offset, self.body_left);
            self.lead.extend_from_slice(run);
            self.offset += run.len() as u64;
            self.body_left -= run.len() as u64;
        }
    }
}

/// Decimal digits alone.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
}

/// Appends `value` in decimal digits.
pub fn push_number(text: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return text.extend_from_slice(&digits[at..]);
        }
    }
}

/// A head longer than this is a fault.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// A prime, so that no buffer size of a proxy divides it.
const PATTERN_PERIOD: usize = 65_521;
/// Bytes that always lie in a row after any place of the period.
const PATTERN_RUN: usize = 256 * 1024;
/// Bytes of one chunk; odd, so that chunks and buffers do not line up.
const CHUNK_BYTES: u64 = 10_007;
/// A body of at most this many bytes goes out in one write with its head.
const COPIED_BODY_BYTES: u64 = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(body: &mut Body, bytes: &[u8], piece: usize) -> Result<(Vec<u8>, usize), Broken> {
        let (mut content, mut taken) = (Vec::new(), 0);
        for part in bytes.chunks(piece) {
            taken += body.feed(part, |bytes| content.extend_from_slice(bytes))?;
            if body.is_done() {
                break;
            }
        }
        Ok((content, taken))
    }

    #[test]
    fn a_chunked_body_ends_at_its_end_however_it_is_cut() {
        let bytes = b"3\r\nabc\r\n0A;ext=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nHTTP/1.1";
        for piece in 1..=bytes.len() {
            let head = Head::read(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap().unwrap();
            let mut body = head.body(false);
            let (content, taken) = read_all(&mut body, bytes, piece).unwrap();
            assert!(body.is_done());
            assert_eq!((content.as_slice(), taken), (&b"abc0123456789"[..], bytes.len() - 8), "pieces of {piece}");
        }
    }

    #[test]
    fn a_chunk_without_a_size_is_a_fault() {
        let mut body = Body::Chunked(Chunk::Size { value: 0, digits: 0, extension: false });
        assert_eq!(read_all(&mut body, b"\r\nabc", 64), Err(Broken));
    }

    #[test]
    fn a_body_in_the_place_of_another_is_seen() {
        let pattern = Pattern::new();
        let own = pattern.run(7, 0, 128).to_vec();
        assert!(pattern.holds(7, 0, &own));
        assert!(pattern.holds(7, 100, &own[100..]));
        assert!(!pattern.holds(8, 0, &own));
        assert!(!pattern.holds(7, 1, &own));
    }

    #[test]
    fn a_long_body_wraps_around_the_pattern() {
        let pattern = Pattern::new();
        let period = PATTERN_PERIOD as u64;
        assert_eq!(pattern.run(3, period + 5, 64), pattern.run(3, 5, 64));
        let twice: Vec<u8> = [pattern.run(3, 0, period), pattern.run(3, period, period)].concat();
        assert!(pattern.holds(3, 0, &twice));
    }

    #[test]
    fn a_head_gives_its_fields_whatever_their_case() {
        let bytes = b"HTTP/1.1 204 No Content\r\nCONTENT-length:  12 \r\nx-TOKEN: 99\r\nConnection: Close\r\n\r\nrest";
        let head = Head::read(bytes).unwrap().unwrap();
        assert_eq!((head.length, head.token, head.close, head.status()), (Some(12), Some(99), true, Ok(204)));
        assert_eq!(&bytes[head.bytes..], b"rest");
        assert!(Head::read(&bytes[..20]).unwrap().is_none());
    }
}
