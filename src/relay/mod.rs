//! A body on its way: one pump for either direction and every framing, with one bounded block and back-pressure by
//! nature: nothing is read before what was read has been written. Each side is waited for at its own [`Pace`]. It refuses
//! to know which side is which.

pub mod pace;

use std::cell::Cell;

use crate::buf::Block;
use crate::io::line::Broken;
use crate::io::line::Line;
use crate::relay::pace::Pace;
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
    /// Bounds.
    pub bounds: Bounds<'a>,
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
    /// It could not be written, or was taken more slowly than it must.
    Sink(Broken),
}

/// Moves a body to its end.
///
/// # Errors
/// [`Lost`]; some of it has gone. The end of a chunked body is written only when its true end was read, so that what is
/// lost on one side is seen as lost on the other.
pub async fn pump(pump: Pump<'_>) -> Result<(), Lost> {
    let Pump { mut out, source, sink, from, rest, to, mut bounds } = pump;
    loop {
        // A read that held only framing makes no piece.
        while !out.is_empty() {
            give(to, &mut out, &mut bounds).await?;
        }
        if source.ended() {
            return Ok(());
        }
        let (began, before) = (from.coarse(), source.taken());
        let filled = source.fill(from, &mut out, rest, bounds.read.patience()).await;
        bounds.read.waited(from.coarse().saturating_sub(began), source.taken() - before);
        match filled {
            Err(Cutoff::Broken(Broken::TimedOut)) if bounds.read.is_spent() => return Err(Lost::TooSlow),
            Err(cutoff) => return Err(Lost::Source(cutoff)),
            Ok(()) if bounds.read.is_spent() && !source.ended() => return Err(Lost::TooSlow),
            Ok(()) => {}
        }
        if bounds.most.is_some_and(|most| source.taken() > most) {
            return Err(Lost::TooLarge);
        }
        sink.frame(&mut out, source.ended().then(|| source.trailers()));
    }
}

/// Writes what the kernel takes at once.
async fn give(to: &Line, out: &mut Block, bounds: &mut Bounds<'_>) -> Result<(), Lost> {
    let (began, pace) = (to.coarse(), &mut bounds.write);
    let passed = || to.coarse().saturating_sub(began);
    let first = pace.patience().min(pace.glance());
    let n = to.write_some(out, first, |unsent| pace.look(passed(), unsent)).await.map_err(Lost::Sink)?;
    pace.waited(passed(), n as u64);
    bounds.written.set(bounds.written.get() + n as u64);
    Ok(())
}
