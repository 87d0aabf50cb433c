//! All cores in one thread: each has its ledger and its picker on the one board, and they take turns. It refuses to know
//! what a look costs.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ringway::balance::Ask;
use ringway::balance::Picker;
use ringway::balance::Tried;
use ringway::balance::board::Board;
use ringway::balance::ledger::Flight;
use ringway::balance::ledger::Ledger;
use ringway::balance::plan::Candidate;
use ringway::balance::plan::Plan;
use ringway::balance::plan::Rules;
use ringway::id::CoreId;
use ringway::id::EndpointSlot;
use ringway::id::UpstreamSlot;
use ringway::rand::Rng;

/// Between two requests of a core: 40,000 a second.
pub const STEP_NS: u64 = 25_000;
/// Requests that a core has in flight: each takes a millisecond.
const IN_FLIGHT: usize = 40;
const FLEET: UpstreamSlot = UpstreamSlot(1);

/// The cores.
pub struct Cores {
    cores: Vec<Core>,
    ns: u64,
}

struct Core {
    ledger: Rc<Ledger>,
    picker: Picker,
    rng: Rng,
    flights: VecDeque<Flight>,
}

/// What a core did in its turn.
#[derive(Clone, Copy)]
pub struct Turn {
    /// Whose it was.
    pub core: usize,
    /// The place of the endpoint that answered, if one did.
    pub answered: Option<usize>,
    /// The place of the endpoint that the next request went to.
    pub went: usize,
    /// When, in microseconds.
    pub now: u64,
    /// Looks that the choice has made at other cores.
    pub looks: u64,
}

impl Cores {
    /// So many before so many endpoints, each with its requests in flight. The rules say how old what is
    /// known of other cores may be.
    pub fn new(cores: u32, endpoints: u32, rules: Rules) -> Self {
        let board = Arc::new(Board::new(cores as usize, Instant::now()));
        let slots = (1..=endpoints).map(EndpointSlot);
        let candidates = slots.map(|slot| Candidate::plain(slot, &format!("10.0.0.{}:80", slot.0))).collect();
        let plan = Arc::new(Plan::new(rules, candidates));
        let cores = (0..cores).map(|core| {
            let (ledger, rng) = (Ledger::new(board.clone(), CoreId(core)), Rng::seeded(u64::from(core) + 7));
            let picker = Picker::bind(&ledger, FLEET, &plan, None, &rng);
            Core { ledger, picker, rng, flights: VecDeque::with_capacity(IN_FLIGHT + 1) }
        });
        Self { cores: cores.collect(), ns: 1_000_000_000 }
    }

    /// A turn of each core; `seen` is told of every one.
    pub fn round(&mut self, mut seen: impl FnMut(Turn)) {
        let step = STEP_NS / self.cores.len() as u64;
        self.ns += STEP_NS;
        for ((at, core), turn) in self.cores.iter_mut().enumerate().zip(0..) {
            let now = (self.ns + turn * step) / 1000;
            let before = core.picker.stale_looks();
            let (answered, went) = core.turn(now);
            let looks = core.picker.stale_looks() - before;
            seen(Turn { core: at, answered, went, now, looks });
        }
    }

    /// Nanoseconds of one turn: the fastest of some parts, each of so many rounds. Fewer cores have more parts.
    pub fn fastest(&mut self, rounds: u64) -> f64 {
        let parts = (512 / self.cores.len()).clamp(6, 64);
        let turns = rounds * self.cores.len() as u64;
        let mut part = || {
            let began = Instant::now();
            (0..rounds).for_each(|_| self.round(|_| {}));
            began.elapsed().as_secs_f64() * 1e9 / turns as f64
        };
        part();
        (0..parts).map(|_| part()).fold(f64::MAX, f64::min)
    }
}

impl Core {
    /// What a request shares: one is answered and done with, the next is counted, has its endpoint chosen and is sent.
    #[inline]
    fn turn(&mut self, now: u64) -> (Option<usize>, usize) {
        let mut answered = None;
        if self.flights.len() == IN_FLIGHT
            && let Some(flight) = self.flights.pop_front()
        {
            flight.answered(1000 + (self.rng.next() & 127));
            answered = Some(flight.slot().index() - 1);
        }
        self.ledger.request(FLEET);
        let (tried, rng) = (Tried::default(), &self.rng);
        let ask = Ask { tried: &tried, key: None, sticky: None };
        let place = self.picker.pick(&ask, now, rng).unwrap_or(0);
        let slot = EndpointSlot(u32::try_from(place).unwrap_or(0) + 1);
        self.flights.push_back(self.ledger.begin(slot, now));
        (answered, place)
    }
}
