//! The policies against what they promise, seeded.

use std::cell::RefCell;

use super::*;

fn candidates(weights: &[u32]) -> Vec<Candidate> {
    let slots = (1..).map(EndpointSlot);
    slots.zip(weights).map(|(slot, weight)| Candidate { slot, weight: *weight }).collect()
}

fn counts(picker: &mut Picker, picks: usize, n: usize, rng: &Rng) -> Vec<usize> {
    let mut counts = vec![0; n];
    for _ in 0..picks {
        counts[picker.pick(&Tried::default(), &|_| 0, rng).unwrap()] += 1;
    }
    counts
}

#[test]
fn round_robin_keeps_the_weights_exactly_and_spreads_the_heavy_one() {
    let rng = Rng::seeded(7);
    let mut picker = Picker::bind(&Balance::RoundRobin, candidates(&[5, 1, 1]), None, &rng);
    let picks: Vec<usize> = (0..700).map(|_| picker.pick(&Tried::default(), &|_| 0, &rng).unwrap()).collect();
    let share = |place| picks.iter().filter(|p| **p == place).count();
    assert!((495..=505).contains(&share(0)), "{}", share(0));
    let longest = picks.chunk_by(|a, b| a == b).filter(|run| run[0] == 0).map(<[usize]>::len).max().unwrap();
    assert!(longest <= 4, "{longest} in a row");
}

#[test]
fn round_robin_goes_on_where_it_was_after_a_reload() {
    let rng = Rng::seeded(1);
    let mut before = Picker::bind(&Balance::RoundRobin, candidates(&[1, 1, 1]), None, &rng);
    let turn: Vec<usize> = (0..3).map(|_| before.pick(&Tried::default(), &|_| 0, &rng).unwrap()).collect();
    before.pick(&Tried::default(), &|_| 0, &rng);
    let mut after = Picker::bind(&Balance::RoundRobin, candidates(&[1, 1, 1]), Some(&before), &rng);
    let next: Vec<usize> = (0..2).map(|_| after.pick(&Tried::default(), &|_| 0, &rng).unwrap()).collect();
    assert_eq!(next, turn[1..]);
}

#[test]
fn least_request_takes_the_least_loaded_for_its_weight() {
    let rng = Rng::seeded(3);
    let mut picker = Picker::bind(&Balance::LeastRequest, candidates(&[1, 1, 4]), None, &rng);
    let load = |slot: EndpointSlot| [0, 2, 1, 6][slot.index()];
    // (2+1)/1 = 3, (1+1)/1 = 2, (6+1)/4 = 1.75
    assert_eq!(picker.pick(&Tried::default(), &load, &rng), Some(2));
    let mut tried = Tried::default();
    tried.note(2);
    assert_eq!(picker.pick(&tried, &load, &rng), Some(1));
    tried.note(1);
    tried.note(0);
    assert_eq!(picker.pick(&tried, &load, &rng), None);
}

#[test]
fn least_request_breaks_ties_by_chance() {
    let rng = Rng::seeded(5);
    for n in [2, 3, 8, 50] {
        let mut picker = Picker::bind(&Balance::LeastRequest, candidates(&vec![1; n]), None, &rng);
        let counts = counts(&mut picker, 1000 * n, n, &rng);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{n}: {counts:?}");
    }
}

#[test]
fn least_request_under_load_keeps_a_large_fleet_level() {
    let rng = Rng::seeded(11);
    let mut picker = Picker::bind(&Balance::LeastRequest, candidates(&[1; 100]), None, &rng);
    let loads = RefCell::new(vec![0_u64; 101]);
    for _ in 0..1000 {
        let place = picker.pick(&Tried::default(), &|slot| loads.borrow()[slot.index()], &rng).unwrap();
        loads.borrow_mut()[place + 1] += 1;
    }
    let most = *loads.borrow().iter().max().unwrap();
    assert!(most <= 13, "{most} at one endpoint with a mean of 10");
}

#[test]
fn what_was_tried_is_not_picked_while_another_is_left() {
    for balance in [Balance::RoundRobin, Balance::LeastRequest] {
        let rng = Rng::seeded(2);
        let mut picker = Picker::bind(&balance, candidates(&[1; 10]), None, &rng);
        let mut tried = Tried::default();
        for _ in 0..10 {
            let place = picker.pick(&tried, &|_| 0, &rng).unwrap();
            assert!(!tried.has(place));
            tried.note(place);
        }
        assert_eq!(picker.pick(&tried, &|_| 0, &rng), None);
    }
}
