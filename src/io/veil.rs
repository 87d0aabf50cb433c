//! What may lie between a line and what is said on it: a cipher, and the bytes on either side of it. It refuses to know
//! which cipher that is ([`Cipher`] is all it sees), and who says what.
//!
//! The line's reads and writes lend blocks to the kernel; a cipher works on blocks that are here. Between two reads
//! nothing is kept but the beginning of a record whose end has not come, and content that was found while it was only
//! looked whether there is any ([`Veil::listen`]); between two writes, what was sealed and not taken yet.
//!
//! A write that is dropped in flight leaves a record half written. Nothing is sealed after that, not even the end.

use std::cell::Cell;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::RawFd;

use crate::buf::Block;
use crate::buf::HEADROOM;
use crate::buf::TAILROOM;
use crate::io::line::Broken;
use crate::io::socket;

/// What turns content into the bytes of a wire, and back.
pub trait Cipher {
    /// Takes what has come off the wire: consumes whole records from the front of `wire`, appends their content to
    /// `content`, and what must be said in answer to `answer`.
    ///
    /// # Errors
    /// What is wrong with it. Nothing more can be opened; `answer` may hold what the other side is to be told.
    fn open(&mut self, wire: &mut Block, content: &mut Block, answer: &mut Block) -> Result<Stage, Fault>;

    /// Appends `content` sealed to `out`. `wire` is what has come and could not be opened yet.
    ///
    /// # Errors
    /// Nothing more can be sealed.
    fn seal(&mut self, wire: &mut Block, content: &[u8], out: &mut Block) -> Result<(), Fault>;

    /// Appends what says that no more content follows; nothing where that was said, or cannot be.
    fn end(&mut self, wire: &mut Block, out: &mut Block);

    /// What was settled with the other side. To be asked once, when [`Stage::Ready`] is reached.
    fn facts(&mut self) -> Facts;
}

/// How far a cipher is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is still being settled with the other side.
    Settling,
    /// Content may go both ways.
    Ready,
    /// The other side has said that no more content follows.
    Ended,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In words that hold no secret.
    pub words: String,
    /// Of what sort it is.
    pub sort: Sort,
}

/// Of what sort a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Nobody who counts has said who the other side is.
    Authority,
    /// It is somebody else.
    Name,
    /// What was said of it is too old.
    Expired,
    /// What was said of it is for later.
    NotYet,
    /// Its key is another.
    Pin,
    /// What was said of it is not good for another reason.
    Certificate,
    /// It would not go on.
    Refused,
    /// What it says is nothing that a cipher could open.
    Garbage,
    /// Any other.
    Other,
}

impl Fault {
    /// One of no particular sort.
    #[must_use]
    pub fn of(words: &str) -> Self {
        Self { words: words.to_owned(), sort: Sort::Other }
    }
}

/// What was settled with the other side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The version, as it is logged: `TLSv1.3`.
    pub version: &'static str,
    /// The name that the other side asked for, in lower case.
    pub name: Option<Box<str>>,
    /// The other side's certificate, verified, as DER.
    pub peer: Option<Box<[u8]>>,
    /// Whether what was settled before was taken up again.
    pub resumed: bool,
}

/// What the other side has done, as far as it can be seen without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing, or nothing that is content.
    None,
    /// Nothing that is content so far, and there is more: enough was looked at for once.
    More,
    /// Content came; it is kept.
    Content,
    /// It has ended its direction, or the connection broke.
    End,
}

/// A cipher over one socket.
pub(super) struct Veil {
    fd: RawFd,
    cipher: RefCell<Box<dyn Cipher>>,
    /// What came off the wire and could not be opened yet.
    wire: RefCell<Block>,
    /// Content that was found when it was looked for news.
    held: RefCell<Block>,
    /// What is to be said before anything else.
    answer: RefCell<Block>,
    /// What was sealed and not taken by the kernel yet.
    out: RefCell<Block>,
    /// Of how much content that is the seal, how many bytes that made, and how much of the content was told of as gone.
    sealed: Cell<(usize, usize, usize)>,
    /// Whether a write is in flight.
    writing: Cell<bool>,
    stage: Cell<Stage>,
    /// Whether nothing can be said any more, or must not be.
    mute: Cell<bool>,
    /// What went wrong.
    fault: RefCell<Option<Fault>>,
}

/// Content sealed at once: four records.
const PIECE: usize = 64 * 1024;
/// Room beside content for what a cipher adds to it.
const ADDED: usize = 128;
/// The most that is read off the wire at once, what waited before it included: blocks of that room are in stock.
const WIRE_ROOM: usize = 66 * 1024 - HEADROOM - TAILROOM;
/// The most that may wait to be opened once a cipher is settled: what is longer is no record, nor any message that is said
/// between records.
const MOST_WAITING: usize = WIRE_ROOM;
/// Reads off the wire in one look for news: a look is not waited for by whoever else is on this core.
const READS: usize = 4;
/// Room for a short record, as those of most requests are.
const SHORT: usize = 2000;
/// The least room for what comes next.
const LEAST: usize = 256;
/// Bytes of a record's header.
const HEADER: usize = 5;

impl Veil {
    /// Lays a cipher over a socket; `wire` has come of what it is to open. The socket must stay open as long.
    pub(super) fn over(fd: RawFd, cipher: Box<dyn Cipher>, wire: Block) -> Self {
        Self {
            fd,
            cipher: RefCell::new(cipher),
            wire: RefCell::new(wire),
            held: RefCell::default(),
            answer: RefCell::default(),
            out: RefCell::default(),
            sealed: Cell::default(),
            writing: Cell::new(false),
            stage: Cell::new(Stage::Settling),
            mute: Cell::new(false),
            fault: RefCell::default(),
        }
    }

    /// How far it is.
    pub(super) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Whether nothing more can be opened.
    pub(super) fn is_over(&self) -> bool {
        self.stage.get() == Stage::Ended || self.fault.borrow().is_some()
    }

    /// Why not.
    pub(super) fn over_by(&self) -> Broken {
        if self.fault.borrow().is_some() { Broken::Reset } else { Broken::Closed }
    }

    /// Bytes that came off the wire and could not be opened yet.
    pub(super) fn waiting(&self) -> usize {
        self.wire.borrow().len()
    }

    /// What went wrong, in words.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.borrow().clone()
    }

    pub(super) fn facts(&self) -> Facts {
        self.cipher.borrow_mut().facts()
    }

    /// Opens what is there; content goes behind that of `content`.
    pub(super) fn open(&self, content: &mut Block) -> Result<Stage, Broken> {
        let (mut wire, mut answer) = (self.wire.borrow_mut(), self.answer.borrow_mut());
        let opened = self.cipher.borrow_mut().open(&mut wire, content, &mut answer);
        // What idles keeps no block that is empty.
        if wire.is_empty() {
            *wire = Block::none();
        }
        let endless = wire.len() > MOST_WAITING;
        drop((wire, answer));
        match opened {
            Ok(Stage::Ready) if endless => {
                *self.fault.borrow_mut() = Some(Fault::of("a message that does not end"));
                self.mute.set(true);
                Err(Broken::Reset)
            }
            Ok(stage) => {
                self.stage.set(stage);
                Ok(stage)
            }
            Err(fault) => {
                *self.fault.borrow_mut() = Some(fault);
                // The other side is told, if that costs no wait.
                self.say(&mut Block::none());
                self.mute.set(true);
                Err(Broken::Reset)
            }
        }
    }

    /// A block to read what comes next off the wire into, where a block with `room` to spare is to take the content: what
    /// could not be opened yet stands at its front, and stays here too. It is no larger than that block without need: what is
    /// sealed is a little longer than its content, and the rest of a record can be read when the record has begun.
    pub(super) fn to_read(&self, room: usize) -> Block {
        let wire = self.wire.borrow();
        let waiting = wire.len();
        // The rest of a record whose header is here, or as much as there is room for.
        let rest = match wire.bytes() {
            [_, _, _, high, low, ..] => (usize::from(*high) << 8 | usize::from(*low)) + HEADER,
            _ => 0,
        };
        let room = room.saturating_sub(TAILROOM).clamp(SHORT, WIRE_ROOM).max(rest).max(waiting + LEAST);
        let mut block = Block::with_room(room);
        block.tail().extend_from_slice(wire.bytes());
        block
    }

    /// Takes that block back, with more in it.
    pub(super) fn read(&self, block: Block) {
        *self.wire.borrow_mut() = block;
    }

    /// Moves content that is kept here behind that of `block`; how much there was.
    pub(super) fn take_held(&self, block: &mut Block) -> usize {
        let held = self.held.take();
        if !held.is_empty() {
            block.reserve(held.len());
            block.tail().extend_from_slice(held.bytes());
        }
        held.len()
    }

    /// Keeps content until it is read.
    pub(super) fn hold(&self, content: Block) {
        *self.held.borrow_mut() = content;
    }

    /// Whether there is content that was found and not read.
    pub(super) fn holds_content(&self) -> bool {
        !self.held.borrow().is_empty()
    }

    /// What is known already of what has come.
    fn known(&self) -> Option<News> {
        let over = || self.is_over().then_some(News::End);
        self.holds_content().then_some(News::Content).or_else(over)
    }

    /// Looks what has come, without waiting, and not for long.
    pub(super) fn listen(&self) -> News {
        for _ in 0..READS {
            if let Some(news) = self.known() {
                return news;
            }
            let mut block = self.to_read(SHORT);
            match socket::receive_now(self.fd, &mut block) {
                Ok(0) => return News::End,
                Ok(_) => self.read(block),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return News::None,
                Err(_) => return News::End,
            }
            let mut held = self.held.take();
            let opened = self.open(&mut held);
            if !held.is_empty() {
                self.hold(held);
            }
            if opened.is_err() {
                return News::End;
            }
        }
        self.known().unwrap_or(News::More)
    }

    /// What is to be written next of `content`, sealed. Nothing is lent while another write is in flight.
    pub(super) fn to_write(&self, content: &[u8]) -> Result<Block, Broken> {
        if self.mute.get() || self.writing.get() {
            return Err(Broken::Reset);
        }
        let mut out = self.out.take();
        if out.is_empty() && content.is_empty() {
            out = self.answer.take();
            self.sealed.set((0, out.len(), 0));
        } else if out.is_empty() {
            let piece = content.get(..content.len().min(PIECE)).unwrap_or(content);
            out = self.answer.take();
            out.reserve(piece.len() + ADDED);
            let sealed = self.cipher.borrow_mut().seal(&mut self.wire.borrow_mut(), piece, &mut out);
            if let Err(fault) = sealed {
                *self.fault.borrow_mut() = Some(fault);
                self.mute.set(true);
                return Err(Broken::Reset);
            }
            self.sealed.set((piece.len(), out.len(), 0));
        }
        self.writing.set(true);
        Ok(out)
    }

    /// Takes that block back, of which the kernel has taken `n` bytes, and says how much content that is.
    pub(super) fn wrote(&self, mut out: Block, n: usize) -> usize {
        self.writing.set(false);
        out.consume(n);
        let (content, bytes, told) = self.sealed.get();
        let gone = if out.is_empty() { content } else { content * (bytes - out.len().min(bytes)) / bytes.max(1) };
        self.sealed.set((content, bytes, gone));
        if !out.is_empty() {
            *self.out.borrow_mut() = out;
        }
        gone - told.min(gone)
    }

    /// Whether there is something to be said that is no content.
    pub(super) fn has_answer(&self) -> bool {
        !self.answer.borrow().is_empty()
    }

    /// Whether what was sealed has not all gone yet.
    pub(super) fn has_more(&self) -> bool {
        !self.out.borrow().is_empty()
    }

    /// Says nothing more, not even the end: what was said is not to be taken for the whole.
    pub(super) fn silence(&self) {
        self.mute.set(true);
    }

    /// Says that no more content follows, if that can be said and costs no wait. A system call.
    pub(super) fn say_end(&self) {
        if self.mute.get() || self.stage.get() == Stage::Settling {
            return;
        }
        let mut last = Block::none();
        // Somebody may be in the midst of it: this is called when things are dropped.
        if let (Ok(mut cipher), Ok(mut wire)) = (self.cipher.try_borrow_mut(), self.wire.try_borrow_mut()) {
            cipher.end(&mut wire, &mut last);
        }
        self.say(&mut last);
        self.mute.set(true);
    }

    /// Says what is to be said in answer, and `last`, if no record is half written.
    fn say(&self, last: &mut Block) {
        let mut answer = self.answer.take();
        if self.mute.get() || self.writing.get() || !self.out.borrow().is_empty() {
            return;
        }
        answer.reserve(last.len());
        answer.tail().extend_from_slice(last.bytes());
        if !answer.is_empty() {
            // Whoever takes nothing is told nothing.
            let _ = socket::send_now(self.fd, answer.bytes());
        }
    }

    /// Gives up room that is not needed.
    pub(super) fn shed(&self) {
        let mut wire = self.wire.borrow_mut();
        if !wire.is_empty() {
            let mut least = Block::exactly(wire.len());
            least.tail().extend_from_slice(wire.bytes());
            *wire = least;
        }
    }
}

impl Drop for Veil {
    fn drop(&mut self) {
        self.say_end();
    }
}

impl fmt::Debug for Veil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Veil").field("stage", &self.stage).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "veil_tests.rs"]
mod tests;
