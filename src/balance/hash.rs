//! Hashing: of keys and addresses to numbers that are the same in every process, and of those to endpoints.

/// A hash of bytes, the same everywhere and for ever: FNV-1a with a finish that spreads its bits.
#[must_use]
pub fn of(bytes: &[u8]) -> u64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mixed(hash)
}

/// The same number with its bits spread (the finish of SplitMix64).
#[inline]
#[must_use]
pub(super) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
