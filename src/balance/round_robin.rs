//! Smooth weighted round robin: each turn every endpoint gains its weight, the richest is chosen and pays the sum of all.
//! Among weights 5, 1, 1 that gives a b a c a a a rather than five in a row. Each core starts at a place of its own, so
//! that cores do not walk in step.

use crate::balance::Candidate;
use crate::balance::Tried;
use crate::rand::Rng;

/// The purses of the candidates, in their order, in thousandths of a weight.
#[derive(Debug)]
pub(super) struct State {
    purses: Vec<i64>,
}

const WHOLE: i64 = 1000;

impl State {
    /// Purses for candidates: those of `known` keep theirs, new ones begin with a random part of a turn.
    pub(super) fn bind(candidates: &[Candidate], known: Option<(&[Candidate], &State)>, rng: &Rng) -> Self {
        let purses = candidates.iter().map(|candidate| {
            let kept = known.and_then(|(before, state)| {
                let place =
                    before.iter().position(|old| old.slot == candidate.slot && old.weight == candidate.weight)?;
                state.purses.get(place).copied()
            });
            kept.unwrap_or_else(|| WHOLE * i64::try_from(rng.below(candidate.weight as usize + 1)).unwrap_or(0))
        });
        Self { purses: purses.collect() }
    }

    /// The richest of a list that was not tried; `shares` are the weights in thousandths, by place. The cost grows with the
    /// length of the list.
    pub(super) fn pick(&mut self, list: &[u32], shares: &[u32], tried: &Tried) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(usize, i64)> = None;
        for place in list.iter().map(|place| *place as usize).filter(|place| !tried.has(*place)) {
            let (Some(purse), Some(share)) = (self.purses.get_mut(place), shares.get(place)) else { continue };
            *purse += i64::from(*share);
            total += i64::from(*share);
            if best.is_none_or(|(_, most)| *purse > most) {
                best = Some((place, *purse));
            }
        }
        let (place, _) = best?;
        if let Some(purse) = self.purses.get_mut(place) {
            *purse -= total;
        }
        Some(place)
    }
}
