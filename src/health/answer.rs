//! What an HTTP response means for a check, however its bytes are cut. Pure. It reads no more of a response than the
//! verdict needs, and bounds all that it reads. It refuses to know sockets.

use std::ops::RangeInclusive;

use memchr::memmem;

use crate::health::Said;
use crate::health::probe::Verdict;
use crate::limits;

/// What a check wants of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The statuses that are good.
    pub(super) statuses: &'a [RangeInclusive<u16>],
    /// What the beginning of the body must contain.
    pub(super) body: Option<&'a str>,
    /// Whether responses to the request's method have no body.
    pub(super) bodiless: bool,
}

/// A response, as far as it has come.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    wanted: Wanted<'a>,
    /// The head, or what of the body has not been understood yet.
    raw: Vec<u8>,
    interim: u32,
    body: Option<Body>,
    /// Whether the connection could be used again, as far as the head says.
    stays: bool,
}

/// The body, once the head is there.
#[derive(Debug)]
struct Body {
    status: u16,
    framing: Framing,
    /// Its bytes so far, [`BODY`] at the most.
    bytes: Vec<u8>,
    /// Everything that came for it, the framing's own bytes included.
    came: usize,
    /// What came behind it, a few bytes of that.
    behind: Vec<u8>,
    /// What must come behind it: the end of the last line of chunks.
    owed: &'static [u8],
}

#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// A line with the size of a chunk is to come; the flag: an end of line first.
    Size(bool),
    /// So many bytes of a chunk are still to come.
    Chunk(u64),
    /// All until the connection ends.
    Close,
    /// It has ended.
    Ended,
}

impl<'a> Answer<'a> {
    pub(super) fn new(wanted: Wanted<'a>) -> Self {
        Self { wanted, raw: Vec::new(), interim: 0, body: None, stays: false }
    }

    /// Takes bytes; a verdict as soon as there is one.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<Verdict> {
        if self.body.is_some() {
            self.raw.extend_from_slice(bytes);
            return self.look_at_body(bytes.len());
        }
        let mut from = self.raw.len().saturating_sub(3);
        self.raw.extend_from_slice(bytes);
        loop {
            // What does not begin like HTTP never will.
            if !MAGIC.starts_with(&self.raw[..self.raw.len().min(MAGIC.len())]) {
                return bad("what it sends is not HTTP/1");
            }
            let end = memmem::find(&self.raw[from..], b"\r\n\r\n").map(|at| from + at + 4);
            if end.unwrap_or(self.raw.len()) > limits::RESPONSE_HEAD_BYTES {
                return bad("the response head does not end");
            }
            let end = end?;
            match self.look_at_head(end) {
                Head::Verdict(verdict) => return Some(verdict),
                Head::Interim => from = 0,
                Head::Body => {
                    let rest = self.raw.len();
                    return self.look_at_body(rest);
                }
            }
        }
    }

    /// Whether the response has come whole, with nothing behind it, on a connection that stays. To be asked after a verdict.
    pub(super) fn is_clean(&self) -> bool {
        let ended = |body: &Body| body.framing == Framing::Ended && body.behind == body.owed;
        self.stays && self.raw.is_empty() && self.body.as_ref().is_some_and(ended)
    }

    /// The connection has ended: what that means.
    pub(super) fn end(self) -> Verdict {
        let Some(body) = self.body else {
            let words =
                if self.raw.is_empty() { "it closed without a response" } else { "it closed within a response head" };
            return Verdict::Bad(words.into());
        };
        match body.framing {
            Framing::Close | Framing::Ended => missing(body.status),
            Framing::Length(_) | Framing::Size(_) | Framing::Chunk(_) => {
                Verdict::Bad("it closed within the body".into())
            }
        }
    }

    fn look_at_head(&mut self, end: usize) -> Head {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        let whole = matches!(response.parse(&self.raw[..end]), Ok(httparse::Status::Complete(at)) if at == end);
        let Some(status) = response.code.filter(|status| whole && (100..=999).contains(status)) else {
            return Head::bad("the response head is ill-formed");
        };
        if (100..200).contains(&status) && status != 101 {
            self.interim += 1;
            if self.interim > limits::INTERIM_RESPONSES {
                return Head::bad("interim responses without an end");
            }
            self.raw.drain(..end);
            return Head::Interim;
        }
        if !self.wanted.statuses.iter().any(|range| range.contains(&status)) {
            return Head::Verdict(Verdict::Bad(format!("status {status}")));
        }
        let none = self.wanted.bodiless || matches!(status, 204 | 304);
        let framing = framing(response.headers, none);
        self.stays = response.version == Some(1)
            && !response.headers.iter().any(|field| field.name.eq_ignore_ascii_case("connection"));
        let unclear = framing.is_none();
        self.raw.drain(..end);
        self.body = framing.map(|framing| Body::new(status, framing));
        if self.wanted.body.is_none() {
            if let Some(body) = &mut self.body {
                // What is not wanted does not matter either, but for whether it is whole.
                self.stays &= body.decode(&mut self.raw).is_ok();
            }
            return Head::Verdict(Verdict::Good(Said::Status(status)));
        }
        if unclear { Head::bad("the length of the body cannot be known") } else { Head::Body }
    }

    fn look_at_body(&mut self, came: usize) -> Option<Verdict> {
        let (body, wanted) = (self.body.as_mut()?, self.wanted.body?);
        body.came += came;
        let before = body.bytes.len();
        if let Err(words) = body.decode(&mut self.raw) {
            return bad(words);
        }
        // What is looked for may have begun in what was there before.
        let from = before.saturating_sub(wanted.len().saturating_sub(1));
        if memmem::find(body.bytes.get(from..).unwrap_or_default(), wanted.as_bytes()).is_some() {
            return Some(Verdict::Good(Said::Status(body.status)));
        }
        if body.framing == Framing::Ended || body.framing == Framing::Length(0) || body.bytes.len() >= BODY {
            return Some(missing(body.status));
        }
        // Chunks of a byte each cost five bytes more.
        if body.came > 8 * BODY { bad("the body is more framing than content") } else { None }
    }
}

enum Head {
    Verdict(Verdict),
    Interim,
    Body,
}

impl Head {
    fn bad(words: &str) -> Self {
        Self::Verdict(Verdict::Bad(words.into()))
    }
}

impl Body {
    fn new(status: u16, framing: Framing) -> Self {
        let owed: &[u8] = if framing == Framing::Size(false) { b"\r\n" } else { b"" };
        Self { status, framing, bytes: Vec::new(), came: 0, behind: Vec::new(), owed }
    }

    /// Moves what of `raw` is content to the bytes of the body, and leaves what is not whole.
    fn decode(&mut self, raw: &mut Vec<u8>) -> Result<(), &'static str> {
        let mut at = 0;
        while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
            match &mut self.framing {
                Framing::Ended => {
                    let room = BEHIND.saturating_sub(self.behind.len());
                    self.behind.extend_from_slice(&rest[..rest.len().min(room)]);
                    at = raw.len();
                }
                Framing::Close => {
                    self.bytes.extend_from_slice(rest);
                    at = raw.len();
                }
                Framing::Length(left) | Framing::Chunk(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    self.bytes.extend_from_slice(&rest[..n]);
                    *left -= n as u64;
                    at += n;
                    if *left > 0 {
                        continue;
                    }
                    self.framing =
                        if matches!(self.framing, Framing::Chunk(_)) { Framing::Size(true) } else { Framing::Ended };
                }
                Framing::Size(after_chunk) => {
                    let skip = if *after_chunk { 2 } else { 0 };
                    if *after_chunk && rest.len() >= 2 && !rest.starts_with(b"\r\n") {
                        return Err("a chunk does not end where it should");
                    }
                    let Some(line) = rest.get(skip..) else { break };
                    let Some(end) = memmem::find(line, b"\r\n") else {
                        if line.len() > limits::CHUNK_LINE_BYTES {
                            return Err("a chunk's first line does not end");
                        }
                        break;
                    };
                    self.framing = match size(&line[..end]).ok_or("a chunk's size is ill-formed")? {
                        0 => Framing::Ended,
                        size => Framing::Chunk(size),
                    };
                    at += skip + end + 2;
                }
            }
            if self.bytes.len() >= BODY {
                self.bytes.truncate(BODY);
                at = raw.len();
            }
        }
        raw.drain(..at.min(raw.len()));
        Ok(())
    }
}

/// The framing of a response's body (RFC 9112 §6.3); none if it is not clear.
fn framing(fields: &[httparse::Header<'_>], none: bool) -> Option<Framing> {
    if none {
        return Some(Framing::Ended);
    }
    let of = |name: &'static str| fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
    let (mut codings, mut lengths) = (of("transfer-encoding"), of("content-length"));
    match (codings.next(), lengths.next()) {
        (Some(coding), None) if codings.next().is_none() => {
            coding.value.trim_ascii().eq_ignore_ascii_case(b"chunked").then_some(Framing::Size(false))
        }
        (None, Some(length)) if lengths.all(|other| other.value == length.value) => {
            let digits = length.value.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(length.value).ok().filter(|_| digits)?;
            match text.parse().ok()? {
                0 => Some(Framing::Ended),
                length => Some(Framing::Length(length)),
            }
        }
        (None, None) => Some(Framing::Close),
        _ => None,
    }
}

/// The size that a chunk's first line gives.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|b| *b == b';').next()?.trim_ascii();
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn missing(status: u16) -> Verdict {
    Verdict::Bad(format!("status {status}, and the body does not contain what it should"))
}

#[expect(clippy::unnecessary_wraps, reason = "the verdict of those who may have none")]
fn bad(words: &str) -> Option<Verdict> {
    Some(Verdict::Bad(words.into()))
}

/// What every response begins with.
const MAGIC: &[u8] = b"HTTP/1.";
/// Bytes of a body that are looked at.
const BODY: usize = 64 * 1024;
/// Bytes behind a body that are remembered: more than there may be.
const BEHIND: usize = 4;
/// Fields of a response head.
const FIELDS: usize = 64;

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
