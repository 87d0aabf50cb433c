//! A body on its way: one pump for either direction and every framing, with one bounded block and back-pressure by
//! nature: nothing is read before what was read has been written. It refuses to know which side is which.

pub mod tunnel;

use std::cell::Cell;
use std::time::Duration;

use crate::buf::Block;
use crate::io::line::Broken;
use crate::io::line::Line;
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
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'a> {
    /// Longest pause between two reads.
    pub read: Duration,
    /// Longest time that one write may take.
    pub write: Duration,
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
    /// It is over its bound.
    TooLarge,
    /// It could not be written.
    Sink(Broken),
}

/// Moves a body to its end.
///
/// # Errors
/// [`Lost`]; some of it has gone. The end of a chunked body is written only when its true end was read, so that what is
/// lost on one side is seen as lost on the other.
pub async fn pump(pump: Pump<'_>) -> Result<(), Lost> {
    let Pump { mut out, source, sink, from, rest, to, bounds } = pump;
    loop {
        let size = out.len() as u64;
        to.write(&mut out, bounds.write).await.map_err(Lost::Sink)?;
        bounds.written.set(bounds.written.get() + size);
        if source.ended() {
            return Ok(());
        }
        source.fill(from, &mut out, rest, bounds.read).await.map_err(Lost::Source)?;
        if bounds.most.is_some_and(|most| source.taken() > most) {
            return Err(Lost::TooLarge);
        }
        sink.frame(&mut out, source.ended().then(|| source.trailers()));
    }
}
