//! One coarse wheel of deadlines per core. A deadline that fires ends a direction of its socket, so that the read or
//! write in flight completes with the end instead of being dropped (which would lose bytes); or it wakes a task.
//!
//! Arming is a store, mostly: an entry stands in the slot of the earliest time it was armed for, and is moved on when
//! that slot comes and it is not due yet. It stands in one slot at the most, as a link of its list: what is armed and dropped
//! however often leaves nothing behind. A wheel knows descriptors and wakers, nothing of connections.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::future::poll_fn;
use std::mem;
use std::os::fd::RawFd;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use std::time::Instant;

use crate::io::socket;
use crate::io::socket::Cut;
use crate::time::TICK;
use crate::time::TICK_MS;

/// All deadlines of one core.
#[derive(Debug)]
pub struct Wheel {
    start: Instant,
    /// The tick that was looked at last.
    now: Cell<u64>,
    /// From which tick to which the core drains, once it does.
    drain: Cell<Option<(u64, u64)>>,
    entries: RefCell<Entries>,
}

#[derive(Debug)]
struct Entries {
    list: Vec<Entry>,
    free: Vec<u32>,
    /// The first entry of each slot's list.
    slots: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    /// When it fires; 0: not armed.
    due: u64,
    /// In which tick's slot it stands; 0: in none.
    queued: u64,
    /// Its neighbours there.
    before: u32,
    after: u32,
    /// The socket that it is about.
    fd: Option<RawFd>,
    /// What it ends there.
    cut: Option<Cut>,
    /// Whom it wakes.
    waker: Option<Waker>,
    fired: bool,
    /// A wait of it was cut short, for good.
    early: bool,
    /// When it may be cut short.
    wait: Wait,
    end: End,
    /// Which waits it is one of.
    kin: u16,
    /// Its share of a drain's time, in parts of 2^32, after which it fires whatever it was armed for; 0: it has none.
    lot: u32,
}

/// When a wait may be cut short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wait {
    /// Never.
    #[default]
    Firm,
    /// When the core drains.
    Idle,
    /// Also when memory or descriptors are wanted.
    Parked,
}

/// How a socket ends.
#[derive(Debug, Default)]
struct End {
    /// A direction of it was ended here, for good: whatever is armed later, that end is ours.
    severed: bool,
    /// It must not come to a clean end when everything is cut.
    abrupt: bool,
}

/// No entry has this index.
const NONE: u32 = u32::MAX;

impl Entry {
    /// Of a socket, or of none; not armed.
    fn of(fd: Option<RawFd>) -> Self {
        Self {
            due: 0,
            queued: 0,
            before: NONE,
            after: NONE,
            fd,
            cut: None,
            waker: None,
            fired: false,
            early: false,
            wait: Wait::Firm,
            end: End::default(),
            kin: 0,
            lot: 0,
        }
    }
}

/// Slots of the wheel: at 50 ms a tick, deadlines up to half a minute are put where they belong at once.
const SLOTS: u64 = 640;

/// A place on the wheel, given back when dropped.
#[derive(Debug)]
pub struct Deadline {
    wheel: Rc<Wheel>,
    index: u32,
}

impl Wheel {
    /// A wheel that starts now.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        let slots = (0..SLOTS).map(|_| NONE).collect();
        let entries = Entries { list: Vec::new(), free: Vec::new(), slots };
        Self { start, now: Cell::new(1), drain: Cell::new(None), entries: RefCell::new(entries) }
    }

    /// Fires what is due at `now`. To be called every [`TICK`].
    pub fn advance(&self, now: Instant) {
        let target = self.tick_of(now);
        while self.now.get() < target {
            self.now.set(self.now.get() + 1);
            self.turn(self.now.get());
        }
    }

    /// Ends every read of these kin that waits for something that may never come, as said by [`Deadline::arm_idle`].
    pub fn cut_idle(&self, ends: impl Fn(u16) -> bool) {
        for entry in &mut self.entries.borrow_mut().list {
            let idle = entry.wait != Wait::Firm && entry.due != 0;
            if let Some(fd) = entry.fd.filter(|_| idle && ends(entry.kin)) {
                entry.early = true;
                socket::cut(fd, Cut::Read);
            }
        }
    }

    /// Ends at most so many of the reads that wait as said by [`Deadline::arm_parked`], mostly those first that have the
    /// least time left; says how many.
    pub fn cut_parked(&self, most: usize) -> usize {
        let mut entries = self.entries.borrow_mut();
        let Entries { list, slots, .. } = &mut *entries;
        let (now, mut cut) = (self.now.get(), 0);
        for tick in now + 1..now + SLOTS {
            let mut next = slots.get(slot(tick)).copied().unwrap_or(NONE);
            while let Some(entry) = list.get_mut(next as usize).filter(|_| cut < most) {
                next = entry.after;
                let parked = entry.wait == Wait::Parked && entry.due != 0;
                if let Some(fd) = entry.fd.filter(|_| parked) {
                    entry.wait = Wait::Idle;
                    socket::cut(fd, Cut::Read);
                    cut += 1;
                }
            }
        }
        cut
    }

    /// Says that the core drains, from now `until` then: each deadline that [lasts](Deadline::lasting) fires at its place
    /// within that time, if not before.
    pub fn drain(&self, until: Instant) {
        let now = self.now.get();
        self.drain.set(Some((now, self.tick_of(until).max(now))));
        let mut entries = self.entries.borrow_mut();
        for index in 0..u32::try_from(entries.list.len()).unwrap_or(u32::MAX) {
            let armed = entries.list.get(index as usize).filter(|entry| entry.due != 0);
            if let Some((last, due)) = armed.and_then(|entry| Some((self.last(entry.lot)?, entry.due))) {
                entries.schedule(index, due.min(last), now);
            }
        }
    }

    /// The tick of a deadline of that lot that is armed now.
    fn after(&self, after: Duration, lot: u32) -> u64 {
        // The last look may have been at the end of its tick, and the next comes a whole tick later: until then the time is
        // up to two ticks ahead of what the wheel takes it for.
        let part = u64::from(after.subsec_nanos()).div_ceil(1_000_000 * TICK_MS);
        let ticks = after.as_secs().saturating_mul(1000 / TICK_MS).saturating_add(part);
        let due = self.now.get().saturating_add(ticks).saturating_add(2);
        self.last(lot).map_or(due, |last| due.min(last))
    }

    /// When a deadline of that lot fires at the latest, if the core drains.
    fn last(&self, lot: u32) -> Option<u64> {
        let (from, to) = self.drain.get().filter(|_| lot != 0)?;
        let share = (u128::from(to - from) * u128::from(lot)) >> u32::BITS;
        Some(from + u64::try_from(share).unwrap_or(to - from))
    }

    /// Ends both directions of every socket on the wheel; by a reset where [`Deadline::cut_abruptly`] asks for it.
    pub fn cut_all(&self) {
        let mut entries = self.entries.borrow_mut();
        // First: another deadline of the same socket would bring it to a clean end.
        entries.list.iter().filter(|entry| entry.end.abrupt).filter_map(|entry| entry.fd).for_each(socket::abort);
        for entry in &mut entries.list {
            if let Some(fd) = entry.fd {
                entry.end.severed = true;
                socket::cut(fd, Cut::Both);
            }
        }
    }

    /// Cuts and closes every socket on the wheel, whose owners were leaked with a dead ring.
    pub(super) fn close_all(&self) {
        self.cut_all();
        let mut closed = Vec::new();
        for entry in &mut self.entries.borrow_mut().list {
            closed.extend(entry.fd.take());
        }
        closed.sort_unstable();
        closed.dedup();
        closed.into_iter().for_each(socket::close);
    }

    /// Deadlines in place.
    #[must_use]
    pub fn len(&self) -> usize {
        let entries = self.entries.borrow();
        entries.list.len() - entries.free.len()
    }

    /// How often one stands in a slot.
    #[cfg(test)]
    fn standing(&self) -> usize {
        let entries = self.entries.borrow();
        let next = |index: &u32| entries.list.get(*index as usize).map(|entry| entry.after);
        let list = |first: &u32| std::iter::successors(Some(*first), next).filter(|index| *index != NONE).count();
        entries.slots.iter().map(list).sum()
    }

    /// None at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn tick_of(&self, at: Instant) -> u64 {
        let ticks = at.saturating_duration_since(self.start).as_millis() / TICK.as_millis();
        u64::try_from(ticks).unwrap_or(u64::MAX - SLOTS).saturating_add(1)
    }

    fn turn(&self, tick: u64) {
        let mut wakers = Vec::new();
        let mut entries = self.entries.borrow_mut();
        // What is put elsewhere meanwhile is never put into this slot: it is as far away as can be.
        while let Some(index) = entries.slots.get(slot(tick)).copied().filter(|index| *index != NONE) {
            wakers.extend(entries.look(index, tick));
        }
        drop(entries);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Entries {
    /// Looks at one that stands in the slot of this tick: it fires, or is moved on, or leaves the wheel.
    fn look(&mut self, index: u32, tick: u64) -> Option<Waker> {
        self.unlink(index);
        let entry = self.list.get_mut(index as usize).filter(|entry| entry.due != 0)?;
        if entry.due > tick {
            let due = entry.due;
            self.queue(index, due, tick);
            return None;
        }
        entry.due = 0;
        entry.fired = true;
        if let (Some(fd), Some(how)) = (entry.fd, entry.cut) {
            entry.end.severed = true;
            socket::cut(fd, how);
        }
        entry.waker.take()
    }

    fn schedule(&mut self, index: u32, due: u64, now: u64) {
        let Some(entry) = self.list.get_mut(index as usize) else { return };
        entry.due = due;
        if entry.queued == 0 || due < entry.queued {
            self.queue(index, due, now);
        }
    }

    fn queue(&mut self, index: u32, due: u64, now: u64) {
        self.unlink(index);
        let tick = due.min(now + SLOTS - 1).max(now + 1);
        let Some(first) = self.slots.get_mut(slot(tick)) else { return };
        let after = mem::replace(first, index);
        if let Some(entry) = self.list.get_mut(after as usize) {
            entry.before = index;
        }
        if let Some(entry) = self.list.get_mut(index as usize) {
            (entry.queued, entry.before, entry.after) = (tick, NONE, after);
        }
    }

    /// Takes an entry out of the slot that it stands in, if in any.
    fn unlink(&mut self, index: u32) {
        let Some(entry) = self.list.get_mut(index as usize).filter(|entry| entry.queued != 0) else { return };
        let (place, before, after) = (slot(entry.queued), entry.before, entry.after);
        entry.queued = 0;
        if let Some(entry) = self.list.get_mut(after as usize) {
            entry.before = before;
        }
        match self.list.get_mut(before as usize) {
            Some(entry) => entry.after = after,
            None => self.slots.iter_mut().skip(place).take(1).for_each(|first| *first = after),
        }
    }
}

fn slot(tick: u64) -> usize {
    usize::try_from(tick % SLOTS).unwrap_or(0)
}

impl Deadline {
    /// A deadline that ends directions of a socket. The socket must stay open as long as the deadline is.
    #[must_use]
    pub fn of(wheel: &Rc<Wheel>, fd: RawFd) -> Self {
        Self::place(wheel, Some(fd))
    }

    /// A deadline that wakes whoever [waits](Self::wait) for it, of what may last for hours: within a drain it fires after
    /// `lot` of 2^32 parts of the drain's time at the latest, whatever it is armed for.
    #[must_use]
    pub fn lasting(wheel: &Rc<Wheel>, lot: u32) -> Self {
        let deadline = Self::place(wheel, None);
        if let Some(entry) = wheel.entries.borrow_mut().list.get_mut(deadline.index as usize) {
            entry.lot = lot.max(1);
        }
        deadline
    }

    fn place(wheel: &Rc<Wheel>, fd: Option<RawFd>) -> Self {
        let mut entries = wheel.entries.borrow_mut();
        let index = entries.free.pop().unwrap_or_else(|| {
            let next = u32::try_from(entries.list.len()).unwrap_or(u32::MAX);
            entries.list.push(Entry::of(None));
            next
        });
        if let Some(entry) = entries.list.get_mut(index as usize) {
            *entry = Entry::of(fd);
        }
        drop(entries);
        Self { wheel: wheel.clone(), index }
    }

    /// Says which waits it is one of, for who [ends](Wheel::cut_idle) those alone.
    pub fn is_of(&self, kin: u16) {
        if let Some(entry) = self.wheel.entries.borrow_mut().list.get_mut(self.index as usize) {
            entry.kin = kin;
        }
    }

    /// Ends `how` when `after` has passed since the last tick, and a tick more at most.
    pub fn arm(&self, after: Duration, how: Cut) {
        self.set(after, Some(how), false);
    }

    /// As [`arm`](Self::arm) for reads, and says that the wait may be cut short when the core drains.
    pub fn arm_idle(&self, after: Duration) {
        self.set(after, Some(Cut::Read), true);
    }

    /// As [`arm_idle`](Self::arm_idle), and says that the wait may be cut short when memory or descriptors are wanted.
    pub fn arm_parked(&self, after: Duration) {
        self.arm_idle(after);
        let mut entries = self.wheel.entries.borrow_mut();
        let Some(entry) = entries.list.get_mut(self.index as usize) else { return };
        entry.wait = Wait::Parked;
        // In the slot of its time, and not in an earlier one that is left over: those are cut first.
        let due = entry.due;
        entries.queue(self.index, due, self.wheel.now.get());
    }

    /// As [`arm_idle`](Self::arm_idle), but wakes whoever awaits the deadline instead of ending anything.
    pub(super) fn arm_wake(&self, after: Duration) {
        self.set(after, None, true);
    }

    /// As [`arm_wake`](Self::arm_wake), but a drain does not cut the wait short.
    pub(super) fn arm_look(&self, after: Duration) {
        self.set(after, None, false);
    }

    /// Ends what is said, now, as if it had fired: by a reset where `reading` says that it must not come to a clean end.
    pub(super) fn sever_words(&self, reading: &Self) {
        let entries = self.wheel.entries.borrow();
        let abrupt = entries.list.get(reading.index as usize).filter(|entry| entry.end.abrupt);
        if let Some(fd) = abrupt.and_then(|entry| entry.fd) {
            socket::abort(fd);
        }
        drop(entries);
        self.sever(Cut::Write);
    }

    /// Ends directions of the socket now, as if it had fired.
    pub(super) fn sever(&self, how: Cut) {
        if let Some(entry) = self.wheel.entries.borrow_mut().list.get_mut(self.index as usize)
            && let Some(fd) = entry.fd
        {
            entry.end.severed = true;
            socket::cut(fd, how);
        }
    }

    /// The time of the last tick, reckoned from the start of the wheel.
    #[must_use]
    pub(super) fn coarse(&self) -> Duration {
        TICK.saturating_mul(u32::try_from(self.wheel.now.get()).unwrap_or(u32::MAX))
    }

    fn set(&self, after: Duration, how: Option<Cut>, idle: bool) {
        let mut entries = self.wheel.entries.borrow_mut();
        let Some(entry) = entries.list.get_mut(self.index as usize) else { return };
        entry.fired = false;
        entry.wait = if idle { Wait::Idle } else { Wait::Firm };
        entry.cut = how;
        let due = self.wheel.after(after, entry.lot);
        entries.schedule(self.index, due, self.wheel.now.get());
    }

    /// Fires `after` from now, and not before; whoever waits for it still does. Nothing if it has fired.
    pub fn postpone(&self, after: Duration) {
        let mut entries = self.wheel.entries.borrow_mut();
        if let Some(entry) = entries.list.get(self.index as usize).filter(|entry| !entry.fired) {
            let due = self.wheel.after(after, entry.lot);
            entries.schedule(self.index, due, self.wheel.now.get());
        }
    }

    /// Waits for as long.
    pub(super) async fn sleep(&self, after: Duration) {
        self.set(after, None, false);
        self.wait().await;
    }

    /// Waits until it fires.
    pub async fn wait(&self) {
        poll_fn(|cx| if self.poll_fired(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Whether it has fired because the core drains; to be asked as it fires.
    #[must_use]
    pub fn drained(&self) -> bool {
        let entries = self.wheel.entries.borrow();
        let Some(entry) = entries.list.get(self.index as usize) else { return false };
        entry.fired && self.wheel.last(entry.lot).is_some_and(|last| last <= self.wheel.now.get())
    }

    /// Says that the wait may no longer be cut short by a drain; the deadline stands.
    pub fn occupy(&self) {
        if let Some(entry) = self.wheel.entries.borrow_mut().list.get_mut(self.index as usize) {
            entry.wait = Wait::Firm;
        }
    }

    /// Says that the socket is to be reset when everything is cut: what went over it is not whole before its end.
    pub fn cut_abruptly(&self) {
        if let Some(entry) = self.wheel.entries.borrow_mut().list.get_mut(self.index as usize) {
            entry.end.abrupt = true;
        }
    }

    /// Takes back what [`cut_abruptly`](Self::cut_abruptly) has said.
    pub fn cut_gently(&self) {
        if let Some(entry) = self.wheel.entries.borrow_mut().list.get_mut(self.index as usize) {
            entry.end.abrupt = false;
        }
    }

    /// Fires no more.
    pub fn disarm(&self) {
        if let Some(entry) = self.wheel.entries.borrow_mut().list.get_mut(self.index as usize) {
            entry.due = 0;
            entry.wait = Wait::Firm;
        }
    }

    /// Forgets whom it would wake. That is kept from one wait to the next, since mostly it is the same task; but it keeps that
    /// task's memory, which whoever waits no more is not to do.
    pub(super) fn forget(&self) {
        let waker =
            self.wheel.entries.borrow_mut().list.get_mut(self.index as usize).and_then(|entry| entry.waker.take());
        drop(waker);
    }

    /// Whether it has fired since it was last armed.
    #[must_use]
    pub fn fired(&self) -> bool {
        self.wheel.entries.borrow().list.get(self.index as usize).is_some_and(|entry| entry.fired)
    }

    /// Whether it has ever ended a direction of its socket: bytes that came in the same moment are read first, and the end
    /// that follows them is ours and not the other side's, whatever was armed in between.
    #[must_use]
    pub fn severed(&self) -> bool {
        self.wheel.entries.borrow().list.get(self.index as usize).is_some_and(|entry| entry.end.severed)
    }

    /// Whether a wait of it was [cut short](Wheel::cut_idle).
    #[must_use]
    pub fn cut_short(&self) -> bool {
        self.wheel.entries.borrow().list.get(self.index as usize).is_some_and(|entry| entry.early)
    }

    /// Keeps a waker to be woken when the deadline fires; says whether it has.
    fn poll_fired(&self, waker: &Waker) -> bool {
        let mut entries = self.wheel.entries.borrow_mut();
        let Some(entry) = entries.list.get_mut(self.index as usize) else { return true };
        if !entry.fired && !entry.waker.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            entry.waker = Some(waker.clone());
        }
        entry.fired
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let mut entries = self.wheel.entries.borrow_mut();
        entries.unlink(self.index);
        let old = entries.list.get_mut(self.index as usize).map(|entry| mem::replace(entry, Entry::of(None)));
        entries.free.push(self.index);
        drop(entries);
        // It may hold the last of a task, which may hold deadlines.
        drop(old);
    }
}

/// The future's value, or nothing when `after` passes first: then the future is dropped. Only for futures that lose
/// nothing by that: a connect, say.
pub async fn within<F: Future>(wheel: &Rc<Wheel>, after: Duration, future: F) -> Option<F::Output> {
    let deadline = Deadline::place(wheel, None);
    deadline.arm_wake(after);
    let mut future = pin!(future);
    poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        if deadline.poll_fired(cx.waker()) { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// The future's value. If the deadline that is armed passes first, `late` is called, and says how much longer it is to be;
/// or nothing, when it has brought the future to its end.
pub async fn urged<F: Future>(deadline: &Deadline, future: F, mut late: impl FnMut() -> Option<Duration>) -> F::Output {
    let mut urging = true;
    let mut future = pin!(future);
    let value = poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(value);
        }
        while urging && deadline.poll_fired(cx.waker()) {
            match late() {
                Some(more) => deadline.arm_look(more),
                None => urging = false,
            }
        }
        Poll::Pending
    })
    .await;
    deadline.disarm();
    value
}

#[cfg(test)]
mod tests;
