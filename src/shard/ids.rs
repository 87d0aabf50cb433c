//! Request ids that no other request of any gateway is likely to have: half a random beginning, half a count that was
//! mixed so that neighbours do not look alike.

use std::cell::Cell;

use crate::rand::Rng;

/// Bytes of an id, in hexadecimal digits.
pub const ID_BYTES: usize = 32;

/// Makes the ids of one core.
#[derive(Debug)]
pub struct Ids {
    prefix: u64,
    count: Cell<u64>,
}

impl Ids {
    /// A series that begins anywhere.
    #[must_use]
    pub fn new(rng: &Rng) -> Self {
        Self { prefix: rng.next(), count: Cell::new(rng.next()) }
    }

    /// The next id.
    #[must_use]
    pub fn make(&self) -> [u8; ID_BYTES] {
        let count = self.count.get().wrapping_add(1);
        self.count.set(count);
        // A bijection, so that two counts never give one id.
        let mixed = (count ^ (count >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let wide = (u128::from(self.prefix) << 64) | u128::from(mixed);
        let mut id = [0; ID_BYTES];
        for (place, digit) in id.iter_mut().enumerate() {
            let nibble = (wide >> (4 * (ID_BYTES - 1 - place))) & 0xf;
            *digit = b"0123456789abcdef".get(usize::try_from(nibble).unwrap_or(0)).copied().unwrap_or(b'0');
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal_and_never_repeat() {
        let ids = Ids::new(&Rng::seeded(1));
        let made: std::collections::BTreeSet<_> = (0..10_000).map(|_| ids.make()).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().flatten().all(u8::is_ascii_hexdigit));
    }
}
