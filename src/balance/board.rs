//! What the cores know of the endpoints together. A row a core, which that core alone writes and the others add up; and
//! for each endpoint what was folded out of all rows, or was said of it by a health check or an operator.
//!
//! Everything is found by the slot of an endpoint, which belongs to its address for as long as the process lives: nothing
//! here notices a reload. Times are microseconds since the board was made, on a clock that all threads share; the board
//! does not look at it, it is given `now`.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::count::Count;
use crate::count::Table;
use crate::id::CoreId;
use crate::id::EndpointSlot;
use crate::limits;
use crate::time::us;

/// The knowledge of all cores.
#[derive(Debug)]
pub struct Board {
    epoch: Instant,
    rows: Box<[Row]>,
    standings: Box<[OnceLock<Box<[Standing]>>]>,
}

/// What one core has done, by endpoint.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Row {
    loads: Table<Load>,
}

/// What one core has at one endpoint, and has had.
#[derive(Debug, Default)]
pub struct Load {
    /// Requests in flight now.
    pub in_flight: Count,
    /// The sum of the times at which what is in flight was sent, wrapping.
    pub sent_us: Count,
    /// Good answers ever.
    pub good: Count,
    /// The sum of their times to the response head, each cut at three times the mean as it stood then.
    pub sum_us: Count,
    /// Failures ever.
    pub bad: Count,
}

/// What is known of one endpoint by all.
#[derive(Debug, Default)]
pub struct Standing {
    health: AtomicU8,
    order: AtomicU8,
    weight: AtomicU32,
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

impl Board {
    /// A board for so many cores.
    #[must_use]
    pub fn new(cores: usize, epoch: Instant) -> Self {
        let rows = (0..cores.max(1)).map(|_| Row::default()).collect();
        let pages = limits::LABELS / PAGE;
        Self { epoch, rows, standings: (0..pages).map(|_| OnceLock::new()).collect() }
    }

    /// A moment as the board counts it, in microseconds.
    #[inline]
    #[must_use]
    pub fn at(&self, moment: Instant) -> u64 {
        us(moment.saturating_duration_since(self.epoch))
    }

    /// The row of a core. One past the last shares the last's.
    #[must_use]
    pub fn row(&self, core: CoreId) -> &Row {
        let last = self.rows.len().saturating_sub(1);
        &self.rows[core.index().min(last)]
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What is known of an endpoint.
    #[inline]
    #[must_use]
    pub fn standing(&self, slot: EndpointSlot) -> &Standing {
        let slot = if slot.index() < limits::LABELS { slot.index() } else { 0 };
        let page = self.standings[slot / PAGE].get_or_init(|| (0..PAGE).map(|_| Standing::default()).collect());
        &page[slot % PAGE]
    }

    /// Requests in flight at an endpoint, all cores together.
    #[must_use]
    pub fn in_flight(&self, slot: EndpointSlot) -> u64 {
        self.rows.iter().filter_map(|row| row.loads.peek(slot.index())).map(|load| load.in_flight.get()).sum()
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
    #[must_use]
    pub fn peek(&self, slot: EndpointSlot) -> Option<&Load> {
        self.loads.peek(slot.index())
    }
}

impl Standing {
    /// What the health check says.
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
    }

    /// What an operator has ordered.
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
    }

    /// The weight that an operator has given it, instead of the configuration's.
    #[must_use]
    pub fn weight(&self) -> Option<u32> {
        Some(self.weight.load(Relaxed)).filter(|weight| *weight > 0)
    }

    /// Notes a weight, or takes it back. For the control thread alone.
    pub fn set_weight(&self, weight: Option<u32>) {
        self.weight.store(weight.unwrap_or(0), Relaxed);
    }
}
