//! Hashing against what it promises: even tables, few keys that move, loads within their bound.

use std::collections::HashMap;

use super::board::Order;
use super::hash::Member;
use super::hash::Table;
use super::plan::Rules;
use super::tests::Stage;
use super::tests::candidates;
use super::*;
use crate::id::EndpointSlot;
use crate::model::HashTable;

fn members(n: u16, weight: impl Fn(u16) -> u32) -> Vec<Member> {
    let id = |place: u16| hash::of(format!("10.0.{}.{}:8080", place / 250, place % 250).as_bytes());
    (0..n).map(|place| Member { place, id: id(place), weight: weight(place) }).collect()
}

fn key(n: usize) -> u64 {
    hash::of(&n.to_be_bytes())
}

fn owners(table: &Table, keys: usize) -> Vec<usize> {
    (0..keys).map(|n| table.walk(key(n)).next().unwrap()).collect()
}

fn counts(owners: &[usize], n: usize) -> Vec<usize> {
    let mut counts = vec![0; n];
    owners.iter().for_each(|owner| counts[*owner] += 1);
    counts
}

#[test]
fn a_maglev_table_is_even_to_a_hundredth() {
    for n in [1, 2, 3, 20, 500] {
        let Table::Maglev(table) = Table::maglev(&members(n, |_| 1)) else { panic!() };
        let places: Vec<_> = table.iter().map(|place| usize::from(*place)).collect();
        let counts = counts(&places, usize::from(n));
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert_eq!(counts.iter().sum::<usize>(), 65_537);
        assert!(most - least <= 1, "{n}: {least} to {most}");
    }
}

#[test]
fn weights_are_kept() {
    let weight = |place| if place == 3 { 3 } else { 1 };
    for (table, give) in [(Table::maglev(&members(6, weight)), 0.01), (Table::ring(&members(6, weight)), 0.25)] {
        let counts = counts(&owners(&table, 80_000), 6);
        for (place, count) in counts.iter().enumerate() {
            let fair = if place == 3 { 30_000.0 } else { 10_000.0 };
            let off = (f64::from(u32::try_from(*count).unwrap()) / fair - 1.0).abs();
            assert!(off < give + 0.03, "{place}: {counts:?}");
        }
    }
}

#[test]
fn few_keys_move_when_one_leaves() {
    let all = members(20, |_| 1);
    let fewer: Vec<_> = all.iter().copied().filter(|member| member.place != 7).collect();
    for (build, most) in [(Table::maglev as fn(&[Member]) -> Table, 600), (Table::ring, 0)] {
        let (before, after) = (owners(&build(&all), 20_000), owners(&build(&fewer), 20_000));
        let moved = before.iter().zip(&after).filter(|(before, after)| **before != 7 && before != after).count();
        assert!(moved <= most, "{moved} of 20,000 moved that need not have");
        assert!(after.iter().all(|owner| *owner != 7));
    }
}

#[test]
fn the_order_of_the_file_makes_no_difference() {
    let all = members(9, |_| 1);
    let mut turned = all.clone();
    turned.reverse();
    for build in [Table::maglev as fn(&[Member]) -> Table, Table::ring] {
        assert_eq!(owners(&build(&all), 1000), owners(&build(&turned), 1000));
    }
}

fn hashed(cores: u32, n: usize, bound_percent: u32) -> Stage {
    let hashing = Hashing { keys: Vec::new(), table: HashTable::Maglev, bound_percent };
    let rules = Rules { balance: Balance::Hash(hashing), ..Rules::default() };
    Stage::new(cores, rules, candidates(&vec![1; n]), 6)
}

impl Stage {
    fn keyed(&mut self, core: usize, key: Option<u64>) -> usize {
        let ask = Ask { tried: &Tried::default(), key, sticky: None };
        self.pickers[core].pick(&ask, self.now, &self.rng).unwrap()
    }
}

#[test]
fn a_key_goes_to_one_endpoint_from_every_core_and_elsewhere_only_while_that_is_down() {
    let mut stage = hashed(3, 10, 0);
    let before: Vec<_> = (0..500).map(|n| stage.keyed(0, Some(key(n)))).collect();
    let again: Vec<_> = (0..500).map(|n| stage.keyed(2, Some(key(n)))).collect();
    assert_eq!(before, again);
    let board = stage.ledgers[0].board().clone();
    board.standing(EndpointSlot(5)).set_order(Order::Down);
    for (n, before) in before.iter().enumerate() {
        let now = stage.keyed(1, Some(key(n)));
        assert_eq!(now == *before, *before != 4, "key {n}");
    }
    board.standing(EndpointSlot(5)).set_order(Order::Ready);
    assert_eq!(before, (0..500).map(|n| stage.keyed(0, Some(key(n)))).collect::<Vec<_>>());
}

#[test]
fn without_a_key_the_least_loaded_is_taken() {
    let mut stage = hashed(1, 2, 125);
    let _busy = stage.begin(0, 0);
    assert!((0..20).all(|_| stage.keyed(0, None) == 1));
}

#[test]
fn no_endpoint_holds_more_than_its_bound_of_what_all_cores_have() {
    let mut stage = hashed(16, 20, 125);
    let mut flights = Vec::new();
    let mut loads: HashMap<usize, u64> = HashMap::new();
    for n in 0..40_u64 {
        // One key, from core after core; what they know of each other is a millisecond old.
        stage.now += 1001;
        let place = stage.keyed(usize::try_from(n % 16).unwrap(), Some(77));
        let load = loads.entry(place).or_default();
        *load += 1;
        assert!(*load <= ((n + 1) * 125).div_ceil(2000).max(1), "{load} at one with {n} in flight");
        flights.push(stage.begin(usize::try_from(n % 16).unwrap(), place));
    }
    assert_eq!(loads.values().max(), Some(&3));
    // The same without a bound.
    let mut stage = hashed(16, 20, 0);
    let first = stage.keyed(0, Some(77));
    let _flights: Vec<_> = (0..40).map(|_| stage.begin(0, first)).collect();
    stage.now += 1001;
    assert_eq!(stage.keyed(1, Some(77)), first);
}
