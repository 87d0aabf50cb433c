//! The access log: a core copies, a writer formats.
//!
//! Each core owns a [`LogBuffer`] and appends records to it without formatting anything. Filled buffers go to the one
//! [`Writer`] thread through a bounded queue of the core's own; empty ones come back through another. A writer that is
//! behind costs lines, which are counted, never a core's time. The module refuses to know when a core's clock ticks.

mod packed;
mod writer;

use std::io;
use std::sync::Arc;
use std::thread::Thread;

use crossbeam_queue::ArrayQueue;

use crate::model;
use crate::observe::access_log::writer::Shared;
use crate::observe::record::Record;

pub use crate::observe::access_log::writer::Remote;
pub use crate::observe::access_log::writer::Writer;

/// Bytes in a buffer before it goes to the writer by itself.
const FLUSH_BYTES: usize = 32 * 1024;
/// What a buffer is made with: the record that reaches [`FLUSH_BYTES`] still fits, so it never grows.
const BUFFER_BYTES: usize = FLUSH_BYTES + packed::RECORD_BYTES;
/// Filled buffers that may wait for the writer, each core: 8 MiB, about 30,000 lines.
const FILLED: usize = 256;
/// Empty buffers that are kept for a core; what a burst needed beyond them is freed.
const EMPTY: usize = 64;
/// Filled buffers at which the writer is woken before its time.
const WAKE: usize = FILLED / 8;

/// One core's end of the access log. One owner at a time.
#[derive(Debug)]
pub struct LogBuffer {
    lane: Option<Lane>,
    bytes: Vec<u8>,
    lines: u64,
}

/// The way from one core to the writer and back.
#[derive(Debug)]
struct Queues {
    filled: ArrayQueue<Vec<u8>>,
    empty: ArrayQueue<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Lane {
    queues: Arc<Queues>,
    shared: Arc<Shared>,
    writer: Thread,
}

/// Opens the access log: its writer, if it goes anywhere, and one buffer for each core.
///
/// # Errors
/// When the file cannot be opened (the text names it) or the thread cannot be started.
pub fn open(settings: &model::AccessLog, cores: usize) -> io::Result<(Option<Writer>, Vec<LogBuffer>)> {
    let queues: Vec<_> = (0..cores).map(|_| Arc::new(Queues::new())).collect();
    let Some((writer, shared)) = Writer::start(settings, queues.clone())? else {
        return Ok((None, (0..cores).map(|_| LogBuffer::off()).collect()));
    };
    let thread = writer.thread();
    let lanes = queues.into_iter().map(|queues| Lane { queues, shared: shared.clone(), writer: thread.clone() });
    let buffers = lanes.map(LogBuffer::new).collect();
    Ok((Some(writer), buffers))
}

impl LogBuffer {
    /// A buffer that keeps nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { lane: None, bytes: Vec::new(), lines: 0 }
    }

    /// Another buffer to the same queue, for a core that is started again.
    #[must_use]
    pub fn successor(&self) -> Self {
        self.lane.clone().map_or_else(Self::off, Self::new)
    }

    /// Copies a record, and hands the buffer over when it is full. Returns how many lines were dropped because the
    /// writer is behind.
    #[inline]
    #[must_use = "dropped lines are to be counted"]
    pub fn push(&mut self, record: &Record<'_>) -> u64 {
        if self.lane.is_none() {
            return 0;
        }
        packed::pack(&mut self.bytes, record);
        self.lines += 1;
        if self.bytes.len() < FLUSH_BYTES { 0 } else { self.flush() }
    }

    /// Hands what was pushed to the writer. To be called on each tick of the core's clock, so that a quiet core's lines
    /// are not kept back. Returns how many lines were dropped because the writer is behind.
    #[must_use = "dropped lines are to be counted"]
    pub fn flush(&mut self) -> u64 {
        let Some(lane) = &self.lane else { return 0 };
        if self.lines == 0 {
            return 0;
        }
        let lines = std::mem::take(&mut self.lines);
        if lane.queues.filled.is_full() {
            self.bytes.clear();
            return lines;
        }
        let empty = lane.queues.empty.pop().unwrap_or_else(|| Vec::with_capacity(BUFFER_BYTES));
        let filled = std::mem::replace(&mut self.bytes, empty);
        if lane.queues.filled.push(filled).is_err() {
            return lines;
        }
        if lane.queues.filled.len() >= WAKE {
            lane.writer.unpark();
        }
        0
    }

    fn new(lane: Lane) -> Self {
        Self { lane: Some(lane), bytes: Vec::with_capacity(BUFFER_BYTES), lines: 0 }
    }
}

impl Drop for LogBuffer {
    /// Hands over what is left, so that a core that ends or dies loses no line.
    fn drop(&mut self) {
        let dropped = self.flush();
        if let Some(lane) = &self.lane {
            lane.shared.count_dropped(dropped);
        }
    }
}

impl Queues {
    fn new() -> Self {
        Self { filled: ArrayQueue::new(FILLED), empty: ArrayQueue::new(EMPTY) }
    }
}

#[cfg(test)]
mod tests;
