//! What each core is still owed: the newest snapshot with the sockets that go with it, a drain, a stop. A core that is
//! too far behind for another message gets the newest of each when it has room, and nothing that is stale by then; so
//! any number of changes a second costs a slow core one message. It refuses to know why something is published.

use std::sync::Arc;
use std::time::Instant;

use crate::control::CoreLink;
use crate::shard::mailbox::Message;
use crate::shard::mailbox::Opened;
use crate::shard::mailbox::Stage;
use crate::snapshot::Listener;
use crate::snapshot::Snapshot;

/// A core, and what it is owed.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) link: CoreLink,
    snapshot: Option<(Arc<Snapshot>, Vec<Opened>)>,
    drain: Option<Instant>,
    stop: bool,
}

impl Post {
    pub(super) fn new(link: CoreLink) -> Self {
        Self { link, snapshot: None, drain: None, stop: false }
    }

    /// Owes the core a snapshot, and the sockets that are new in it.
    pub(super) fn publish(&mut self, snapshot: Arc<Snapshot>, opened: Vec<Opened>) {
        // Sockets of a snapshot that the core never got still have to reach it, unless they are already out of date.
        let mut sockets = self.snapshot.take().map(|(_, sockets)| sockets).unwrap_or_default();
        sockets.retain(|old| {
            let wanted =
                |listener: &Listener| listener.slot == old.slot && listener.settings.bind.contains(&old.address);
            let newer = |new: &Opened| new.slot == old.slot && new.address == old.address;
            snapshot.listeners.iter().any(wanted) && !opened.iter().any(newer)
        });
        sockets.extend(opened);
        self.snapshot = Some((snapshot, sockets));
        self.flush();
    }

    /// Owes the core a drain.
    pub(super) fn drain(&mut self, deadline: Instant) {
        self.drain = Some(deadline);
        self.flush();
    }

    /// Owes the core a stop.
    pub(super) fn stop(&mut self) {
        self.stop = true;
        self.flush();
    }

    /// Whether something could not be posted yet.
    pub(super) fn owes(&self) -> bool {
        self.snapshot.is_some() || self.drain.is_some() || self.stop
    }

    /// Posts what there is room for.
    pub(super) fn flush(&mut self) {
        while self.owes() && self.link.mailbox.has_room() {
            let message = if let Some((snapshot, opened)) = self.snapshot.take() {
                Message::Publish { snapshot, opened }
            } else if let Some(deadline) = self.drain.take() {
                Message::Drain { deadline }
            } else {
                self.stop = false;
                Message::Stop
            };
            let _ = self.link.mailbox.post(message);
        }
    }

    /// Whether the core has taken the snapshot of this sequence, or a newer one.
    pub(super) fn has(&self, sequence: u64) -> bool {
        self.link.mailbox.acknowledged() >= sequence
    }

    /// Whether the core serves the snapshot of this sequence; an error says why it never will.
    pub(super) fn started(&self, sequence: u64) -> Result<bool, String> {
        let mailbox = &self.link.mailbox;
        match mailbox.stage() {
            Stage::Serving => Ok(self.has(sequence)),
            Stage::Draining => Ok(false),
            stage @ (Stage::Starting | Stage::Ended) => {
                let fault = mailbox.report().fault;
                match (stage, fault.is_empty()) {
                    (Stage::Ended, true) => Err(format!("core {} ended before it served", self.link.id.0)),
                    (_, true) => Ok(false),
                    (_, false) => Err(format!("core {} could not start: {fault}", self.link.id.0)),
                }
            }
        }
    }

    /// Whether nothing runs on the core any more, or ever did.
    pub(super) fn ended(&self) -> bool {
        match self.link.mailbox.stage() {
            Stage::Ended => true,
            Stage::Starting => !self.link.mailbox.report().fault.is_empty(),
            Stage::Serving | Stage::Draining => false,
        }
    }
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
