//! Bodies: where they come from ([`Source`]) and how they go on ([`Sink`]), whatever their framing. The one place where
//! framings meet, and the only one that can say that a message was read to its true end ([`Clean`]).

use std::ops::Range;
use std::time::Duration;

use crate::buf::Block;
use crate::http::ChunkFault;
use crate::http::framing::Framing;
use crate::http::h1::chunked;
use crate::http::h1::chunked::Chunked;
use crate::io::line::Broken;
use crate::io::line::Line;
use crate::io::socket::Cut;

/// Proof that a message was read to its end, not a byte more or less, so that its connection may carry another.
#[derive(Debug)]
pub struct Clean(());

/// Where a body comes from.
#[derive(Debug)]
pub struct Source {
    state: State,
    /// Bytes of content so far.
    taken: u64,
}

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    /// All was read; `clean` if the message itself said where its end is.
    Done {
        clean: bool,
        trailers: Option<Chunked>,
    },
}

/// What [`Source::buffered`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where the content stands.
    pub data: Range<usize>,
    /// How many bytes of the buffer belong to this message.
    pub consumed: usize,
}

/// Why a body did not come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cutoff {
    /// The connection broke, or paused for too long.
    Broken(Broken),
    /// The chunks break a rule or a bound.
    Faulty(ChunkFault),
}

/// How a body goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// As it is: the head has told its length, or the end of the connection will.
    Plain,
    /// In chunks.
    Chunked,
    /// Not at all: the answer to HEAD, or a status without content.
    Nothing,
}

/// Room for a piece of a body that is short or comes slowly.
const PIECE: usize = 16 * 1024;
/// Room for a piece of a long body.
const LONG_PIECE: usize = 128 * 1024;

impl Source {
    /// The body of a message of this framing.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done { clean: true, trailers: None },
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunked::default()),
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, taken: 0 }
    }

    /// Whether all was read.
    #[inline]
    #[must_use]
    pub fn ended(&self) -> bool {
        matches!(self.state, State::Done { .. })
    }

    /// The proof, if all was read and the message said itself where it ends.
    #[must_use]
    pub fn clean(&self) -> Option<Clean> {
        matches!(self.state, State::Done { clean: true, .. }).then_some(Clean(()))
    }

    /// Bytes of content so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The trailer fields as they go on the wire, once all was read.
    #[must_use]
    pub fn trailers(&self) -> &[u8] {
        match &self.state {
            State::Done { trailers: Some(chunked), .. } => chunked.trailers(),
            _ => &[],
        }
    }

    /// Takes what has come with the head: `bytes` are those behind it.
    ///
    /// # Errors
    /// When the chunks break a rule.
    pub fn buffered(&mut self, bytes: &mut [u8]) -> Result<Taken, ChunkFault> {
        let taken = match &mut self.state {
            State::Done { .. } => Taken { data: 0..0, consumed: 0 },
            State::UntilClose => Taken { data: 0..bytes.len(), consumed: bytes.len() },
            State::Length(left) => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= n as u64;
                if *left == 0 {
                    self.state = State::Done { clean: true, trailers: None };
                }
                Taken { data: 0..n, consumed: n }
            }
            State::Chunked(chunked) => {
                let decoded = chunked.decode(bytes)?;
                if decoded.end {
                    let trailers = Some(std::mem::take(chunked));
                    self.state = State::Done { clean: true, trailers };
                }
                Taken { data: decoded.data, consumed: decoded.consumed }
            }
        };
        self.taken += taken.data.len() as u64;
        Ok(taken)
    }

    /// Reads the next piece into an emptied `block`. Bytes past the end of the message go to `rest`. At the end of an
    /// until-close body the piece is empty.
    ///
    /// # Errors
    /// [`Cutoff`]: nothing more will come.
    pub async fn fill(
        &mut self,
        line: &Line,
        block: &mut Block,
        rest: &mut Block,
        patience: Duration,
    ) -> Result<(), Cutoff> {
        loop {
            block.clear();
            let max = self.room(block);
            line.reading().arm(patience, Cut::Read);
            let result = line.read(block, max).await;
            line.reading().disarm();
            match result {
                Err(Broken::Closed) if matches!(self.state, State::UntilClose) => {
                    self.state = State::Done { clean: false, trailers: None };
                    return Ok(());
                }
                Err(broken) => return Err(Cutoff::Broken(broken)),
                Ok(_) => {}
            }
            let taken = self.buffered(block.bytes_mut()).map_err(Cutoff::Faulty)?;
            if let Some(behind) = block.bytes().get(taken.consumed..).filter(|behind| !behind.is_empty()) {
                rest.reserve(behind.len());
                rest.tail().extend_from_slice(behind);
            }
            block.truncate(taken.data.end);
            block.consume(taken.data.start);
            // A read that held only framing is no piece yet.
            if !block.is_empty() || self.ended() {
                return Ok(());
            }
        }
    }

    fn room(&self, block: &mut Block) -> usize {
        let (room, max) = match self.state {
            State::Length(left) => {
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                (if left > PIECE { LONG_PIECE } else { PIECE }, left.min(LONG_PIECE))
            }
            // A second piece already shows that it is not short.
            _ if self.taken > PIECE as u64 => (LONG_PIECE, LONG_PIECE),
            _ => (PIECE, PIECE),
        };
        if block.spare() < room {
            *block = Block::with_room(room);
        }
        max
    }
}

impl Sink {
    /// The way on for a framing.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Nothing,
            Framing::Length(_) | Framing::UntilClose => Self::Plain,
            Framing::Chunked => Self::Chunked,
        }
    }

    /// Appends a piece behind a head; `end` with the trailers when it is the last.
    pub fn append(self, out: &mut Vec<u8>, data: &[u8], end: Option<&[u8]>) {
        match self {
            Self::Nothing => {}
            Self::Plain => out.extend_from_slice(data),
            Self::Chunked => {
                if !data.is_empty() {
                    out.extend_from_slice(chunked::size_line(data.len(), &mut [0; 18]));
                    out.extend_from_slice(data);
                    out.extend_from_slice(b"\r\n");
                }
                last_chunk(out, end);
            }
        }
    }

    /// Frames a piece where it stands.
    pub fn frame(self, block: &mut Block, end: Option<&[u8]>) {
        match self {
            Self::Nothing => block.clear(),
            Self::Plain => {}
            Self::Chunked => {
                if !block.is_empty() {
                    let mut line = [0; 18];
                    let line = chunked::size_line(block.len(), &mut line);
                    if !block.prepend(line) {
                        // No room in front: only for a block that was not filled by `Source::fill`.
                        let mut framed = Block::with_room(line.len() + block.len() + 2);
                        framed.tail().extend_from_slice(line);
                        framed.tail().extend_from_slice(block.bytes());
                        *block = framed;
                    }
                    block.tail().extend_from_slice(b"\r\n");
                }
                last_chunk(block.tail(), end);
            }
        }
    }
}

fn last_chunk(out: &mut Vec<u8>, end: Option<&[u8]>) {
    if let Some(trailers) = end {
        out.extend_from_slice(b"0\r\n");
        out.extend_from_slice(trailers);
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests;
