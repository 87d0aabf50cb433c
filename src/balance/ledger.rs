//! A core's own hand on the board: what it sends, what comes of it. It refuses to know why an attempt failed, and whose
//! fault it was: an attempt of which nothing is said counts as neither good nor bad.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::balance::board::Board;
use crate::balance::board::Load;
use crate::balance::board::Row;
use crate::balance::board::Standing;
use crate::balance::cost;
use crate::balance::fold;
use crate::balance::orca;
use crate::id::CoreId;
use crate::id::EndpointSlot;
use crate::id::UpstreamSlot;
use crate::time::us;

/// One core's hand. Only that core may hold it.
#[derive(Debug)]
pub struct Ledger {
    board: Arc<Board>,
    core: CoreId,
}

/// One attempt in flight, until dropped.
#[derive(Debug)]
pub struct Flight {
    ledger: Rc<Ledger>,
    slot: EndpointSlot,
    sent: u64,
    state: Cell<State>,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It waits for the head of its response.
    Waits,
    /// It waits for nothing that says how fast its endpoint is.
    Untimed,
    /// It was answered well.
    Answered,
    /// It failed.
    Failed,
}

impl Ledger {
    /// The hand of a core.
    #[must_use]
    pub fn new(board: Arc<Board>, core: CoreId) -> Rc<Self> {
        Rc::new(Self { board, core })
    }

    /// The board.
    #[inline]
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Whose hand it is.
    #[must_use]
    pub fn core(&self) -> CoreId {
        self.core
    }

    /// The core's row.
    #[inline]
    pub(super) fn row(&self) -> &Row {
        self.board.row(self.core)
    }

    /// Counts a request at an upstream, not its retries: their budget is a share of these.
    #[inline]
    pub fn request(&self, upstream: UpstreamSlot) {
        self.row().share(upstream).requests.add(1);
    }

    /// Counts a request at an upstream that may be hedged: it earns so many hundredths of a hedge.
    #[inline]
    pub fn earn_hedge(&self, upstream: UpstreamSlot, percent: u32) {
        self.row().share(upstream).hedges.add(u64::from(percent));
    }

    /// Counts an attempt that is sent to an endpoint at `now`, until the flight is dropped.
    #[inline]
    #[must_use]
    pub fn begin(self: &Rc<Self>, slot: EndpointSlot, now: u64) -> Flight {
        self.row().load(slot).sent(now);
        Flight { ledger: self.clone(), slot, sent: now, state: Cell::new(State::Waits) }
    }

    /// Another endpoint has answered in the place of one that was asked at `sent` and has not: how long that has taken so
    /// far is less than its answer would have, and counts as its time if that is long for it. As an answer it counts
    /// neither way.
    pub fn outrun(&self, slot: EndpointSlot, sent: u64, now: u64) {
        let standing = self.board.standing(slot);
        let mean = fold::mean_us(standing.folded.one(fold::MEAN));
        let waited = now.saturating_sub(sent);
        if waited > mean && sent >= standing.folded.one(fold::EJECTED_AT) {
            let load = self.row().load(slot);
            load.sum_us.add(clipped(waited, mean));
            load.good.add(1);
            load.soured.add(1);
        }
    }

    /// Notes what an endpoint says of itself.
    pub fn reported(&self, slot: EndpointSlot, report: &orca::Report, now: u64) {
        if let Some(strain) = report.strain() {
            self.row().load(slot).report.set(orca::pack(strain, now));
        }
    }
}

/// A time as it is added up: so many means at the most, if one is known.
fn clipped(took_us: u64, mean: u64) -> u64 {
    if mean > 0 { took_us.min(cost::CLIP * mean) } else { took_us }
}

impl Flight {
    /// The time of this attempt will say nothing of its endpoint: it depends on how fast its client sends, say.
    pub fn untimed(&self) {
        if self.state.get() == State::Waits {
            self.load().heard(self.sent);
            self.state.set(State::Untimed);
        }
    }

    /// The head of a good response came, so many microseconds after the request was sent. Told once, before any failure.
    #[inline]
    pub fn answered(&self, took_us: u64) {
        let load = self.load();
        let standing = self.standing();
        let mean = fold::mean_us(standing.folded.one(fold::MEAN));
        let took = match self.state.get() {
            State::Waits => {
                load.heard(self.sent);
                clipped(took_us, mean)
            }
            // The mean is to stay where it is.
            State::Untimed => mean,
            State::Answered | State::Failed => return,
        };
        self.state.set(State::Answered);
        // The answer to what was sent before its endpoint was put out says nothing of what it is now.
        if took > 0 && self.sent >= standing.folded.one(fold::EJECTED_AT) {
            load.sum_us.add(took);
            load.good.add(1);
        }
    }

    /// The endpoint failed: no connection, a reset, no answer in time, a status of 5xx or 429, or a response that broke off.
    /// `retry_after` is how long it asks to be left alone. Told once.
    pub fn failed(&self, now: u64, retry_after: Option<Duration>) {
        let load = self.load();
        let standing = self.standing();
        let before = self.state.replace(State::Failed);
        match before {
            State::Waits => load.heard(self.sent),
            State::Untimed => {}
            State::Answered => load.soured.add(1),
            State::Failed => return,
        }
        let mean = fold::mean_us(standing.folded.one(fold::MEAN));
        let asked = retry_after.map(us);
        load.penalty.set(cost::Penalty::again(load.penalty.get(), mean, asked, now));
        if self.sent >= standing.folded.one(fold::EJECTED_AT) {
            load.bad.add(1);
        } else if before == State::Answered {
            // It was counted as neither.
            load.soured.sub(1);
        }
    }

    /// Where it went.
    #[must_use]
    pub fn slot(&self) -> EndpointSlot {
        self.slot
    }

    fn load(&self) -> &Load {
        self.ledger.row().load(self.slot)
    }

    fn standing(&self) -> &Standing {
        self.ledger.board.standing(self.slot)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.load().left();
        match self.state.get() {
            State::Waits => {
                self.load().heard(self.sent);
                self.standing().release_trial(self.ledger.core, self.sent);
            }
            State::Untimed => self.standing().release_trial(self.ledger.core, self.sent),
            State::Answered | State::Failed => {}
        }
    }
}
