//! Chunked bodies (RFC 9112 §7.1), decoded in place: the data of what was read is brought together, the framing between
//! is dropped. Any division of the input into pieces gives the same data.
//!
//! Nothing lenient: sizes are hexadecimal digits alone, lines end in CRLF, and every part has its bound.

use std::ops::Range;

use crate::http::ChunkFault;
use crate::http::forward;
use crate::limits;

/// How much framing one body may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Bytes of one chunk-size line, extensions included, CRLF not.
    pub line_bytes: usize,
    /// Bytes of extensions, all chunks together.
    pub extension_bytes: usize,
    /// Bytes of the trailer section, the empty line at its end not.
    pub trailer_bytes: usize,
    /// Fields of it, [`RESPONSE_FIELDS`](limits::RESPONSE_FIELDS) at the most.
    pub trailer_fields: usize,
}

/// A decoder between two pieces of one body.
#[derive(Debug, Default)]
pub struct Chunked {
    limits: ChunkLimits,
    state: State,
    /// Bytes left of the chunk, or its size so far.
    left: u64,
    /// Bytes of the line so far.
    line: usize,
    /// Bytes of extensions so far, all chunks together.
    extensions: usize,
    /// Trailer lines as they came; after the end those that are kept, as they go on.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// A size must begin.
    #[default]
    Start,
    Size,
    Extension {
        quoted: bool,
        escaped: bool,
    },
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer line, or of the empty line that ends all.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// What a piece held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Where its data stands now.
    pub data: Range<usize>,
    /// How many of its bytes belong to the body.
    pub consumed: usize,
    /// Whether the body has ended.
    pub end: bool,
}

/// Chunk sizes are below this, so that sums of them never overflow.
const SIZE_MAX: u64 = 1 << 60;

impl Default for ChunkLimits {
    /// Those of a request unless its listener says otherwise.
    fn default() -> Self {
        Self {
            line_bytes: limits::CHUNK_LINE_BYTES,
            extension_bytes: limits::CHUNK_EXTENSION_BYTES,
            trailer_bytes: limits::REQUEST_HEAD_BYTES,
            trailer_fields: limits::REQUEST_FIELDS,
        }
    }
}

impl Chunked {
    /// At the beginning of a body.
    #[must_use]
    pub fn new(limits: ChunkLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Decodes a piece. The data of the first chunk stays where it stands, that of the others is moved up to it; bytes
    /// past the end of the body are not touched.
    ///
    /// # Errors
    /// [`ChunkFault`]: the body cannot be read on.
    pub fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, ChunkFault> {
        let mut at = 0;
        let mut data = 0..0;
        while self.state != State::End {
            if self.state == State::Data {
                let Some(rest) = bytes.len().checked_sub(at).filter(|rest| *rest > 0) else { break };
                let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest);
                if data.is_empty() {
                    data = at..at;
                }
                if data.end != at {
                    bytes.copy_within(at..at + n, data.end);
                }
                data.end += n;
                at += n;
                self.left -= n as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let Some(byte) = bytes.get(at) else { break };
            self.step(*byte)?;
            at += 1;
        }
        Ok(Decoded { data, consumed: at, end: self.state == State::End })
    }

    /// The trailer fields that are kept, as they go on the wire; empty before the end.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        if self.state == State::End { &self.trailers } else { &[] }
    }

    fn step(&mut self, byte: u8) -> Result<(), ChunkFault> {
        self.state = match (self.state, byte) {
            (State::Start, _) => {
                self.left = digit(byte).ok_or(ChunkFault::BadSize)?;
                self.line = 1;
                State::Size
            }
            (State::Size, b'\r') => State::SizeLf,
            (State::Size, b';') => {
                self.extension()?;
                State::Extension { quoted: false, escaped: false }
            }
            (State::Size, _) => {
                let digit = digit(byte).ok_or(ChunkFault::BadSize)?;
                self.left = self.left * 16 + digit;
                self.lengthen()?;
                if self.left >= SIZE_MAX {
                    return Err(ChunkFault::BadSize);
                }
                State::Size
            }
            (State::Extension { quoted: false, .. }, b'\r') => State::SizeLf,
            (State::Extension { quoted, escaped }, _) => {
                self.extension()?;
                extend(quoted, escaped, byte)?
            }
            (State::SizeLf, b'\n') if self.left == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Start,
            (State::SizeLf, _) => return Err(ChunkFault::BadSize),
            (State::DataCr | State::DataLf, _) => return Err(ChunkFault::BadEnd),
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::Trailer, _) => self.trailer(byte)?,
            (State::TrailerLf, b'\n') => {
                self.trailers.push(byte);
                State::TrailerStart
            }
            (State::EndLf, b'\n') => {
                self.trailers = forward::kept_trailers(&self.trailers, self.limits.trailer_fields)?;
                State::End
            }
            (State::TrailerLf | State::EndLf, _) => return Err(ChunkFault::BadTrailer),
            // Not stepped through.
            (State::Data | State::End, _) => self.state,
        };
        Ok(())
    }

    fn lengthen(&mut self) -> Result<(), ChunkFault> {
        self.line += 1;
        if self.line > self.limits.line_bytes { Err(ChunkFault::LineTooLong) } else { Ok(()) }
    }

    fn extension(&mut self) -> Result<(), ChunkFault> {
        self.lengthen()?;
        self.extensions += 1;
        if self.extensions > self.limits.extension_bytes { Err(ChunkFault::BadExtension) } else { Ok(()) }
    }

    fn trailer(&mut self, byte: u8) -> Result<State, ChunkFault> {
        if self.trailers.len() >= self.limits.trailer_bytes {
            return Err(ChunkFault::BadTrailer);
        }
        self.trailers.push(byte);
        match byte {
            b'\r' => Ok(State::TrailerLf),
            b'\n' => Err(ChunkFault::BadTrailer),
            _ => Ok(State::Trailer),
        }
    }
}

/// Visible bytes and blanks, quotes in pairs: a line that ends within quotes is where readers part ways.
fn extend(quoted: bool, escaped: bool, byte: u8) -> Result<State, ChunkFault> {
    match byte {
        b'\t' | b' '..=b'~' | 0x80.. => {}
        _ => return Err(ChunkFault::BadExtension),
    }
    let (quoted, escaped) = match byte {
        _ if escaped => (quoted, false),
        b'\\' if quoted => (true, true),
        b'"' => (!quoted, false),
        _ => (quoted, false),
    };
    Ok(State::Extension { quoted, escaped })
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

/// The line that begins a chunk of `len` bytes.
#[must_use]
pub fn size_line(len: usize, line: &mut [u8; 18]) -> &[u8] {
    let digits = (usize::BITS as usize - len.leading_zeros() as usize).div_ceil(4).max(1);
    for (place, byte) in line.iter_mut().take(digits).enumerate() {
        let nibble = (len >> (4 * (digits - 1 - place))) & 0xf;
        *byte = b"0123456789abcdef".get(nibble).copied().unwrap_or(b'0');
    }
    for (byte, end) in line.iter_mut().skip(digits).zip(b"\r\n") {
        *byte = *end;
    }
    line.get(..digits + 2).unwrap_or(&[])
}

#[cfg(test)]
mod tests;
