//! One core: an OS thread pinned to a CPU, with an event loop of its own. It takes messages, ticks the clock, accepts; a
//! panic outside of a connection's task ends the loop, and the thread builds another.
//!
//! It refuses to know what a request is.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::address::Address;
use crate::buf;
use crate::id::CoreId;
use crate::id::ListenerSlot;
use crate::io::listen;
use crate::io::listen::Acceptor;
use crate::io::memory;
use crate::io::ring;
use crate::io::ring::Built;
use crate::io::ring::Plan;
use crate::io::task;
use crate::observe::access_log::LogBuffer;
use crate::observe::metrics::Slab;
use crate::serve::accept;
use crate::shard::Shard;
use crate::shard::mailbox::Drill;
use crate::shard::mailbox::Inbox;
use crate::shard::mailbox::Message;
use crate::shard::mailbox::Opened;
use crate::shard::mailbox::Stage;
use crate::snapshot::Snapshot;
use crate::time::TICK;
use crate::time::us;

/// What a core is started with.
#[derive(Debug)]
pub struct Seed {
    /// Which core.
    pub core: CoreId,
    /// The CPU to pin it to; none leaves it to the kernel.
    pub cpu: Option<usize>,
    /// The loop to build.
    pub plan: Plan,
    /// Where its messages come.
    pub inbox: Inbox,
    /// Where it counts.
    pub slab: Arc<Slab>,
    /// Where it notes exchanges.
    pub log: LogBuffer,
    /// What it serves at first.
    pub snapshot: Arc<Snapshot>,
    /// Its sockets of the snapshot's listeners.
    pub opened: Vec<Opened>,
}

/// Starts a core's thread.
///
/// # Errors
/// When the system has no thread to give.
pub fn spawn(seed: Seed) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(format!("core-{}", seed.core.0)).spawn(move || live(seed))
}

/// A core's listening sockets: one end stays here, so that a loop built anew can accept from them again.
type Sockets = Rc<RefCell<Vec<Opened>>>;

/// Deaths within [`DEATHS_TIME`] after which a core is not started again.
const DEATHS: usize = 5;
const DEATHS_TIME: Duration = Duration::from_secs(10);

fn live(seed: Seed) {
    let Seed { core, cpu, plan, inbox, slab, log, snapshot, opened } = seed;
    pin(cpu, &inbox);
    let inbox = Rc::new(inbox);
    let sockets: Sockets = Rc::new(RefCell::new(opened));
    let log = Rc::new(RefCell::new(log));
    let mut snapshot = snapshot;
    let mut deaths: Vec<Instant> = Vec::new();
    let end = Rc::new(Cell::new(None));
    loop {
        let shard = Rc::new(Shard::new(core, slab.clone(), log.clone(), snapshot));
        let life = Life {
            shard: shard.clone(),
            inbox: inbox.clone(),
            sockets: sockets.clone(),
            acceptors: Rc::default(),
            end: end.clone(),
        };
        let ended = ring::run(plan, &shard.wheel, |built| life.run(built));
        shard.flush_log();
        let fault = match ended {
            Ok(ring::Ended::Done) => break,
            Ok(ring::Ended::Died(message)) => message,
            Err(error) => {
                inbox.set_report(|report| report.fault = format!("no event loop can be built: {error}"));
                break;
            }
        };
        tracing::error!(core = core.0, message = %fault, "a core died and is started again");
        inbox.set_report(|report| report.fault.clone_from(&fault));
        bury(&shard, &sockets);
        snapshot = shard.generation().snapshot.clone();
        let now = shard.clock.now();
        deaths.retain(|death| now.saturating_duration_since(*death) < DEATHS_TIME);
        deaths.push(now);
        if deaths.len() > DEATHS {
            tracing::error!(core = core.0, "a core died too often and stays down");
            break;
        }
    }
    // The dead loops' accepts still hold these sockets open: nobody must wait in their queues.
    sockets.borrow().iter().for_each(|own| listen::leave(&own.address, &own.socket));
    inbox.set_stage(Stage::Ended);
}

fn pin(cpu: Option<usize>, inbox: &Inbox) {
    let pinned = cpu.filter(|id| core_affinity::set_for_current(core_affinity::CoreId { id: *id }));
    if let (Some(cpu), None) = (cpu, pinned) {
        tracing::warn!(cpu, "the core's thread could not be pinned; the kernel moves it as it likes");
    }
    inbox.set_report(|report| report.cpu = pinned);
}

/// Settles what a dead core leaves behind: its connections are closed already, their places are given back, and its
/// listeners are taken from the dead loop.
fn bury(shard: &Shard, sockets: &Sockets) {
    shard.estate.settle(&shard.slab, shard.core);
    shard.generation().snapshot.board.bury(shard.core);
    for own in sockets.borrow_mut().iter_mut() {
        match listen::renew(&own.address, &own.socket) {
            Ok(fresh) => own.socket = fresh,
            Err(error) => tracing::error!(%error, "a listener could not be opened again"),
        }
    }
    shard.slab.restarts.add(1);
}

/// What a life of a core accepts from.
type Acceptors = Rc<RefCell<Vec<Entry>>>;

/// One of them: an address of a listener.
#[derive(Debug)]
struct Entry {
    slot: ListenerSlot,
    address: Address,
    acceptor: Rc<Acceptor>,
}

/// One life of a core: from one loop to its end.
#[derive(Clone)]
struct Life {
    shard: Rc<Shard>,
    inbox: Rc<Inbox>,
    sockets: Sockets,
    acceptors: Acceptors,
    /// When what runs is cut, once the core drains; it outlives a loop that dies meanwhile.
    end: Rc<Cell<Option<Instant>>>,
}

impl Life {
    async fn run(self, built: Built) {
        let Built { io, flags, reason } = built;
        tracing::info!(core = self.shard.core.0, io, flags, reason, "a core runs");
        self.inbox.set_report(|report| {
            report.io = io;
            report.flags = flags;
            report.reason = reason;
        });
        self.accept();
        self.inbox.acknowledge(self.shard.generation().snapshot.sequence);
        let draining = self.end.get().is_some();
        self.shard.draining.set(draining);
        self.inbox.set_stage(if draining { Stage::Draining } else { Stage::Serving });
        self.follow();
        let mut cut = None;
        let mut last = [0; STANDING];
        let mut ticks = 0_u32;
        while !self.over(self.end.get(), &mut cut) {
            task::sleep(TICK).await;
            let late = us(self.shard.tick());
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(TIDYING) {
                buf::thin_out();
                self.shard.rooms.thin_out();
                memory::give_back();
            }
            // A high-water mark that fades, so that a look now and then sees the spikes in between.
            let faded = self.shard.slab.loop_lag_us.get() / 64 * 63;
            self.shard.slab.loop_lag_us.set(late.max(faded));
            last.rotate_left(1);
            last[STANDING - 1] = late;
            self.shard.slab.standing_lag_us.set(last.into_iter().min().unwrap_or(0));
        }
    }

    /// Whether a draining core is done. Past the deadline what still runs is cut, once.
    fn over(&self, end: Option<Instant>, cut: &mut Option<Instant>) -> bool {
        let Some(deadline) = end else { return false };
        let now = self.shard.clock.coarse();
        if self.shard.slab.connections.get() == 0 {
            return true;
        }
        match *cut {
            None if now >= deadline => {
                self.shard.expired.set(true);
                self.shard.wheel.cut_all();
                self.shard.gates.clear();
                *cut = Some(now);
                false
            }
            None => false,
            Some(cut) => now >= cut + CUT_TIME,
        }
    }

    /// Takes messages as they come, between two requests.
    fn follow(&self) {
        let (inbox, life) = (self.inbox.clone(), self.clone());
        task::spawn_bare(async move {
            let heard = task::listen(inbox.bell(), || {
                while let Some(message) = life.inbox.take() {
                    life.obey(message);
                }
                true
            });
            if let Err(error) = heard.await {
                tracing::error!(%error, "a core can no longer hear its mailbox");
            }
        });
    }

    fn obey(&self, message: Message) {
        match message {
            Message::Publish { snapshot, opened } => {
                self.replace(opened);
                let sequence = snapshot.sequence;
                self.shard.publish(snapshot);
                self.accept();
                self.inbox.acknowledge(sequence);
            }
            Message::Drain { deadline } => {
                self.inbox.set_stage(Stage::Draining);
                self.shard.draining.set(true);
                self.close_listeners();
                self.shard.wheel.cut_idle(|_| true);
                self.shard.wheel.drain(deadline);
                self.shard.pools.clear();
                self.end.set(Some(deadline));
            }
            Message::Stop => {
                self.inbox.set_stage(Stage::Draining);
                self.shard.draining.set(true);
                self.close_listeners();
                self.end.set(Some(self.shard.clock.coarse()));
            }
            Message::Drill(drill) => self.drill(drill),
        }
    }

    /// Takes new sockets. One for an address of a listener that has one already takes its place.
    fn replace(&self, opened: Vec<Opened>) {
        for new in opened {
            self.sockets.borrow_mut().retain(|own| own.slot != new.slot || own.address != new.address);
            self.close_unless(|slot, address| slot != new.slot || *address != new.address);
            self.sockets.borrow_mut().push(new);
        }
    }

    /// Closes the acceptors that are not to stay.
    fn close_unless(&self, stays: impl Fn(ListenerSlot, &Address) -> bool) {
        self.acceptors.borrow_mut().retain(|entry| {
            stays(entry.slot, &entry.address) || {
                entry.acceptor.close();
                false
            }
        });
    }

    fn drill(&self, drill: Drill) {
        tracing::warn!(core = self.shard.core.0, ?drill, "a drill was asked for");
        match drill {
            Drill::Connection => self.shard.drill.set(true),
            #[expect(clippy::panic, reason = "a drill proves that a core's panic is survived")]
            Drill::Core => panic!("a drill"),
        }
    }

    /// Accepts at the addresses of the listeners in force, and closes those that have left.
    fn accept(&self) {
        let generation = self.shard.generation();
        let wanted = |slot: ListenerSlot, address: &Address| {
            generation.listener(slot).is_some_and(|listener| listener.settings.bind.contains(address))
        };
        self.sockets.borrow_mut().retain(|own| wanted(own.slot, &own.address));
        self.close_unless(wanted);
        for own in self.sockets.borrow().iter() {
            let known = |entry: &Entry| entry.slot == own.slot && entry.address == own.address;
            if self.acceptors.borrow().iter().any(known) {
                continue;
            }
            match own.socket.try_clone().and_then(|socket| Acceptor::new(&own.address, socket)) {
                Ok(acceptor) => {
                    let (slot, address, acceptor) = (own.slot, own.address.clone(), Rc::new(acceptor));
                    accept::start(&self.shard, slot, &acceptor);
                    self.acceptors.borrow_mut().push(Entry { slot, address, acceptor });
                }
                Err(error) => tracing::error!(%error, "a listener could not be taken over"),
            }
        }
    }

    fn close_listeners(&self) {
        self.close_unless(|_, _| false);
        self.sockets.borrow_mut().clear();
    }
}

/// Time for what was cut to notice.
const CUT_TIME: Duration = Duration::from_millis(500);
/// Ticks between two looks at what may be given back.
const TIDYING: u32 = 20;
/// Ticks in a row that must have been late for the lag to stand: one that was held up, by whatever it was, says little.
const STANDING: usize = 5;
