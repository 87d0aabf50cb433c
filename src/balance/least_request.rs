//! Fewest attempts in flight for its weight, among eight drawn at random (all, when there are no more): eight looks cost
//! little and leave most of the gain of looking at all, without the herd that a full scan drives to one place. Ties are
//! broken by chance.

use crate::balance::Candidate;
use crate::balance::InFlight;
use crate::balance::Tried;
use crate::rand::Rng;

/// Endpoints looked at for one choice.
const LOOKS: usize = 8;

pub(super) fn pick(candidates: &[Candidate], tried: &Tried, in_flight: InFlight<'_>, rng: &Rng) -> Option<usize> {
    let count = candidates.len();
    let mut choice = Choice { tried, in_flight, rng, best: None, equals: 0 };
    if count <= LOOKS {
        for (place, candidate) in candidates.iter().enumerate() {
            choice.look(place, candidate);
        }
        return choice.place();
    }
    // Distinct draws (Floyd's way): the j-th from 0..=j, taking j itself when the draw stands already.
    let mut drawn = [usize::MAX; LOOKS];
    for (n, j) in (count - LOOKS..count).enumerate() {
        let draw = rng.below(j + 1);
        let place = if drawn.contains(&draw) { j } else { draw };
        if let Some(cell) = drawn.get_mut(n) {
            *cell = place;
        }
        if let Some(candidate) = candidates.get(place) {
            choice.look(place, candidate);
        }
    }
    // All eight had been tried: any that was not is better than none.
    choice.place().or_else(|| (0..count).find(|place| !tried.has(*place)))
}

/// The best so far.
struct Choice<'a> {
    tried: &'a Tried,
    in_flight: InFlight<'a>,
    rng: &'a Rng,
    best: Option<(usize, u64, u64)>,
    equals: usize,
}

impl Choice<'_> {
    fn look(&mut self, place: usize, candidate: &Candidate) {
        if self.tried.has(place) {
            return;
        }
        let (load, weight) = ((self.in_flight)(candidate.slot) + 1, u64::from(candidate.weight));
        let Some((_, best_load, best_weight)) = self.best else {
            self.best = Some((place, load, weight));
            self.equals = 1;
            return;
        };
        // load / weight against the best's, without division.
        let (ours, theirs) = (load * best_weight, best_load * weight);
        if ours > theirs {
            return;
        }
        if ours < theirs {
            self.equals = 0;
        }
        self.equals += 1;
        if self.equals == 1 || self.rng.below(self.equals) == 0 {
            self.best = Some((place, load, weight));
        }
    }

    fn place(self) -> Option<usize> {
        self.best.map(|(place, ..)| place)
    }
}
