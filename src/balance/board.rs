//! What the cores know of the endpoints together. A row a core, which that core alone writes and the others add up; and
//! for each endpoint what was folded out of all rows, or was said of it by a health check or an operator.
//!
//! Everything is found by the slot of an endpoint, which belongs to its address for as long as the process lives: nothing
//! here notices a reload. Times are microseconds since the board was made, on a clock that all threads share; the board
//! does not look at it, it is given `now`.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;
use std::time::Instant;

use crate::balance::budget::Budget;
use crate::balance::fold;
use crate::balance::turn::Turn;
use crate::balance::turn::Words;
use crate::count::Count;
use crate::count::Table;
use crate::id::CoreId;
use crate::id::EndpointSlot;
use crate::id::UpstreamSlot;
use crate::limits;
use crate::time::us;

/// The knowledge of all cores.
#[derive(Debug)]
pub struct Board {
    epoch: Instant,
    rows: Box<[Row]>,
    standings: Pages<Standing>,
    fleets: Pages<Fleet>,
    changes: Arc<AtomicU64>,
}

/// What one core has done.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Row {
    loads: Table<Load>,
    shares: Table<Share>,
}

/// What one core has at one endpoint, and has had: one line of the cache.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Load {
    /// Requests in flight now; and, in the upper half, those of them that wait for the head of their response.
    flights: Count,
    /// The sum of the times at which those that wait were sent, wrapping.
    pub(super) sent_us: Count,
    /// The last penalty and its time, packed.
    pub(super) penalty: Count,
    /// Good answers ever.
    pub good: Count,
    /// The sum of their times to the response head, each cut at three times the mean as it stood then.
    pub sum_us: Count,
    /// Failures ever.
    pub bad: Count,
    /// Good answers ever that are none: those that broke off afterwards, and are among the failures too, and times without an
    /// answer.
    pub(super) soured: Count,
    /// The last report that the endpoint made of itself, and its time, packed.
    pub(super) report: Count,
}

/// What one core has had at one upstream.
#[derive(Debug, Default)]
pub struct Share {
    /// Requests ever, without their retries.
    pub requests: Count,
    /// Choices made among all endpoints because too few were eligible.
    pub panics: Count,
    /// Hedges that requests have earned ever, in hundredths.
    pub hedges: Count,
}

/// What is known of one endpoint by all.
#[derive(Debug)]
pub struct Standing {
    health: AtomicU8,
    order: AtomicU8,
    weight: AtomicU32,
    changes: Arc<AtomicU64>,
    trial: AtomicU64,
    pub(super) folded: Words<{ fold::WORDS }>,
}

/// What all share of one upstream.
#[derive(Debug, Default)]
pub struct Fleet {
    pub(super) turn: Turn,
    pub(super) folded: Words<{ fold::FLEET_WORDS }>,
    /// Retries.
    pub retries: Budget,
    /// Hedges.
    pub hedges: Budget,
}

/// What the active health check says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Health {
    /// Nothing: there is no check, or it has not said anything yet and its endpoint may be used meanwhile.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not, or is not to be used before its first check.
    Down,
}

/// What an operator has ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Order {
    /// It takes requests.
    #[default]
    Ready,
    /// It takes no new requests; those in flight go on, and clients that a cookie keeps there stay.
    Drain,
    /// It takes nothing.
    Down,
}

const PAGE: usize = 64;

/// Cells by slot, made by pages when they are first asked for, by whichever thread asks.
#[derive(Debug)]
struct Pages<T>(Box<[OnceLock<Box<[T; PAGE]>>; limits::LABELS / PAGE]>);

impl<T> Pages<T> {
    fn new() -> Self {
        Self(Box::new(std::array::from_fn(|_| OnceLock::new())))
    }

    #[inline]
    fn at(&self, slot: usize, make: impl Fn() -> T) -> &T {
        let slot = if slot < limits::LABELS { slot } else { 0 };
        let page = self.0[slot / PAGE].get_or_init(|| Box::new(std::array::from_fn(|_| make())));
        &page[slot % PAGE]
    }
}

impl Board {
    /// A board for so many cores.
    #[must_use]
    pub fn new(cores: usize, epoch: Instant) -> Self {
        let rows = (0..cores.max(1)).map(|_| Row::default()).collect();
        Self { epoch, rows, standings: Pages::new(), fleets: Pages::new(), changes: Arc::default() }
    }

    /// From when on the board counts time.
    #[must_use]
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// A moment as the board counts it, in microseconds.
    #[inline]
    #[must_use]
    pub fn at(&self, moment: Instant) -> u64 {
        us(moment.saturating_duration_since(self.epoch))
    }

    /// The row of a core. One past the last shares the last's.
    #[inline]
    #[must_use]
    pub fn row(&self, core: CoreId) -> &Row {
        let last = self.rows.len().saturating_sub(1);
        &self.rows[core.index().min(last)]
    }

    /// All rows.
    #[inline]
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What is known of an endpoint.
    #[inline]
    #[must_use]
    pub fn standing(&self, slot: EndpointSlot) -> &Standing {
        self.standings.at(slot.index(), || Standing::new(&self.changes))
    }

    /// What all share of an upstream.
    #[inline]
    #[must_use]
    pub fn fleet(&self, slot: UpstreamSlot) -> &Fleet {
        self.fleets.at(slot.index(), Fleet::default)
    }

    /// Changes whenever a health check or an operator has said something new of any endpoint.
    #[inline]
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Acquire)
    }

    /// Requests in flight at an endpoint, all cores together.
    #[must_use]
    pub fn in_flight(&self, slot: EndpointSlot) -> u64 {
        self.loads(slot).map(|load| u64::from(load.in_flight())).sum()
    }

    /// Requests ever at an upstream, all cores together, without their retries.
    #[must_use]
    pub fn requests(&self, slot: UpstreamSlot) -> u64 {
        self.shares(slot).map(|share| share.requests.get()).sum()
    }

    /// Choices ever at an upstream that were made among all endpoints because too few were eligible.
    #[must_use]
    pub fn panics(&self, slot: UpstreamSlot) -> u64 {
        self.shares(slot).map(|share| share.panics.get()).sum()
    }

    /// Hedges that the requests at an upstream have earned ever, all cores together, in hundredths.
    #[must_use]
    pub fn hedges(&self, slot: UpstreamSlot) -> u64 {
        self.shares(slot).map(|share| share.hedges.get()).sum()
    }

    /// Takes back what a core that has died had in flight.
    pub fn bury(&self, core: CoreId) {
        for load in self.row(core).loads.each() {
            load.flights.set(0);
            load.sent_us.set(0);
        }
    }

    pub(super) fn loads(&self, slot: EndpointSlot) -> impl Iterator<Item = &Load> {
        self.rows.iter().filter_map(move |row| row.peek(slot))
    }

    fn shares(&self, slot: UpstreamSlot) -> impl Iterator<Item = &Share> {
        self.rows.iter().filter_map(move |row| row.shares.peek(slot.index()))
    }
}

impl Row {
    /// What the core has at an endpoint. For the core alone.
    #[inline]
    #[must_use]
    pub fn load(&self, slot: EndpointSlot) -> &Load {
        self.loads.at(slot.index())
    }

    /// The same for a reader; nothing if the core never had anything there.
    #[inline]
    #[must_use]
    pub fn peek(&self, slot: EndpointSlot) -> Option<&Load> {
        self.loads.peek(slot.index())
    }

    /// What the core has had at an upstream. For the core alone.
    #[inline]
    #[must_use]
    pub fn share(&self, slot: UpstreamSlot) -> &Share {
        self.shares.at(slot.index())
    }
}

impl Load {
    /// Requests in flight.
    #[inline]
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        halves(self.flights.get()).0
    }

    /// Those of them that wait for the head of their response.
    #[inline]
    #[must_use]
    pub fn waiting(&self) -> u32 {
        halves(self.flights.get()).1
    }

    /// Both, in flight first.
    #[inline]
    pub(super) fn both(&self) -> (u32, u32) {
        halves(self.flights.get())
    }

    #[inline]
    pub(super) fn sent(&self, now: u64) {
        self.flights.add(1 << 32 | 1);
        self.sent_us.add(now);
    }

    /// One that was sent then waits no more.
    #[inline]
    pub(super) fn heard(&self, sent: u64) {
        self.flights.sub(1 << 32);
        self.sent_us.sub(sent);
    }

    #[inline]
    pub(super) fn left(&self) {
        self.flights.sub(1);
    }
}

#[inline]
fn halves(flights: u64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is meant")]
    (flights as u32, (flights >> 32) as u32)
}

impl Standing {
    fn new(changes: &Arc<AtomicU64>) -> Self {
        Self {
            health: AtomicU8::default(),
            order: AtomicU8::default(),
            weight: AtomicU32::default(),
            changes: changes.clone(),
            trial: AtomicU64::default(),
            folded: Words::default(),
        }
    }

    /// What the health check says.
    #[inline]
    #[must_use]
    pub fn health(&self) -> Health {
        match self.health.load(Relaxed) {
            1 => Health::Up,
            2 => Health::Down,
            _ => Health::Unknown,
        }
    }

    /// Notes what the health check says. For the control thread alone.
    pub fn set_health(&self, health: Health) {
        self.health.store(health as u8, Relaxed);
        self.changes.fetch_add(1, Release);
    }

    /// What an operator has ordered.
    #[inline]
    #[must_use]
    pub fn order(&self) -> Order {
        match self.order.load(Relaxed) {
            1 => Order::Drain,
            2 => Order::Down,
            _ => Order::Ready,
        }
    }

    /// Notes an order. For the control thread alone.
    pub fn set_order(&self, order: Order) {
        self.order.store(order as u8, Relaxed);
        self.changes.fetch_add(1, Release);
    }

    /// The weight that an operator has given it, instead of the configuration's.
    #[inline]
    #[must_use]
    pub fn weight(&self) -> Option<u32> {
        Some(self.weight.load(Relaxed)).filter(|weight| *weight > 0)
    }

    /// Notes a weight, or takes it back. For the control thread alone.
    pub fn set_weight(&self, weight: Option<u32>) {
        self.weight.store(weight.unwrap_or(0), Relaxed);
        self.changes.fetch_add(1, Release);
    }

    /// Whether it was put out for failing, and has not come back.
    #[inline]
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.folded.one(fold::OUT_UNTIL) > 0
    }

    /// Makes one core, of all, try an endpoint whose time out is over. What was claimed [`TRIAL_US`] ago is forgotten.
    pub(super) fn claim_trial(&self, core: CoreId, now: u64) -> bool {
        let before = self.trial.load(Relaxed);
        if before != 0 && now < (before >> CORE_BITS) + TRIAL_US {
            return false;
        }
        self.trial.compare_exchange(before, claim(core, now), Relaxed, Relaxed).is_ok()
    }

    /// Gives a claim back whose trial has said nothing.
    pub(super) fn release_trial(&self, core: CoreId, sent: u64) {
        let claimed = self.trial.load(Relaxed);
        if claimed != 0 && claimed & CORE_MASK == claim(core, 0) & CORE_MASK && sent >= claimed >> CORE_BITS {
            // Where that fails it is another's by now.
            let _theirs = self.trial.compare_exchange(claimed, 0, Relaxed, Relaxed);
        }
    }

    /// When a trial was claimed, if one is.
    pub(super) fn trial(&self) -> Option<u64> {
        Some(self.trial.load(Relaxed)).filter(|claimed| *claimed != 0).map(|claimed| claimed >> CORE_BITS)
    }

    /// Forgets the claim: the trial has been judged.
    pub(super) fn judge_trial(&self) {
        self.trial.store(0, Relaxed);
    }
}

/// A trial that has said nothing for so long is made again, in microseconds.
const TRIAL_US: u64 = 60_000_000;
const CORE_BITS: u32 = 16;
const CORE_MASK: u64 = (1 << CORE_BITS) - 1;

/// Never 0.
fn claim(core: CoreId, now: u64) -> u64 {
    now << CORE_BITS | ((u64::from(core.0) + 1) & CORE_MASK)
}
