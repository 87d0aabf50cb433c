//! Who folds what all cores know of an upstream, and how the others get it: turns that are taken by one exchange of a word,
//! and words that each carry the number of the turn that wrote them. It refuses to know what is folded.
//!
//! Protocol. A core takes the turn by an exchange (acquire), so that it sees all that the turns before it wrote; it writes
//! its words (relaxed) and ends the turn by a second exchange (release). A reader that sees the end of a turn (acquire)
//! finds the words of that turn or of a later one. What a later turn is still writing shows by its number: a set of words
//! whose numbers differ is not taken, and what was read before stays in force.
//!
//! A core that was stopped in the middle of its turn loses it after [`SILENCE_US`]. What it still writes of the one set that
//! it was at shows by its number too, or puts that set back by one turn, whole; it begins no other set.

use super::word::AtomicU64;
use super::word::Ordering::Acquire;
use super::word::Ordering::Relaxed;
use super::word::Ordering::Release;

/// A turn that has not ended after this is another's to take, in microseconds.
pub const SILENCE_US: u64 = 50_000;

/// Bits of a word that are the number of its turn; the rest is what it holds.
const TAG_BITS: u32 = 16;
/// The most that a word holds: 48 bits, which are nine years of microseconds.
pub const WORD_MOST: u64 = u64::MAX >> TAG_BITS;

/// Bits of the number in the word of a turn, above the lowest, which says that the turn is not over.
const NUMBER_BITS: u32 = 20;
/// Beats are 1,024 microseconds.
const BEAT_SHIFT: u32 = 10;

/// The turn at one upstream: when it was last taken, its number, and whether it is over.
#[derive(Debug)]
pub struct Turn(AtomicU64);

/// A turn that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken(u64);

/// A set of words that one turn writes.
#[derive(Debug)]
pub struct Words<const N: usize>([AtomicU64; N]);

impl Turn {
    /// Turn 0, over since the beginning of time.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The last turn that is over, if it is another than `seen`; what was written in it can be read from now on.
    #[inline]
    #[must_use]
    pub fn news(&self, seen: u64) -> Option<u64> {
        let word = self.0.load(Acquire);
        (word != seen && word & 1 == 0).then_some(word)
    }

    /// Takes the turn, if the last one was taken at least `period_us` ago and is over, or has been silent for too long.
    #[inline]
    #[must_use]
    pub fn take(&self, now: u64, period_us: u64) -> Option<Taken> {
        let word = self.0.load(Relaxed);
        let since = (now >> BEAT_SHIFT).saturating_sub(word >> (NUMBER_BITS + 1)) << BEAT_SHIFT;
        let due = if word & 1 == 0 { period_us } else { SILENCE_US.max(period_us) };
        // The first is due at once.
        if since < due && word != 0 {
            return None;
        }
        let number = ((word >> 1) + 1) & ((1 << NUMBER_BITS) - 1);
        let next = (now >> BEAT_SHIFT) << (NUMBER_BITS + 1) | number << 1 | 1;
        self.0.compare_exchange(word, next, Acquire, Relaxed).ok().map(|_| Taken(next))
    }

    /// Whether a turn is still its taker's: looked at before each set of words.
    #[inline]
    #[must_use]
    pub fn holds(&self, taken: Taken) -> bool {
        self.0.load(Relaxed) == taken.0
    }

    /// Ends a turn; what was written becomes visible. Nothing happens if it was taken over meanwhile.
    pub fn end(&self, taken: Taken) -> bool {
        self.0.compare_exchange(taken.0, taken.0 & !1, Release, Relaxed).is_ok()
    }
}

impl Default for Turn {
    fn default() -> Self {
        Self::new()
    }
}

impl Taken {
    /// The number that its words carry.
    #[inline]
    #[must_use]
    pub fn tag(self) -> u64 {
        self.0 >> 1 & ((1 << TAG_BITS) - 1)
    }

    /// The number that the words of the turn before it carry.
    #[inline]
    #[must_use]
    pub fn tag_before(self) -> u64 {
        self.tag().wrapping_sub(1) & ((1 << TAG_BITS) - 1)
    }
}

impl<const N: usize> Words<N> {
    /// Zeros, of turn 0.
    #[must_use]
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Writes all words in a turn.
    pub fn write(&self, taken: Taken, values: &[u64; N]) {
        for (word, value) in self.0.iter().zip(values) {
            word.store((value & WORD_MOST) << TAG_BITS | taken.tag(), Relaxed);
        }
    }

    /// The first `K` words, if one turn wrote them all, and the number that they carry.
    #[inline]
    #[must_use]
    pub fn read<const K: usize>(&self) -> Option<([u64; K], u64)> {
        let mut values = [0; K];
        let mut tags = (u64::MAX, 0);
        for (value, word) in values.iter_mut().zip(&self.0) {
            let word = word.load(Relaxed);
            *value = word >> TAG_BITS;
            let tag = word & ((1 << TAG_BITS) - 1);
            tags = (tags.0.min(tag), tags.1.max(tag));
        }
        (tags.0 == tags.1).then_some((values, tags.0))
    }

    /// One word, whichever turn wrote it.
    #[inline]
    #[must_use]
    pub fn one(&self, place: usize) -> u64 {
        self.0.get(place).map_or(0, |word| word.load(Relaxed) >> TAG_BITS)
    }
}

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Self::new()
    }
}
