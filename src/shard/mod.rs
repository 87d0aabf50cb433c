//! Everything one core owns. Nothing of it is ever seen by another thread, and nothing of it is locked: cells are
//! borrowed for one call and never across an await.

pub mod estate;
pub mod gates;
pub mod generation;
pub mod ids;
pub mod mailbox;

mod warm;

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::balance::board::Order;
use crate::balance::ledger::Ledger;
use crate::http::date;
use crate::id::CoreId;
use crate::id::ListenerSlot;
use crate::io::deadline::Wheel;
use crate::io::room::Rooms;
use crate::model::KeepAlive;
use crate::observe::access_log::LogBuffer;
use crate::observe::metrics::Closing;
use crate::observe::metrics::Slab;
use crate::observe::metrics::Thrift;
use crate::observe::record::Record;
use crate::rand::Rng;
use crate::shard::estate::Estate;
use crate::shard::gates::Gates;
use crate::shard::generation::Generation;
use crate::shard::ids::Ids;
use crate::shard::warm::Warm;
use crate::snapshot::Snapshot;
use crate::snapshot::overload::Grade;
use crate::snapshot::overload::Overload;
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
    /// Who waits before its upstreams, and how fast these are.
    pub gates: Gates,
    /// Makes request ids.
    pub ids: Ids,
    /// Room for its exchanges.
    pub rooms: Rooms,
    /// TLS handshakes of clients under way.
    pub handshakes: Cell<u32>,
    /// Whether it finishes what runs and takes nothing new.
    pub draining: Cell<bool>,
    /// Whether the drain's time is over, and what still runs was cut.
    pub expired: Cell<bool>,
    /// Whether the next exchange is to panic; see [`mailbox::Drill`].
    pub drill: Cell<bool>,
    /// What it owes to numbers that all cores share.
    pub estate: Estate,
    overload: Arc<Overload>,
    warm: Warm,
    date: Cell<[u8; date::DATE_BYTES]>,
    generation: RefCell<Rc<Generation>>,
    log: Rc<RefCell<LogBuffer>>,
}

/// Client connections awake at once that may all wait with their buffers in hand. Thousands that come within a second, ask once
/// and idle, would hold four kilobytes each.
const AWAKE: u64 = 1024;

impl Shard {
    /// A core's belongings, serving a snapshot.
    #[must_use]
    pub fn new(core: CoreId, slab: Arc<Slab>, log: Rc<RefCell<LogBuffer>>, snapshot: Arc<Snapshot>) -> Self {
        let clock = Clock::since(snapshot.board.epoch());
        let rng = Rng::from_system();
        let wheel = Rc::new(Wheel::new(clock.start()));
        let pools = Rc::new(Pools::new(wheel.clone(), slab.clone()));
        let (overload, warm) = (snapshot.overload.clone(), Warm::default());
        warm.bind(&snapshot);
        let estate = Estate::default();
        estate.bind(&snapshot);
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
            gates: Gates::default(),
            ids,
            rooms: Rooms::default(),
            handshakes: Cell::new(0),
            draining: Cell::new(false),
            expired: Cell::new(false),
            drill: Cell::new(false),
            estate,
            overload,
            warm,
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

    /// Serves another snapshot from the next request on; what runs goes on with the one it began with. Clients that idle at a
    /// listener that is no more are sent away, before they ask for what nobody would answer.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let before = self.generation();
        self.warm.bind(&snapshot);
        self.estate.bind(&snapshot);
        let next = Generation::bind(snapshot, Some(&before), &self.ledger, &self.pools, &self.rng);
        let listeners = &before.snapshot.listeners;
        let gone = listeners.iter().map(|listener| listener.slot).filter(|slot| next.listener(*slot).is_none());
        let gone: Vec<u16> = gone.map(kin).collect();
        self.generation.replace(Rc::new(next));
        if !gone.is_empty() {
            self.wheel.cut_idle(|kin| gone.contains(&kin));
        }
    }

    /// How long a listener's connections are kept. None is kept once the core drains, or the listener has left the
    /// configuration or reads no requests any more.
    #[must_use]
    pub fn keep_alive(&self, listener: ListenerSlot) -> Option<KeepAlive> {
        let generation = self.generation.borrow();
        let listener = generation.listener(listener).filter(|listener| listener.relay.is_none())?;
        (!self.draining.get()).then_some(listener.settings.keep_alive)
    }

    /// Why no client's connection is kept at all, where [none is](Self::keep_alive).
    #[must_use]
    pub fn parting(&self) -> Closing {
        if self.draining.get() { Closing::Drain } else { Closing::Removed }
    }

    /// What the gateway does because it is short of something itself. A load.
    #[inline]
    #[must_use]
    pub fn overload(&self) -> Grade {
        self.overload.grade()
    }

    /// Whether so many client connections are awake that those alone wait for their next request with their buffers in hand who
    /// use them. Two loads.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.slab.connections.get().saturating_sub(self.slab.parked.get()) > AWAKE
    }

    /// Counts an exchange and notes it for the log.
    pub fn observe(&self, record: &Record<'_>) {
        self.slab.exchanges.add(1);
        self.note(record);
    }

    /// Counts what was carried, one exchange or a whole connection, and notes it for the log.
    pub fn note(&self, record: &Record<'_>) {
        let cause = record.ended.cause;
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
        let (age, generation) = (self.clock.coarse_age(), self.generation());
        self.wheel.advance(self.clock.coarse());
        self.date.set(date::line(self.clock.unix_seconds()));
        let board = &generation.snapshot.board;
        self.gates.look();
        self.pools.sweep(age, |slot| board.standing(slot).order() != Order::Ready);
        match self.overload() {
            Grade::Calm if !self.draining.get() => self.warm.look(&generation, &self.pools, &self.rng, age),
            Grade::Calm => {}
            _ => self.thin_out(),
        }
        self.flush_log();
        late
    }

    /// Closes some of the clients' connections that idle, if what they hold is what the gateway is short of: not all at
    /// once, so that they do not come back all at once.
    fn thin_out(&self) {
        if self.overload.is_of_holdings() {
            let most = self.slab.parked.get() / THINNING + 1;
            let cut = self.wheel.cut_parked(usize::try_from(most).unwrap_or(usize::MAX));
            self.slab.thrift[Thrift::Parked as usize].add(cut as u64);
        }
    }
}

/// By what the wheel knows the waits of a listener's clients. The last of very many listeners are one to it.
#[must_use]
pub fn kin(listener: ListenerSlot) -> u16 {
    u16::try_from(listener.0).unwrap_or(u16::MAX)
}

/// Of so many idle connections of clients one is closed each tick, if they are to be closed.
const THINNING: u64 = 64;
