//! A body on its way: one pump for either direction and every framing, with one bounded block and back-pressure by
//! nature: nothing is read before what was read has been written. Each side is waited for at its own [`Pace`]. It refuses
//! to know which side is which.

pub mod kept;
pub mod tunnel;

use std::cell::Cell;
use std::time::Duration;

use crate::buf::Block;
use crate::io::lead::Lead;
use crate::io::line::Broken;
use crate::io::line::Line;
use crate::limits;
use crate::relay::kept::Kept;
use crate::wire::body::Cutoff;
use crate::wire::body::Sink;
use crate::wire::body::Source;

/// A body and its way.
#[derive(Debug)]
pub struct Pump<'a> {
    /// What goes first: a head, and what of the body came with it, framed already.
    pub out: Block,
    /// Where the rest comes from.
    pub source: &'a mut Source,
    /// How it goes on.
    pub sink: Sink,
    /// The connection it comes by.
    pub from: &'a Line,
    /// Where bytes past its end are put.
    pub rest: &'a mut Block,
    /// The connection it goes by.
    pub to: &'a Line,
    /// What is kept of it, if it may have to go once more.
    pub kept: Option<&'a Kept>,
    /// Bounds.
    pub bounds: &'a mut Bounds<'a>,
}

/// Bounds of a body on its way, and the count of what went.
#[derive(Debug)]
pub struct Bounds<'a> {
    /// How the side that it comes from is waited for.
    pub read: Pace,
    /// How the side that it goes to is waited for.
    pub write: Pace,
    /// Bytes of content at the most.
    pub most: Option<u64>,
    /// Bytes written so far are added here.
    pub written: &'a Cell<u64>,
}

/// Why a body did not arrive whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It did not come whole.
    Source(Cutoff),
    /// It came more slowly than it must.
    TooSlow,
    /// It is over its bound.
    TooLarge,
    /// Nothing was: it was asked to end, and all that has come is kept.
    Halted,
    /// It could not be written, or was taken more slowly than it must.
    Sink(Broken),
}

/// Moves a body to its end.
///
/// # Errors
/// [`Lost`]; some of it has gone. The end of a chunked body is written only when its true end was read, so that what is
/// lost on one side is seen as lost on the other.
pub async fn pump(pump: Pump<'_>) -> Result<(), Lost> {
    let Pump { mut out, source, sink, from, rest, to, kept, bounds } = pump;
    let mut room = Room::after(source.taken());
    let mut lead = Lead::of(to);
    loop {
        let mut stalled = false;
        // A read that held only framing makes no piece.
        while !out.is_empty() {
            stalled |= give(to, &mut out, bounds).await?;
        }
        lead.follow(bounds.written.get());
        if source.ended() {
            return Ok(());
        }
        let (began, before) = (from.coarse(), source.taken());
        kept.into_iter().for_each(Kept::begin);
        let filled = source.fill(from, &mut out, rest, (room.bytes(), bounds.read.patience())).await;
        bounds.read.waited(from.coarse().saturating_sub(began), source.taken() - before);
        match filled {
            Err(Cutoff::Broken(Broken::TimedOut)) if bounds.read.is_spent() => return Err(Lost::TooSlow),
            Err(cutoff) => return Err(Lost::Source(cutoff)),
            Ok(_) if bounds.read.is_spent() && !source.ended() => return Err(Lost::TooSlow),
            // Framing earns no room: whoever sends little else has a small part of each turn.
            Ok(read) => room.adapt(read, stalled || source.taken() - before < read as u64 / 2, lead.is_large()),
        }
        if bounds.most.is_some_and(|most| source.taken() > most) {
            return Err(Lost::TooLarge);
        }
        if kept.is_some_and(|kept| kept.take(out.bytes())) {
            return Err(Lost::Halted);
        }
        sink.frame(&mut out, source.ended().then(|| source.trailers()));
    }
}

/// Writes what the kernel takes at once, and says whether it had to be waited for, or did not take all.
async fn give(to: &Line, out: &mut Block, bounds: &mut Bounds<'_>) -> Result<bool, Lost> {
    let (began, pace) = (to.coarse(), &mut bounds.write);
    let passed = || to.coarse().saturating_sub(began);
    let first = pace.patience().min(pace.glance());
    let n = to.write_some(out, first, |unsent| pace.look(passed(), unsent)).await.map_err(Lost::Sink)?;
    pace.waited(passed(), n as u64);
    bounds.written.set(bounds.written.get() + n as u64);
    Ok(!out.is_empty() || !passed().is_zero())
}

/// Room for the next piece: much where pieces are large and go at once, little where they drip or nobody takes them, so
/// that who is slow does not hold much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room(usize);

/// The first three are sizes that blocks are in stock of; the last is for sides that are brisk (`io::lead`).
const ROOMS: [usize; 5] = [2_000, 16 * 1024, 64 * 1024, 128 * 1024, 256 * 1024];

impl Room {
    /// At first, when so much of the body came with its head.
    fn after(taken: u64) -> Self {
        Self(if taken > 8 * 1024 { 2 } else { 1 })
    }

    fn bytes(self) -> usize {
        ROOMS.get(self.0).copied().unwrap_or(2_000)
    }

    /// After a read of so many bytes, before which a write `stalled`, or did not; or it is to be little for another reason.
    /// What is read goes to a side that is `brisk`, or is not.
    fn adapt(&mut self, read: usize, stalled: bool, brisk: bool) {
        let full = read >= self.bytes();
        let most = ROOMS.len() - if brisk { 1 } else { 2 };
        self.0 = match self.0 {
            0 if full => 1,
            n if stalled => n.min(1),
            n if full => (n + 1).min(most),
            n if read < self.bytes() / 8 => n.saturating_sub(1),
            n => n.min(most),
        };
    }
}

/// The account of one side.
#[derive(Debug)]
pub struct Pace {
    /// Longest wait without progress.
    idle: Ms,
    /// Bytes a second; 0: any number.
    rate: u64,
    /// Whether waiting counts yet.
    begun: bool,
    /// Time waited so far, the wait under way not included.
    spent: Ms,
    /// Bytes that came, or that the kernel took.
    moved: u64,
    /// Bytes that the other side was seen to have taken.
    taken: u64,
    /// How long the wait under way had lasted when that was last seen to grow.
    grew: Ms,
}

/// Milliseconds, seven weeks of them at the most: an account is small, since every body under way has two.
type Ms = u32;

fn ms(time: Duration) -> Ms {
    Ms::try_from(time.as_millis()).unwrap_or(Ms::MAX)
}

impl Pace {
    /// Waits of `idle` at the most, and of the grace and a second for each `rate` bytes in all; a rate of 0 is no bound.
    #[must_use]
    pub fn new(idle: Duration, rate: u64) -> Self {
        Self { idle: ms(idle), rate, begun: true, spent: 0, moved: 0, taken: 0, grew: 0 }
    }

    /// The same, but what it takes to the first byte does not count: for a side that waits for leave to begin.
    #[must_use]
    pub fn from_first_byte(self) -> Self {
        Self { begun: false, ..self }
    }

    /// How long the next wait may be.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_millis(self.idle.min(self.left(self.moved, 0)).into())
    }

    /// After how long a wait for a write is to be [looked at](Self::look) for the first time.
    #[must_use]
    pub fn glance(&self) -> Duration {
        Duration::from_millis((self.idle / LOOKS).into())
    }

    /// Says that a wait is over, and what it brought.
    pub fn waited(&mut self, time: Duration, bytes: u64) {
        if self.begun {
            self.spent = self.spent.saturating_add(ms(time));
        }
        self.begun |= bytes > 0;
        self.moved = self.moved.saturating_add(bytes);
        self.grew = 0;
    }

    /// Looks at a wait for a write that has lasted for `time`: how much longer may it be, before the next look? What the
    /// kernel took is not taken yet: `unacknowledged` bytes of it are not. A side that takes what it holds for us makes
    /// progress, long before there is room for more.
    pub fn look(&mut self, time: Duration, unacknowledged: u64) -> Option<Duration> {
        let time = ms(time);
        let taken = self.moved.saturating_sub(unacknowledged);
        if taken > self.taken {
            self.taken = taken;
            self.grew = time;
        }
        let idle = (self.grew.saturating_add(self.idle)).saturating_sub(time);
        let left = idle.min(self.left(taken, time));
        (left > 0).then(|| Duration::from_millis(left.into()).min(self.glance()))
    }

    /// Whether more was waited than what came is worth.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.left(self.moved, 0) == 0
    }

    /// What is left of the time for so many bytes, once the wait under way has lasted for `time`.
    fn left(&self, bytes: u64, time: Ms) -> Ms {
        if self.rate == 0 || !self.begun {
            return Ms::MAX;
        }
        let earned = Ms::try_from(bytes.saturating_mul(1000) / self.rate).unwrap_or(Ms::MAX);
        ms(limits::RATE_GRACE).saturating_add(earned).saturating_sub(self.spent.saturating_add(time))
    }
}

/// Looks at a wait for a write while it may last.
const LOOKS: u32 = 4;

#[cfg(test)]
mod tests;
