//! Chance, seeded: by the system on a core, by hand in a test. Not for secrets.

use std::cell::Cell;
use std::hash::BuildHasher;
use std::hash::RandomState;

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
