//! As much of HTTP/2 (RFC 9113) as it takes to ask one thing at a time and to hear the answer: bytes in, bytes out. A library
//! for all of it costs more than half of a check (`docs/performance.md`): it keeps more of each connection than fits a cache
//! that has ten thousand to hold. It refuses to know what is asked, what an answer means, and what carries the bytes.
//!
//! What an endpoint wants to know between two questions (a ping, say) is answered with the next one.

use std::fmt;

use crate::health::fields;
use crate::health::fields::Faulty;

/// One connection's talk.
#[derive(Debug)]
pub struct Talk {
    /// To be said.
    out: Vec<u8>,
    /// The beginning of a frame that has not come whole.
    part: Vec<u8>,
    /// The stream of the last question; 0: there was none.
    stream: u32,
    stage: Stage,
    /// Fields that have not come whole.
    block: Option<Block>,
    reply: Reply,
    /// Bytes of questions that the other side still takes on this connection, and of each.
    room: u32,
    room_each: u32,
    /// Bytes of answers that it has not been given back.
    taken: u32,
    /// Whether it has said how it wants to be talked to, as it must before all else.
    greeted: bool,
    /// Whether no other question can be asked.
    ends: bool,
}

/// Fields of a stream that have not come whole.
#[derive(Debug)]
struct Block {
    stream: u32,
    fields: Vec<u8>,
    /// Whether they end the answer.
    last: bool,
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    Body,
    Whole,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Of its head.
    pub status: u16,
    /// `grpc-status` and `grpc-message`, of the trailers or of the head.
    pub code: Option<(String, String)>,
    /// At most 4 KiB.
    pub body: Vec<u8>,
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `https` or `http`.
    pub secure: bool,
    /// To whom.
    pub authority: &'a str,
    /// Which method of which service.
    pub path: &'a str,
    /// A message with its prefix of five bytes, 16 KiB at the most.
    pub message: &'a [u8],
}

/// Why a talk has come to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not HTTP/2 as it should be.
    Words(&'static str),
    /// The question was given up, by this code.
    Reset(u32),
    /// The whole connection was, before the question was looked at, by this code.
    Leave(u32),
}

const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH: u8 = 5;
const PING: u8 = 6;
const LEAVE: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
/// Flags: the last frame of a stream (of settings and pings: an acknowledgement), the last of a block of fields, filled up,
/// with a priority before it.
const LAST: u8 = 1;
const WHOLE: u8 = 4;
const PADDED: u8 = 8;
const RANKED: u8 = 0x20;
/// Bytes of a frame's head, and of what may be in it.
const FRAME_HEAD: usize = 9;
const FRAME: usize = 16 * 1024;
/// Bytes of fields.
const FIELDS: usize = 16 * 1024;
/// Bytes of an answer.
const BODY: usize = 4 * 1024;
/// Letters of an endpoint's own words.
const WORDS: usize = 200;
/// Bytes that may be under way, of a stream and of a connection, unless somebody says otherwise.
const ROOM: u32 = 65_535;
const ROOM_MOST: u32 = (1 << 31) - 1;
/// What is taken is given back when it has come to this.
const GIVE_BACK: u32 = 16 * 1024;
const STREAM_MOST: u32 = (1 << 31) - 1;

/// One frame.
#[derive(Clone, Copy, Debug)]
struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    load: &'a [u8],
}

impl Talk {
    /// One that begins with `opening`, for whoever stands before the endpoint.
    #[must_use]
    pub fn new(opening: Vec<u8>) -> Self {
        let mut out = opening;
        out.extend_from_slice(HELLO);
        // No table of fields, no pushes, fields of 16 KiB at the most.
        frame(&mut out, (SETTINGS, 0, 0), &[0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 6, 0, 0, 0x40, 0]);
        Self {
            out,
            part: Vec::new(),
            stream: 0,
            stage: Stage::Whole,
            block: None,
            reply: Reply::default(),
            room: ROOM,
            room_each: ROOM,
            taken: 0,
            greeted: false,
            ends: false,
        }
    }

    /// Asks. False: it cannot be asked, for want of room or since it would be ill-formed.
    pub fn ask(&mut self, question: &Question<'_>) -> bool {
        let Question { secure, authority, path, message } = *question;
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let fits = length <= self.room.min(self.room_each) && message.len() <= FRAME && authority.len() < FRAME / 4;
        if !fits || !is_visible(authority) || !is_visible(path) || self.stage != Stage::Whole || !self.is_open() {
            return false;
        }
        self.stream = if self.stream == 0 { 1 } else { self.stream + 2 };
        (self.stage, self.reply) = (Stage::Head, Reply::default());
        self.room -= length;
        // By their places in the fixed table: POST, the scheme, the path, the authority.
        let mut block = vec![fields::NO_TABLE, 0x83, if secure { 0x87 } else { 0x86 }];
        fields::put_known(&mut block, 4, path.as_bytes());
        fields::put_known(&mut block, 1, authority.as_bytes());
        fields::put_known(&mut block, 31, b"application/grpc");
        fields::put_known(&mut block, 58, b"ringway-health");
        fields::put(&mut block, b"te", b"trailers");
        frame(&mut self.out, (HEADERS, WHOLE, self.stream), &block);
        frame(&mut self.out, (DATA, LAST, self.stream), message);
        true
    }

    /// What is to be said.
    #[must_use]
    pub fn say(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Hears what was said. True: the answer is whole.
    ///
    /// # Errors
    ///
    /// There will be no answer; nothing can be asked any more.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let mut part = std::mem::take(&mut self.part);
        let mut rest = bytes;
        if !part.is_empty() {
            part.extend_from_slice(bytes);
            rest = &part;
        }
        while let Some((frame, after)) = next(rest)? {
            rest = after;
            self.take(frame).inspect_err(|_| self.ends = true)?;
        }
        self.part = rest.to_vec();
        Ok(self.stage == Stage::Whole)
    }

    /// The answer, once it is whole.
    #[must_use]
    pub fn reply(&mut self) -> Reply {
        std::mem::take(&mut self.reply)
    }

    /// Whether something else can be asked.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.ends && self.stream < STREAM_MOST
    }

    /// Nothing else is to be asked.
    pub fn end(&mut self) {
        self.ends = true;
    }

    fn take(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        if !self.greeted && frame.kind != SETTINGS {
            return Err(Fault::Words("it does not begin with its settings"));
        }
        let goes_on = |block: &Block| frame.kind == CONTINUATION && frame.stream == block.stream;
        if !self.block.as_ref().is_none_or(goes_on) {
            return Err(Fault::Words("fields do not end"));
        }
        match frame.kind {
            DATA => self.content(frame),
            HEADERS => self.begin(frame),
            CONTINUATION => self.go_on(frame),
            RESET => match code(frame.load, 0, 4) {
                None => Err(Fault::Words("a reset of another length")),
                Some(code) if frame.stream == self.stream && self.stage != Stage::Whole => Err(Fault::Reset(code)),
                Some(_) => Ok(()),
            },
            SETTINGS => self.settle(frame),
            PUSH => Err(Fault::Words("it pushes, which it was told not to")),
            PING if frame.load.len() != 8 || frame.stream != 0 => Err(Fault::Words("a ping of another length")),
            PING => {
                if frame.flags & LAST == 0 {
                    self::frame(&mut self.out, (PING, LAST, 0), frame.load);
                }
                Ok(())
            }
            LEAVE => self.leave(frame),
            WINDOW => self.widen(frame),
            // What nobody knows is no reason to stop (RFC 9113 §5.5); nor is a priority.
            _ => Ok(()),
        }
    }

    /// Whether a frame belongs to the answer that is on its way; if not, it may come late and says nothing.
    fn is_its(&self, frame: Frame<'_>) -> Result<bool, Fault> {
        match frame.stream {
            stream if stream == self.stream && stream > 0 => Ok(self.stage != Stage::Whole),
            stream if stream % 2 == 1 && stream < self.stream => Ok(false),
            _ => Err(Fault::Words("an answer that nobody has asked for")),
        }
    }

    fn content(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        // What fills it up counts as well.
        self.taken += u32::try_from(frame.load.len()).unwrap_or(u32::MAX);
        if self.taken >= GIVE_BACK {
            let taken = std::mem::take(&mut self.taken).to_be_bytes();
            self::frame(&mut self.out, (WINDOW, 0, 0), &taken);
        }
        if !self.is_its(frame)? {
            return Ok(());
        }
        if self.stage != Stage::Body {
            return Err(Fault::Words("content without a head"));
        }
        let content = unfilled(frame)?;
        if self.reply.body.len() + content.len() > BODY {
            return Err(Fault::Words("more content than any answer has"));
        }
        self.reply.body.extend_from_slice(content);
        if frame.flags & LAST != 0 {
            self.stage = Stage::Whole;
        }
        Ok(())
    }

    fn begin(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        let mut load = unfilled(frame)?;
        if frame.flags & RANKED != 0 {
            load = load.get(5..).ok_or(Fault::Words("a head without its priority"))?;
        }
        // Those that come late have no table to change.
        self.is_its(frame)?;
        self.block = Some(Block { stream: frame.stream, fields: load.to_vec(), last: frame.flags & LAST != 0 });
        self.end_block(frame)
    }

    fn go_on(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        let Some(Block { fields, .. }) = &mut self.block else {
            return Err(Fault::Words("fields that go on, and have not begun"));
        };
        if fields.len() + frame.load.len() > FIELDS {
            return Err(Fault::Words("too many fields"));
        }
        fields.extend_from_slice(frame.load);
        self.end_block(frame)
    }

    fn end_block(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        let whole = self.block.take_if(|_| frame.flags & WHOLE != 0);
        let Some(Block { fields, last, .. }) = whole else { return Ok(()) };
        if !self.is_its(frame)? {
            return Ok(());
        }
        let (mut status, mut code, mut message) = (None, None, None);
        fields::each(&fields, |name, value| match name {
            b":status" => status = value.plain(),
            b"grpc-status" => code = value.plain(),
            b"grpc-message" => message = value.plain(),
            _ => {}
        })?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).chars().take(WORDS).collect::<String>();
        if self.stage == Stage::Head {
            self.reply.status = status.and_then(number).ok_or(Fault::Words("a head without a status"))?;
            match (self.reply.status, last) {
                // Another head follows.
                (100..=199, false) => return Ok(()),
                (100..=199, true) => return Err(Fault::Words("it ends before its answer")),
                (200..=999, _) => self.stage = Stage::Body,
                _ => return Err(Fault::Words("a head without a status")),
            }
        } else if !last {
            return Err(Fault::Words("two heads"));
        }
        if let Some(code) = code {
            self.reply.code = Some((text(code), message.map(text).unwrap_or_default()));
        }
        if last {
            self.stage = Stage::Whole;
        }
        Ok(())
    }

    fn settle(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        if frame.stream != 0 || !frame.load.len().is_multiple_of(6) {
            return Err(Fault::Words("ill-formed settings"));
        }
        if frame.flags & LAST != 0 {
            return Ok(());
        }
        self.greeted = true;
        for setting in frame.load.chunks_exact(6) {
            match (code(setting, 0, 2), code(setting, 2, 4).unwrap_or(0)) {
                // No streams: nothing can be asked.
                (Some(3), 0) => self.ends = true,
                (Some(4), room) if room > ROOM_MOST => return Err(Fault::Words("ill-formed settings")),
                (Some(4), room) => self.room_each = room,
                _ => {}
            }
        }
        self::frame(&mut self.out, (SETTINGS, LAST, 0), &[]);
        Ok(())
    }

    fn leave(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        let (Some(last), Some(code)) = (code(frame.load, 0, 4), code(frame.load, 4, 4)) else {
            return Err(Fault::Words("an ill-formed farewell"));
        };
        self.ends = true;
        let asked = self.stage != Stage::Whole;
        if asked && last & STREAM_MOST < self.stream { Err(Fault::Leave(code)) } else { Ok(()) }
    }

    fn widen(&mut self, frame: Frame<'_>) -> Result<(), Fault> {
        match code(frame.load, 0, 4).map(|room| room & ROOM_MOST) {
            Some(1..) if frame.stream > 0 => Ok(()),
            Some(room @ 1..) if self.room + room <= ROOM_MOST => {
                self.room += room;
                Ok(())
            }
            _ => Err(Fault::Words("ill-formed leave to send")),
        }
    }
}

/// Writes a frame.
fn frame(out: &mut Vec<u8>, (kind, flags, stream): (u8, u8, u32), load: &[u8]) {
    let length = u32::try_from(load.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(load);
}

/// The first frame of bytes, and what is behind it; nothing: it has not come whole.
fn next(bytes: &[u8]) -> Result<Option<(Frame<'_>, &[u8])>, Fault> {
    let Some((head, rest)) = bytes.split_at_checked(FRAME_HEAD) else { return Ok(None) };
    let length = code(head, 0, 3).unwrap_or(0) as usize;
    if length > FRAME {
        return Err(Fault::Words("a frame that is too long"));
    }
    let Some((load, rest)) = rest.split_at_checked(length) else { return Ok(None) };
    let stream = code(head, 5, 4).unwrap_or(0) & STREAM_MOST;
    Ok(Some((Frame { kind: head[3], flags: head[4], stream, load }, rest)))
}

/// A number of so many bytes, four at the most.
fn code(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + length)?;
    Some(bytes.iter().fold(0, |code, byte| code << 8 | u32::from(*byte)))
}

/// Whether it may stand in a request: something, and all of it visible ASCII.
pub(super) fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The number that three digits are.
fn number(status: Vec<u8>) -> Option<u16> {
    let digits: [u8; 3] = status.try_into().ok()?;
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    digits.into_iter().try_fold(0, |sum, byte| Some(sum * 10 + digit(byte)?))
}

/// What is in a frame without what fills it up.
fn unfilled(frame: Frame<'_>) -> Result<&[u8], Fault> {
    if frame.flags & PADDED == 0 {
        return Ok(frame.load);
    }
    let unfilled =
        frame.load.split_first().and_then(|(filled, rest)| rest.get(..rest.len().checked_sub(usize::from(*filled))?));
    unfilled.ok_or(Fault::Words("more filling than frame"))
}

impl From<Faulty> for Fault {
    fn from(Faulty(words): Faulty) -> Self {
        Self::Words(words)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::Reset(code) => write!(f, "it has given up the question ({})", word(*code)),
            Self::Leave(code) => write!(f, "it leaves ({})", word(*code)),
        }
    }
}

/// The word for a code (RFC 9113 §7).
fn word(code: u32) -> &'static str {
    const WORDS: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    usize::try_from(code).ok().and_then(|code| WORDS.get(code)).copied().unwrap_or("a code that means nothing")
}

#[cfg(test)]
#[path = "talk_tests.rs"]
mod tests;
