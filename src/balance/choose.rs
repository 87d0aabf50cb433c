//! The least among eight drawn at random (all, when there are no more): eight looks cost little and leave most of the gain
//! of looking at all, without the herd that a full scan drives to one place. Ties are broken by chance.

use crate::balance::Tried;
use crate::rand::Rng;

/// Endpoints looked at for one choice.
const LOOKS: usize = 16;

/// The place with the least cost. `cost` is asked of each that is looked at; one of which it knows nothing is passed over.
#[inline]
pub(super) fn least(
    list: &[u32],
    tried: &Tried,
    rng: &Rng,
    mut cost: impl FnMut(usize) -> Option<f32>,
) -> Option<usize> {
    let mut best = Best::default();
    let count = list.len();
    if count <= LOOKS {
        for place in list {
            best.look(*place, tried, rng, &mut cost);
        }
        return best.place();
    }
    // Distinct draws (Floyd's way): the j-th from 0..=j, taking j itself when the draw stands already.
    let mut drawn = [u32::MAX; LOOKS];
    let mut chance = 0;
    for n in 0..LOOKS {
        // Half of a random number is enough for one draw.
        chance = if n & 1 == 0 { rng.next() } else { chance << 32 };
        let j = count - LOOKS + n;
        let draw = usize::try_from(((chance >> 32) * (j as u64 + 1)) >> 32).unwrap_or(0);
        let place = list.get(draw).copied().unwrap_or(u32::MAX);
        let place = if drawn.contains(&place) { list.get(j).copied().unwrap_or(u32::MAX) } else { place };
        drawn[n] = place;
        best.look(place, tried, rng, &mut cost);
    }
    // All eight had been tried: any that was not is better than none.
    best.place().or_else(|| list.iter().map(|place| *place as usize).find(|place| !tried.has(*place)))
}

/// The best so far.
#[derive(Debug, Default)]
struct Best {
    place: u32,
    cost: f32,
    equals: usize,
}

impl Best {
    #[inline]
    fn look(&mut self, place: u32, tried: &Tried, rng: &Rng, cost: &mut impl FnMut(usize) -> Option<f32>) {
        if tried.has(place as usize) {
            return;
        }
        let Some(cost) = cost(place as usize) else { return };
        if self.equals > 0 && cost > self.cost {
            return;
        }
        self.equals = if self.equals > 0 && cost >= self.cost { self.equals + 1 } else { 1 };
        if self.equals == 1 || rng.below(self.equals) == 0 {
            (self.place, self.cost) = (place, cost);
        }
    }

    fn place(&self) -> Option<usize> {
        (self.equals > 0).then_some(self.place as usize)
    }
}
