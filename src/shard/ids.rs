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
        let mut id = [0; ID_BYTES];
        for (place, half) in id.chunks_exact_mut(ID_BYTES / 4).zip([self.prefix >> 32, self.prefix, mixed >> 32, mixed])
        {
            place.copy_from_slice(&digits(half & 0xffff_ffff));
        }
        id
    }
}

/// The eight hexadecimal digits of a number of 32 bits, all at once.
fn digits(number: u64) -> [u8; 8] {
    // Halves, then quarters, … are moved apart until each byte has four bits, the highest at the front.
    let spread = (number | number << 16) & 0x0000_ffff_0000_ffff;
    let spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    let spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = ((spread + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (spread + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_number() {
        for number in [0, 1, 0x0123_4567, 0x89ab_cdef, 0xffff_ffff, 0xfedc_ba98] {
            assert_eq!(digits(number), format!("{number:08x}").as_bytes());
        }
    }

    #[test]
    fn ids_are_hexadecimal_and_never_repeat() {
        let ids = Ids::new(&Rng::seeded(1));
        let made: std::collections::BTreeSet<_> = (0..10_000).map(|_| ids.make()).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().flatten().all(u8::is_ascii_hexdigit));
    }
}
