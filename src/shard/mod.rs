//! Everything one core owns. Nothing of it is ever seen by another thread, and nothing of it is locked: cells are
//! borrowed for one call and never across an await.

pub mod generation;
pub mod ids;
pub mod mailbox;

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::balance::ledger::Ledger;
use crate::http::date;
use crate::id::CoreId;
use crate::id::ListenerSlot;
use crate::io::deadline::Wheel;
use crate::model::KeepAlive;
use crate::observe::access_log::LogBuffer;
use crate::observe::metrics::Slab;
use crate::observe::record::Record;
use crate::rand::Rng;
use crate::shard::generation::Generation;
use crate::shard::ids::Ids;
use crate::snapshot::Snapshot;
use crate::time::Clock;
use crate::time::TICK;
use crate::upstream::pool::Pools;

/// What one core owns.
#[derive(Debug)]
pub struct Shard {
    /// Which core.
    pub core: CoreId,
    /// Its time.
    pub clock: Clock,
    /// Its chance.
    pub rng: Rng,
    /// Its counts.
    pub slab: Arc<Slab>,
    /// Its deadlines.
    pub wheel: Rc<Wheel>,
    /// Its hand on what the cores know of the endpoints together.
    pub ledger: Rc<Ledger>,
    /// Its idle connections to endpoints.
    pub pools: Rc<Pools>,
    /// Makes request ids.
    pub ids: Ids,
    /// Whether it finishes what runs and takes nothing new.
    pub draining: Cell<bool>,
    /// Whether the drain's time is over, and what still runs was cut.
    pub expired: Cell<bool>,
    /// Whether the next exchange is to panic; see [`mailbox::Drill`].
    pub drill: Cell<bool>,
    date: Cell<[u8; date::DATE_BYTES]>,
    generation: RefCell<Rc<Generation>>,
    log: Rc<RefCell<LogBuffer>>,
}

impl Shard {
    /// A core's belongings, serving a snapshot.
    #[must_use]
    pub fn new(core: CoreId, slab: Arc<Slab>, log: Rc<RefCell<LogBuffer>>, snapshot: Arc<Snapshot>) -> Self {
        let clock = Clock::default();
        let rng = Rng::from_system();
        let wheel = Rc::new(Wheel::new(clock.start()));
        let pools = Rc::new(Pools::new(wheel.clone(), slab.clone()));
        let ledger = Ledger::new(snapshot.board.clone(), core);
        let generation = Generation::bind(snapshot, None, &ledger, &pools, &rng);
        let ids = Ids::new(&rng);
        let shard = Self {
            core,
            clock,
            rng,
            slab,
            wheel,
            ledger,
            pools,
            ids,
            draining: Cell::new(false),
            expired: Cell::new(false),
            drill: Cell::new(false),
            date: Cell::new([b' '; date::DATE_BYTES]),
            generation: RefCell::new(Rc::new(generation)),
            log,
        };
        shard.date.set(date::line(shard.clock.unix_seconds()));
        shard
    }

    /// The configuration in force, for as long as one exchange holds it.
    #[inline]
    #[must_use]
    pub fn generation(&self) -> Rc<Generation> {
        self.generation.borrow().clone()
    }

    /// Serves another snapshot from the next request on; what runs goes on with the one it began with.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let before = self.generation();
        let next = Generation::bind(snapshot, Some(&before), &self.ledger, &self.pools, &self.rng);
        self.generation.replace(Rc::new(next));
    }

    /// How long a listener's connections are kept. None is kept once the core drains, or the listener has left the
    /// configuration.
    #[must_use]
    pub fn keep_alive(&self, listener: ListenerSlot) -> Option<KeepAlive> {
        let generation = self.generation.borrow();
        let listener = generation.listener(listener).filter(|_| !self.draining.get())?;
        Some(listener.settings.keep_alive)
    }

    /// The time now, exact, as the board counts it: microseconds on a clock that all cores share.
    #[inline]
    #[must_use]
    pub fn board_now(&self) -> u64 {
        self.ledger.board().at(self.clock.now())
    }

    /// Counts an exchange and notes it for the log.
    pub fn observe(&self, record: &Record<'_>) {
        let cause = record.ended.cause;
        self.slab.exchanges.add(1);
        self.slab.bytes_in.add(record.bytes_in);
        self.slab.bytes_out.add(record.bytes_out);
        if let Some(count) = self.slab.causes.get(cause as usize) {
            count.add(1);
        }
        let dropped = self.log.borrow_mut().push(record);
        self.slab.log_dropped.add(dropped);
    }

    /// Hands what is noted for the log to its writer.
    pub fn flush_log(&self) {
        let dropped = self.log.borrow_mut().flush();
        self.slab.log_dropped.add(dropped);
    }

    /// The value of a `Date` field now, to the second.
    #[inline]
    #[must_use]
    pub fn date(&self) -> [u8; date::DATE_BYTES] {
        self.date.get()
    }

    /// What is due every tick: deadlines, the date, idle connections, the log. Says by how much the tick was late.
    pub fn tick(&self) -> Duration {
        let late = self.clock.tick().saturating_sub(TICK);
        self.wheel.advance(self.clock.coarse());
        self.date.set(date::line(self.clock.unix_seconds()));
        self.pools.sweep(self.clock.coarse());
        self.flush_log();
        late
    }
}
