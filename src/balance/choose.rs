//! The least among sixteen drawn at random (all, when there are no more): sixteen looks cost little and leave most of the gain
//! of looking at all, without the herd that a full scan drives to one place. Ties are broken by chance.

use crate::balance::Tried;
use crate::rand::Rng;

/// Endpoints looked at for one choice.
pub(super) const LOOKS: usize = 16;

/// Who is looked at for one choice, and the chance of each between equals. No look has to wait for a number of the one before,
/// but for the least until then.
pub(super) struct Looks<'a> {
    // Where all are looked at the list itself: to copy it would cost as much as two looks.
    places: &'a [u32],
    chances: [u32; LOOKS],
}

/// Room for the places that are drawn, where not all are looked at.
pub(super) type Drawn = [u32; LOOKS];

/// The least that was found until now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Least(u64);

impl Least {
    /// Nothing was found.
    pub(super) const NOTHING: Self = Self(u64::MAX);
}

/// The bits that are the number of a look.
const LOOK: u64 = LOOKS as u64 - 1;

/// From so many on, a draw that stands already is so rare that looking twice costs less than to find out.
const MANY: usize = 256;

impl<'a> Looks<'a> {
    /// Looks at so many of a list, none of them tried; `drawn` is room for those that are drawn.
    #[inline]
    pub(super) fn draw(list: &'a [u32], tried: &Tried, rng: &Rng, drawn: &'a mut Drawn) -> Self {
        let mut chances = [0; LOOKS];
        if list.len() >= MANY {
            draw_freely(drawn, &mut chances, list, rng);
        } else {
            if list.len() > LOOKS {
                draw(drawn, list, rng);
            }
            chance(&mut chances, list.len(), rng.next());
        }
        let places = match list.len() {
            ..=LOOKS if tried.is_empty() => list,
            ..=LOOKS => leave_out(drawn, list.iter().copied(), tried),
            _ if tried.is_empty() => drawn,
            _ => {
                let looked = *drawn;
                leave_out(drawn, looked.into_iter(), tried)
            }
        };
        Self { places, chances }
    }

    /// The places.
    #[inline]
    pub(super) fn places(&self) -> &[u32] {
        self.places
    }

    /// Takes in what a look has found.
    #[inline]
    pub(super) fn found(&self, look: usize, cost: f32, least: Least) -> Least {
        // The bits of costs are in the order of the costs. Below them the chance, so that a tie needs no decision; and last
        // whose cost it is.
        let chance = self.chances.get(look).copied().unwrap_or_default();
        let key = u64::from(cost.to_bits()) << 32 | u64::from(chance) & !LOOK | look as u64 & LOOK;
        Least(least.0.min(key))
    }

    /// The place with the least cost.
    #[inline]
    pub(super) fn least(&self, least: Least) -> Option<usize> {
        let look = (least != Least::NOTHING).then_some((least.0 & LOOK) as usize)?;
        self.places.get(look).map(|place| *place as usize)
    }
}

/// Draws that may be the same: of 256 endpoints one look in thirty is in vain, of 1,000 one in a hundred and thirty. What a
/// draw leaves over decides between equals.
fn draw_freely(drawn: &mut Drawn, chances: &mut [u32; LOOKS], list: &[u32], rng: &Rng) {
    let pairs = drawn.chunks_exact_mut(2).zip(chances.chunks_exact_mut(2));
    for (places, chances) in pairs {
        let chance = rng.next();
        for ((place, left), half) in places.iter_mut().zip(chances).zip([chance >> 32, chance & 0xffff_ffff]) {
            let draw = half * list.len() as u64;
            *place = list.get((draw >> 32) as usize).copied().unwrap_or(u32::MAX);
            *left = (draw & 0xffff_ffff) as u32;
        }
    }
}

/// As many chances: the upper halves of steps of a linear congruence, which are random enough between equals.
fn chance(chances: &mut [u32; LOOKS], count: usize, first: u64) {
    for (chance, (by, and)) in chances.iter_mut().zip(STEPS).take(count) {
        *chance = (first.wrapping_mul(by).wrapping_add(and) >> 32) as u32;
    }
}

/// Those looked at that were not tried.
#[cold]
fn leave_out<'a>(drawn: &'a mut Drawn, looked: impl Iterator<Item = u32>, tried: &Tried) -> &'a [u32] {
    let untried = looked.filter(|place| !tried.has(*place as usize));
    let left = drawn.iter_mut().zip(untried).map(|(look, place)| *look = place).count();
    drawn.get(..left).unwrap_or_default()
}

/// What so many steps of the congruence from one on multiply by and add.
const STEPS: [(u64, u64); LOOKS] = {
    let mut steps = [(1, 0); LOOKS];
    let (mut by, mut and) = (1_u64, 0_u64);
    let mut step = 0;
    while step < LOOKS {
        by = by.wrapping_mul(0xd134_2543_de82_ef95);
        and = and.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(0x9e37_79b9_7f4a_7c15);
        steps[step] = (by, and);
        step += 1;
    }
    steps
};

/// Distinct draws of fewer than [`MANY`] (Floyd's way): the j-th from 0..=j, taking j itself when the draw stands already.
fn draw(drawn: &mut Drawn, list: &[u32], rng: &Rng) {
    // A bit for each draw that stands.
    let mut standing = [0_u64; MANY / 64];
    let mut chance = 0;
    for (n, look) in drawn.iter_mut().enumerate() {
        // Half of a random number is enough for one draw.
        chance = if n & 1 == 0 { rng.next() } else { chance << 32 };
        let j = list.len() - LOOKS + n;
        let draw = usize::try_from(((chance >> 32) * (j as u64 + 1)) >> 32).unwrap_or(0);
        let stands = standing[draw / 64 % standing.len()] >> (draw % 64) & 1 == 1;
        let draw = if stands { j } else { draw };
        standing[draw / 64 % standing.len()] |= 1 << (draw % 64);
        *look = list.get(draw).copied().unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn least(list: &[u32], rng: &Rng, cost: impl Fn(usize) -> f32) -> Option<usize> {
        let mut drawn = Drawn::default();
        let looks = Looks::draw(list, &Tried::default(), rng, &mut drawn);
        let costs = looks.places().iter().map(|place| cost(*place as usize)).enumerate();
        looks.least(costs.fold(Least::NOTHING, |least, (look, cost)| looks.found(look, cost, least)))
    }

    /// How often each of `count` places is chosen, of so many times.
    fn chosen(count: u32, times: u32, cost: impl Fn(usize) -> f32) -> Vec<u32> {
        let (list, rng) = ((0..count).collect::<Vec<_>>(), Rng::seeded(11));
        let mut chosen = vec![0; list.len()];
        for _ in 0..times {
            chosen[least(&list, &rng, &cost).unwrap()] += 1;
        }
        chosen
    }

    #[test]
    fn of_equals_each_has_its_share_however_many_there_are() {
        for count in [2, 16, 17, 255, 256, 1000] {
            let chosen = chosen(count, 200 * count, |_| 1.0);
            // Of 200 the standard deviation is 14.
            assert!(chosen.iter().all(|times| (120..=280).contains(times)), "{count}: {chosen:?}");
        }
    }

    #[test]
    fn the_cheapest_is_chosen_as_often_as_it_is_looked_at() {
        for count in [16, 32, 255, 256, 1000] {
            let chosen = chosen(count, 100 * count, |place| if place == 7 { 1.0 } else { 2.0 });
            let looked = 100 * u32::try_from(LOOKS).unwrap();
            assert!(chosen[7].abs_diff(looked) <= looked / 8, "{count}: {} of {looked}", chosen[7]);
        }
    }
}
