//! How far the kernel is filled ahead of the side that a body goes to. It refuses to know what is written.
//!
//! A small lead costs those who take megabytes as fast as they are written: the kernel wakes us for each half of it. A large one
//! is memory, and time of the core, for those who do not take what they asked for. So it is small, but for whoever has just
//! taken much in little time, for as long as that lasts.

use std::time::Duration;

use crate::io::line::Line;

/// After so many bytes it is looked at how long they took.
const STRETCH: u64 = 8 << 20;
/// The longest that they may take for a large lead: 16 MiB a second.
const BRISK: Duration = Duration::from_millis(500);

/// The lead over one side, as long as one body goes to it. It ends as it began: with a small one.
#[derive(Debug)]
pub struct Lead<'a> {
    to: &'a Line,
    stretch: Stretch,
    large: bool,
}

impl<'a> Lead<'a> {
    /// A small one.
    #[must_use]
    pub fn of(to: &'a Line) -> Self {
        Self { to, stretch: Stretch { began: 0, at: to.coarse() }, large: false }
    }

    /// Whether it is large now, as it is over a side that takes much.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.large
    }

    /// Says how many bytes were written of the body so far. A comparison, mostly; a system call where the lead changes.
    #[inline]
    pub fn follow(&mut self, written: u64) {
        if self.stretch.is_over(written) {
            let brisk = self.stretch.was_brisk(written, self.to.coarse());
            self.set(brisk);
        }
    }

    #[cold]
    fn set(&mut self, large: bool) {
        if large != self.large {
            self.large = large;
            self.to.lead(large);
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Some bytes of a body, and the time they take.
#[derive(Debug)]
struct Stretch {
    began: u64,
    at: Duration,
}

impl Stretch {
    fn is_over(&self, written: u64) -> bool {
        written.saturating_sub(self.began) >= STRETCH
    }

    /// How the stretch went that is over; the next begins.
    fn was_brisk(&mut self, written: u64, now: Duration) -> bool {
        let took = now.saturating_sub(self.at);
        *self = Self { began: written, at: now };
        took <= BRISK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_brisk_or_not_whatever_those_before_it_were() {
        let mut stretch = Stretch { began: 0, at: Duration::from_secs(7) };
        assert!(!stretch.is_over(STRETCH - 1));
        assert!(stretch.is_over(STRETCH));
        assert!(stretch.was_brisk(STRETCH, Duration::from_secs(7) + BRISK));
        // A side that stops is not brisk once it goes on, however fast it does.
        assert!(!stretch.is_over(2 * STRETCH - 1));
        assert!(!stretch.was_brisk(2 * STRETCH, Duration::from_secs(9)));
        assert!(stretch.was_brisk(3 * STRETCH + 5, Duration::from_secs(9)));
        assert!(!stretch.is_over(4 * STRETCH));
    }
}
