//! The product's own policy as the simulation drives it: a board for each gateway, a ledger and a picker for each core,
//! through the interface that the cores use. Nothing of the policy is here.

use std::collections::HashMap;
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
use ringway::balance::plan::REST_ENTRIES;
use ringway::balance::plan::Rules;
use ringway::id::CoreId;
use ringway::id::EndpointSlot;
use ringway::id::UpstreamSlot;
use ringway::rand::Rng;

use super::chance::Chance;
use super::policy::Answer;
use super::policy::Asked;
use super::policy::Policy;

/// The product, at so many gateways.
pub struct Product {
    fresh_us: u64,
    rest_entries: u64,
    gateways: usize,
    cores: usize,
    ledgers: Vec<Rc<Ledger>>,
    pickers: Vec<Picker>,
    members: Vec<usize>,
    chance: Chance,
    /// What is in flight, by core, server and time sent; those that cannot be told apart are alike.
    flights: HashMap<(usize, usize, u64), Vec<Flight>>,
}

const UPSTREAM: UpstreamSlot = UpstreamSlot(0);

impl Product {
    /// Cores of `gateways` that know each other as of `fresh_us` ago.
    pub fn new(gateways: usize, cores: usize, fresh_us: u64, seed: u64) -> Self {
        let epoch = Instant::now();
        let boards = (0..gateways).map(|_| Arc::new(Board::new(cores, epoch)));
        let hand = |board: &Arc<Board>, core: usize| Ledger::new(board.clone(), CoreId(core as u32));
        let ledgers = boards.flat_map(|board| (0..cores).map(|core| hand(&board, core)).collect::<Vec<_>>());
        Self {
            fresh_us,
            rest_entries: REST_ENTRIES,
            gateways,
            cores,
            ledgers: ledgers.collect(),
            pickers: Vec::new(),
            members: Vec::new(),
            chance: Chance::new(seed, 7),
            flights: HashMap::new(),
        }
    }

    /// Looks of all cores at each other.
    pub fn looks(&self) -> u64 {
        self.pickers.iter().map(Picker::stale_looks).sum()
    }

    /// The same, with another bound of cores times servers up to which all have to be known as well as the one that is chosen.
    pub fn resting(self, rest_entries: u64) -> Self {
        Self { rest_entries, ..self }
    }
}

impl Policy for Product {
    fn pick(&mut self, asked: &Asked) -> usize {
        let tried = Tried::default();
        let ask = Ask { tried: &tried, key: None, sticky: None };
        let place = self.pickers[asked.core].pick(&ask, asked.at, asked.chance.rng());
        place.map_or(self.members[0], |place| self.members[place])
    }

    fn sent(&mut self, at: u64, core: usize, server: usize) {
        self.ledgers[core].request(UPSTREAM);
        let flight = self.ledgers[core].begin(EndpointSlot(server as u32), at);
        self.flights.entry((core, server, at)).or_default().push(flight);
    }

    fn done(&mut self, answer: &Answer) {
        let key = (answer.core, answer.server, answer.sent);
        let Some(flights) = self.flights.get_mut(&key) else { return };
        if let Some(flight) = flights.pop() {
            if answer.ok {
                flight.answered(answer.latency);
            } else {
                flight.failed(answer.at, None);
            }
        }
        if flights.is_empty() {
            self.flights.remove(&key);
        }
    }

    fn members(&mut self, _at: u64, members: &[usize]) {
        self.members = members.to_vec();
        let address = |server: &usize| format!("10.0.{}.{}:80", server / 250, server % 250 + 1);
        let candidate = |server: &usize| Candidate::plain(EndpointSlot(*server as u32), &address(server));
        let candidates: Vec<Candidate> = members.iter().map(candidate).collect();
        let rng = Rng::seeded(self.chance.rng().next());
        let (fresh_us, rest_entries) = (self.fresh_us, self.rest_entries);
        let rules = || Rules { fresh_us, rest_entries, ..Rules::default() };
        let plans: Vec<Arc<Plan>> =
            (0..self.gateways).map(|_| Arc::new(Plan::new(rules(), candidates.clone()))).collect();
        let before = std::mem::take(&mut self.pickers);
        for (core, ledger) in self.ledgers.iter().enumerate() {
            let plan = &plans[core / self.cores];
            self.pickers.push(Picker::bind(ledger, UPSTREAM, plan, before.get(core), &rng));
        }
    }
}
