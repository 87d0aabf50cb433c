//! Chance, seeded: by the system on a core, by hand in a test. For secrets there is [`secret`] alone.

use std::cell::Cell;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::time::Duration;

/// A stream of random numbers (SplitMix64), a few instructions each.
#[derive(Debug)]
pub struct Rng(Cell<u64>);

impl Rng {
    /// The stream of a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// A stream that nobody can foretell by its start.
    #[must_use]
    pub fn from_system() -> Self {
        // The standard library seeds its hashers from the system's entropy.
        Self::seeded(RandomState::new().hash_one(0_u8))
    }

    /// The next number.
    #[inline]
    pub fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when `n` is 0. Its bias is below n / 2^64.
    #[inline]
    pub fn below(&self, n: usize) -> usize {
        let wide = u128::from(self.next()) * n as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }
}

/// Bytes that nobody can foretell or try out: of the system's own source, or, where a process may not read that, of what
/// seeds the standard library's hashers.
#[must_use]
pub fn secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    if getrandom::fill(&mut bytes).is_err() {
        for (part, n) in bytes.chunks_mut(8).zip(0_u8..) {
            part.copy_from_slice(&RandomState::new().hash_one(n).to_ne_bytes());
        }
    }
    bytes
}

/// What chance takes off a bound, a tenth of it at the most, so that what began together does not end together.
#[derive(Clone, Copy, Debug)]
pub struct Share(u8);

impl Share {
    /// Any share.
    #[inline]
    #[must_use]
    pub fn draw(rng: &Rng) -> Self {
        Self(rng.next().to_le_bytes()[0])
    }

    /// A duration less this share; nothing is taken off more than 584 years.
    #[inline]
    #[must_use]
    pub fn off(self, whole: Duration) -> Duration {
        let nanos = whole.as_secs().checked_mul(1_000_000_000);
        let Some(nanos) = nanos.and_then(|nanos| nanos.checked_add(whole.subsec_nanos().into())) else { return whole };
        Duration::from_nanos(nanos - nanos / u64::from(TENTHS) * u64::from(self.0))
    }

    /// A number less this share.
    #[inline]
    #[must_use]
    pub fn off_number(self, whole: u32) -> u32 {
        let off = u64::from(whole) * u64::from(self.0) / u64::from(TENTHS);
        whole.saturating_sub(u32::try_from(off).unwrap_or(0))
    }
}

/// The largest share is not quite a tenth of these.
const TENTHS: u32 = 2560;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_a_tenth_at_the_most_and_is_not_always_the_same() {
        let (rng, hour) = (Rng::seeded(7), Duration::from_hours(1));
        let (mut times, mut numbers) = (Vec::new(), Vec::new());
        for _ in 0..1000 {
            let share = Share::draw(&rng);
            times.push(share.off(hour));
            numbers.push(share.off_number(10_000));
        }
        assert!(times.iter().all(|time| (hour * 9 / 10..=hour).contains(time)));
        assert!(numbers.iter().all(|number| (9_000..=10_000).contains(number)));
        times.sort_unstable();
        numbers.sort_unstable();
        assert!(times[100] < hour * 92 / 100 && times[900] > hour * 98 / 100);
        assert!(numbers[100] < 9_200 && numbers[900] > 9_800);
    }

    #[test]
    fn the_smallest_bounds_stay() {
        let largest = Share(255);
        assert_eq!([0, 1, 2, 10, 11].map(|whole| largest.off_number(whole)), [0, 1, 2, 10, 10]);
        assert_eq!(largest.off_number(u32::MAX), u32::MAX - u32::MAX / 2560 * 255 - 152);
        assert!(largest.off(Duration::MAX) > Duration::MAX / 10 * 9);
    }
}
