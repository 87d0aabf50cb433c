//! A tunnel: bytes both ways between two connections, until both directions have ended or nothing has gone either way for
//! too long. One bounded block each way, and back-pressure by nature. It refuses to know what is said, and to whom.
//!
//! What one side does is done to the other: its end is passed on as an end, while the other direction goes on; a reset is
//! passed on as a reset. An end that is ours is gentle: the block in flight is written, then both are told the end.

use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use crate::buf::Block;
use crate::io::both::beside;
use crate::io::both::both;
use crate::io::both::unless;
use crate::io::deadline::Deadline;
use crate::io::line::Broken;
use crate::io::line::Line;
use crate::limits;
use crate::observe::metrics::Count;

/// One side of a tunnel.
#[derive(Debug)]
pub struct Side<'a> {
    /// Its connection.
    pub line: &'a Line,
    /// What was read of it already: that goes first.
    pub held: Block,
    /// Bytes at the front of those that are not its own, and are not counted.
    pub foreign: usize,
    /// Bytes of it that went to the other side are added here.
    pub taken: &'a Cell<u64>,
    /// Whether those that could not go are added there too: they came all the same.
    pub all: bool,
    /// And here, where they are counted while they go.
    pub count: Option<&'a Count>,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// By both sides, each its own direction; the side of that number first.
    Closed(usize),
    /// By the deadline, or a cut of everything: gently.
    Ours,
    /// By what happened to the side of that number: it reset its connection, or took nothing for too long.
    Lost(usize, Broken),
}

/// Room of a direction that waits.
const ROOM: usize = 2000;
/// Room after a read that filled it.
const MORE_ROOM: usize = 64 * 1024;

/// What both directions share.
struct Way<'a> {
    lines: [&'a Line; 2],
    deadline: &'a Deadline,
    idle: Duration,
    over: Cell<bool>,
    lost: Cell<Option<(usize, Broken)>>,
    /// The side that said its end first.
    first: Cell<Option<usize>>,
}

/// Carries bytes both ways until the tunnel has ended. `deadline` fires when nothing has gone for `idle`, or before if it
/// has reasons of its own; `idle` also bounds each write.
pub async fn run(sides: [Side<'_>; 2], deadline: &Deadline, idle: Duration) -> Over {
    let [one, other] = sides;
    let lines = [one.line, other.line];
    lines.iter().for_each(|line| line.reading().disarm());
    deadline.postpone(idle);
    let way = Way { lines, deadline, idle, over: Cell::new(false), lost: Cell::new(None), first: Cell::new(None) };
    {
        // Pinned here, and lent: what is handed over is kept room for twice, and a tunnel is held for long.
        let one = pin!(way.flow(0, one));
        let other = pin!(way.flow(1, other));
        let late = pin!(async {
            deadline.wait().await;
            way.over.set(true);
        });
        beside(both(one, other), late, |()| false).await;
    }
    match way.lost.get() {
        Some((side, broken)) => Over::Lost(side, broken),
        None if way.over.get() => {
            let [one, other] = lines;
            // So that no reset takes our last words from a side.
            let (pause, time) = (limits::TUNNEL_LAST_PAUSE, limits::TUNNEL_LAST_TIME);
            both(pin!(one.linger(pause, time)), pin!(other.linger(pause, time))).await;
            Over::Ours
        }
        None => Over::Closed(way.first.get().unwrap_or(0)),
    }
}

impl Way<'_> {
    /// One direction, to its end.
    async fn flow(&self, from: usize, side: Side<'_>) {
        let Side { held: mut block, mut foreign, taken, all, count, .. } = side;
        let [one, other] = self.lines;
        let (source, target) = if from == 0 { (one, other) } else { (other, one) };
        let mut room = ROOM;
        loop {
            let size = block.len();
            let written = target.write(&mut block, self.idle).await;
            // What had gone before a write broke has gone.
            let gone = size.saturating_sub(block.len()).saturating_sub(foreign) as u64;
            count.into_iter().for_each(|count| count.add(gone));
            let came = if all { size.saturating_sub(foreign) as u64 } else { gone };
            taken.set(taken.get() + came);
            if let Err(broken) = written {
                return self.lose(1 - from, broken);
            }
            foreign = 0;
            if size > 0 {
                self.deadline.postpone(self.idle);
            }
            block.clear();
            let next = room_after(size, room);
            if next != room || block.spare() < next {
                block = Block::with_room(next);
                room = next;
            }
            if self.over.get() {
                return;
            }
            match unless(&self.over, source.read(&mut block, room)).await {
                Some(Ok(_)) => self.deadline.postpone(self.idle),
                Some(Err(Broken::Closed)) => {
                    self.first.set(self.first.get().or(Some(from)));
                    return target.finish();
                }
                // Only a cut of everything ends a read so.
                Some(Err(Broken::TimedOut)) => return self.over.set(true),
                Some(Err(broken)) => return self.lose(from, broken),
                None => return,
            }
        }
    }

    /// Ends the other direction too. Bytes are missing: neither side may take what it has for the whole.
    fn lose(&self, side: usize, broken: Broken) {
        self.over.set(true);
        if self.lost.get().is_none() {
            self.lost.set(Some((side, broken)));
            self.lines.iter().for_each(|line| line.abort());
        }
    }
}

/// The room for the next read. What waits shall hold little, however much has gone before; what flows fills its room, and
/// shall flow in large pieces.
fn room_after(size: usize, room: usize) -> usize {
    if size < room { ROOM } else { MORE_ROOM }
}

#[cfg(test)]
mod tests;
