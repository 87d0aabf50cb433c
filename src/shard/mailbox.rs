//! The only way into a core: a bounded queue that the control thread posts to and the core's loop takes from.
//!
//! What crosses is moved, never shared. A post rings the core's bell; the core takes messages between two requests,
//! acknowledges by number, and says how it is in a report that only control reads. The module refuses to know what the
//! messages are for.

#![expect(
    clippy::disallowed_types,
    reason = "a core's report is written when it starts or dies, and never on a request's path"
)]

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Release;
use std::time::Instant;

use crossbeam_queue::ArrayQueue;

use crate::address::Address;
use crate::id::ListenerSlot;
use crate::io::bell::Bell;
use crate::snapshot::Snapshot;

/// What control tells a core.
#[derive(Debug)]
pub enum Message {
    /// Serve this from the next request on. Acknowledged with the snapshot's sequence.
    Publish {
        /// The configuration; listeners that it does not name are closed.
        snapshot: Arc<Snapshot>,
        /// Sockets that the core does not have yet. What it listens on and the configuration does not name is closed.
        opened: Vec<Opened>,
    },
    /// Stop accepting, finish what runs, cut what still runs at the deadline.
    Drain {
        /// When to cut.
        deadline: Instant,
    },
    /// Cut everything now.
    Stop,
    /// Prove that a wall holds.
    Drill(Drill),
}

/// A socket for one core, bound and listening.
#[derive(Debug)]
pub struct Opened {
    /// Whose it is.
    pub slot: ListenerSlot,
    /// Which address of that listener, as the configuration has it.
    pub address: Address,
    /// To accept from.
    pub socket: OwnedFd,
}

/// A fault made on purpose, to prove that it stays where it is. Only code of this process can post one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drill {
    /// The task of a connection panics, within the next exchange.
    Connection,
    /// The core's loop panics.
    Core,
}

/// How far a core is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Building its ring.
    Starting,
    /// Listening.
    Serving,
    /// Finishing what runs.
    Draining,
    /// Done.
    Ended,
}

/// What a core says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The CPU it is pinned to; absent if pinning failed.
    pub cpu: Option<usize>,
    /// `io_uring` or `epoll`.
    pub io: &'static str,
    /// The ring flags in force, in words.
    pub flags: &'static str,
    /// Why this kind of loop and not a better one; empty when it is the best.
    pub reason: String,
    /// Why the core could not start or died last; empty when it did not.
    pub fault: String,
}

/// The outer end: for control. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Mailbox(Arc<Shared>);

/// The inner end: for the core's loop.
#[derive(Debug)]
pub struct Inbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: ArrayQueue<Message>,
    bell: Bell,
    acknowledged: AtomicU64,
    stage: AtomicU8,
    // Taken when a core starts or dies, and when an operator asks: never on the path of a request.
    report: Mutex<Report>,
}

/// The queue is full: the core has not looked for [`MESSAGES`] messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Messages that may wait for one core.
pub const MESSAGES: usize = 256;

impl Mailbox {
    /// Both ends.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn open() -> std::io::Result<(Self, Inbox)> {
        let shared = Arc::new(Shared {
            queue: ArrayQueue::new(MESSAGES),
            bell: Bell::new()?,
            acknowledged: AtomicU64::new(0),
            stage: AtomicU8::new(Stage::Starting as u8),
            report: Mutex::default(),
        });
        Ok((Self(shared.clone()), Inbox(shared)))
    }

    /// Posts a message.
    ///
    /// # Errors
    /// [`Full`] when the core is too far behind; the message is dropped.
    pub fn post(&self, message: Message) -> Result<(), Full> {
        self.0.queue.push(message).map_err(|_| Full)?;
        self.0.bell.ring();
        Ok(())
    }

    /// Whether a message can be posted now. It stays so until the next post, as long as one thread posts.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.0.queue.is_full()
    }

    /// The sequence of the last snapshot the core has taken; 0 for none.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.0.acknowledged.load(Acquire)
    }

    /// How far the core is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.0.stage.load(Acquire) {
            0 => Stage::Starting,
            1 => Stage::Serving,
            2 => Stage::Draining,
            _ => Stage::Ended,
        }
    }

    /// What the core last said of itself.
    #[must_use]
    pub fn report(&self) -> Report {
        self.0.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Stage {
    /// The word of the admin interface.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Ended => "ended",
        }
    }
}

impl Inbox {
    /// The next message, if one waits.
    #[must_use]
    pub fn take(&self) -> Option<Message> {
        self.0.queue.pop()
    }

    /// The bell that is rung after each post.
    #[must_use]
    pub fn bell(&self) -> &Bell {
        &self.0.bell
    }

    /// Says that the snapshot of this sequence is in force.
    pub fn acknowledge(&self, sequence: u64) {
        self.0.acknowledged.store(sequence, Release);
    }

    /// Says how far the core is.
    pub fn set_stage(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Release);
    }

    /// Changes what the core says of itself.
    pub fn set_report(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.0.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
