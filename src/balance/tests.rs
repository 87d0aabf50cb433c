//! The policies against what they promise, seeded.

use std::time::Instant;

use super::board::Board;
use super::ledger::Flight;
use super::plan::Rules;
use super::*;
use crate::id::CoreId;
use crate::id::EndpointSlot;

/// Cores in one thread, at one upstream.
pub(super) struct Stage {
    pub(super) ledgers: Vec<Rc<Ledger>>,
    pub(super) pickers: Vec<Picker>,
    pub(super) now: u64,
    pub(super) rng: Rng,
}

pub(super) const FLEET: UpstreamSlot = UpstreamSlot(1);

pub(super) fn candidates(weights: &[u32]) -> Vec<Candidate> {
    let slots = (1..).map(EndpointSlot);
    let plain = |slot: EndpointSlot| Candidate::plain(slot, &format!("10.0.0.{}:80", slot.0));
    slots.zip(weights).map(|(slot, weight)| Candidate { weight: *weight, ..plain(slot) }).collect()
}

impl Stage {
    pub(super) fn new(cores: u32, rules: Rules, candidates: Vec<Candidate>, seed: u64) -> Self {
        let board = Arc::new(Board::new(cores as usize, Instant::now()));
        let plan = Arc::new(Plan::new(rules, candidates));
        let rng = Rng::seeded(seed);
        let ledgers: Vec<_> = (0..cores).map(|core| Ledger::new(board.clone(), CoreId(core))).collect();
        let pickers = ledgers.iter().map(|ledger| Picker::bind(ledger, FLEET, &plan, None, &rng)).collect();
        Self { ledgers, pickers, now: 1_000_000, rng }
    }

    pub(super) fn plain(balance: Balance, weights: &[u32], seed: u64) -> Self {
        Self::new(1, Rules { balance, ..Rules::default() }, candidates(weights), seed)
    }

    pub(super) fn pick_but(&mut self, core: usize, tried: &Tried) -> Option<usize> {
        self.pickers[core].pick(&Ask { tried, key: None, sticky: None }, self.now, &self.rng)
    }

    pub(super) fn pick(&mut self, core: usize) -> usize {
        self.pick_but(core, &Tried::default()).unwrap()
    }

    pub(super) fn begin(&self, core: usize, place: usize) -> Flight {
        self.ledgers[core].begin(EndpointSlot(u32::try_from(place).unwrap() + 1), self.now)
    }

    fn counts(&mut self, picks: usize, n: usize) -> Vec<usize> {
        let mut counts = vec![0; n];
        (0..picks).for_each(|_| counts[self.pick(0)] += 1);
        counts
    }
}

#[test]
fn round_robin_keeps_the_weights_exactly_and_spreads_the_heavy_one() {
    let mut stage = Stage::plain(Balance::RoundRobin, &[5, 1, 1], 7);
    let picks: Vec<usize> = (0..700).map(|_| stage.pick(0)).collect();
    let share = |place| picks.iter().filter(|p| **p == place).count();
    assert!((495..=505).contains(&share(0)), "{}", share(0));
    let longest = picks.chunk_by(|a, b| a == b).filter(|run| run[0] == 0).map(<[usize]>::len).max().unwrap();
    assert!(longest <= 4, "{longest} in a row");
}

#[test]
fn round_robin_goes_on_where_it_was_after_a_reload() {
    let mut stage = Stage::plain(Balance::RoundRobin, &[1, 1, 1], 1);
    let turn: Vec<usize> = (0..3).map(|_| stage.pick(0)).collect();
    stage.pick(0);
    let before = stage.pickers.remove(0);
    stage.pickers.push(Picker::bind(&stage.ledgers[0], FLEET, &before.plan, Some(&before), &stage.rng));
    let next: Vec<usize> = (0..2).map(|_| stage.pick(0)).collect();
    assert_eq!(next, turn[1..]);
}

#[test]
fn least_request_takes_the_least_loaded_for_its_weight() {
    let mut stage = Stage::plain(Balance::LeastRequest, &[1, 1, 4], 3);
    let _flights: Vec<_> = [0, 0, 1, 2, 2, 2, 2, 2, 2].iter().map(|place| stage.begin(0, *place)).collect();
    // (2+1)/1 = 3, (1+1)/1 = 2, (6+1)/4 = 1.75
    assert_eq!(stage.pick(0), 2);
    let mut tried = Tried::default();
    tried.note(2);
    assert_eq!(stage.pick_but(0, &tried), Some(1));
    tried.note(1);
    tried.note(0);
    assert_eq!(stage.pick_but(0, &tried), None);
}

#[test]
fn least_request_breaks_ties_by_chance() {
    for n in [2, 3, 8, 50] {
        let mut stage = Stage::plain(Balance::LeastRequest, &vec![1; n], 5);
        let counts = stage.counts(1000 * n, n);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{n}: {counts:?}");
    }
}

#[test]
fn least_request_under_load_keeps_a_large_fleet_level() {
    let mut stage = Stage::plain(Balance::LeastRequest, &[1; 100], 11);
    let mut loads = vec![0_u64; 100];
    let mut flights = Vec::new();
    for _ in 0..1000 {
        let place = stage.pick(0);
        flights.push(stage.begin(0, place));
        loads[place] += 1;
    }
    let most = *loads.iter().max().unwrap();
    assert!(most <= 13, "{most} at one endpoint with a mean of 10");
}

#[test]
fn what_was_tried_is_not_picked_while_another_is_left() {
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::Latency, Balance::Random] {
        let mut stage = Stage::plain(balance, &[1; 10], 2);
        let mut tried = Tried::default();
        for _ in 0..10 {
            let place = stage.pick_but(0, &tried).unwrap();
            assert!(!tried.has(place));
            tried.note(place);
        }
        assert_eq!(stage.pick_but(0, &tried), None);
    }
    // Where not all are looked at: of few, without drawing one twice, and of many.
    for n in [17, 256] {
        let mut stage = Stage::plain(Balance::Latency, &vec![1; n], 2);
        let mut tried = Tried::default();
        (0..Tried::MOST).for_each(|place| tried.note(place));
        for _ in 0..1000 {
            assert!(!tried.has(stage.pick_but(0, &tried).unwrap()));
        }
    }
}
