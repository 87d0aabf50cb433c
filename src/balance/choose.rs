//! The least among sixteen drawn at random (all, when there are no more): sixteen looks cost little and leave most of the gain
//! of looking at all, without the herd that a full scan drives to one place. Ties are broken by chance.

use crate::balance::Tried;
use crate::rand::Rng;

/// Endpoints looked at for one choice.
const LOOKS: usize = 16;

/// The place with the least cost. `cost` is asked of each that is looked at, and is positive; one of which it knows nothing
/// is passed over.
#[inline]
pub(super) fn least(
    list: &[u32],
    tried: &Tried,
    rng: &Rng,
    mut cost: impl FnMut(usize) -> Option<f32>,
) -> Option<usize> {
    let count = list.len();
    let mut looks = [u32::MAX; LOOKS];
    if count <= LOOKS {
        looks.iter_mut().zip(list).for_each(|(look, place)| *look = *place);
    } else if count < MANY {
        draw(&mut looks, list, rng);
    } else {
        draw_freely(&mut looks, list, rng);
    }
    let fresh = tried.is_empty();
    let mut chance = rng.next();
    // The bits of the least cost, which are in the order of the costs; below them chance, so that a tie needs no decision.
    let (mut least, mut best) = (u64::MAX, u32::MAX);
    for place in looks.into_iter().take(count) {
        if !fresh && tried.has(place as usize) {
            continue;
        }
        let Some(cost) = cost(place as usize) else { continue };
        // A step of a linear congruence; its upper half is random enough between equals.
        chance = chance.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let key = u64::from(cost.to_bits()) << 32 | chance >> 32;
        best = if key < least { place } else { best };
        least = least.min(key);
    }
    if best != u32::MAX {
        return Some(best as usize);
    }
    // All sixteen had been tried: any that was not is better than none.
    list.iter().map(|place| *place as usize).find(|place| !tried.has(*place))
}

/// From so many on, a draw that stands already is so rare that looking twice costs less than to find out.
const MANY: usize = 256;

/// Draws that may be the same: of 256 endpoints one look in thirty is in vain, of 1,000 one in a hundred and thirty.
fn draw_freely(looks: &mut [u32; LOOKS], list: &[u32], rng: &Rng) {
    for pair in looks.chunks_exact_mut(2) {
        let chance = rng.next();
        for (look, half) in pair.iter_mut().zip([chance >> 32, chance & 0xffff_ffff]) {
            let draw = usize::try_from((half * list.len() as u64) >> 32).unwrap_or(0);
            *look = list.get(draw).copied().unwrap_or(u32::MAX);
        }
    }
}

/// Distinct draws of fewer than [`MANY`] (Floyd's way): the j-th from 0..=j, taking j itself when the draw stands already.
fn draw(looks: &mut [u32; LOOKS], list: &[u32], rng: &Rng) {
    // A bit for each draw that stands.
    let mut standing = [0_u64; MANY / 64];
    let mut chance = 0;
    for (n, look) in looks.iter_mut().enumerate() {
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

    /// How often each of `count` places is chosen, of so many times.
    fn chosen(count: u32, times: u32, cost: impl Fn(usize) -> f32) -> Vec<u32> {
        let (list, rng) = ((0..count).collect::<Vec<_>>(), Rng::seeded(11));
        let mut chosen = vec![0; list.len()];
        for _ in 0..times {
            chosen[least(&list, &Tried::default(), &rng, |place| Some(cost(place))).unwrap()] += 1;
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
