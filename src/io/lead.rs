//! How far the kernel is filled ahead of the side that a body goes to. It refuses to know what is written.
//!
//! A small lead costs those who take megabytes as fast as they are written: the kernel wakes us for each half of it. A large one
//! is memory, and time of the core, for those who do not take what they asked for. So it is small, but for whoever has just
//! taken much in little time, for as long as that lasts. For the same reason what goes to these is read in larger pieces: each
//! read makes the kernel tell the other side that there is room again, which wakes it.

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

    /// Says how many bytes were written of the body so far. A comparison or two, mostly; a system call where the lead changes.
    #[inline]
    pub fn follow(&mut self, written: u64) {
        let now = self.to.coarse();
        if let Some(brisk) = self.stretch.verdict(written, now, self.large) {
            self.set(brisk);
        }
    }

    #[cold]
    fn set(&mut self, large: bool) {
        if large != self.large {
            self.large = large;
            self.to.socket().bound_unsent(!large);
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
    /// Whether it was brisk, once that can be told: at its end, and before where it has to be brisk and has taken too long. The
    /// next one begins then.
    fn verdict(&mut self, written: u64, now: Duration, has_to: bool) -> Option<bool> {
        let brisk = now.saturating_sub(self.at) <= BRISK;
        let over = written.saturating_sub(self.began) >= STRETCH;
        (over || (has_to && !brisk)).then(|| {
            *self = Self { began: written, at: now };
            brisk
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_brisk_or_not_whatever_those_before_it_were() {
        let at = |ms: u64| Duration::from_millis(ms);
        let mut stretch = Stretch { began: 0, at: at(7_000) };
        assert_eq!(stretch.verdict(STRETCH - 1, at(7_000), false), None);
        assert_eq!(stretch.verdict(STRETCH, at(7_500), false), Some(true));
        assert_eq!(stretch.verdict(2 * STRETCH - 1, at(8_000), true), None);
        assert_eq!(stretch.verdict(2 * STRETCH, at(8_001), true), Some(false));
        assert_eq!(stretch.verdict(3 * STRETCH + 5, at(8_100), false), Some(true));
        assert_eq!(stretch.verdict(4 * STRETCH, at(8_100), true), None);
    }

    #[test]
    fn whoever_stops_is_brisk_no_more_long_before_the_stretch_is_over() {
        let mut stretch = Stretch { began: 0, at: Duration::ZERO };
        assert_eq!(stretch.verdict(1, BRISK * 2, false), None, "who never was may take its time");
        assert_eq!(stretch.verdict(1, BRISK * 2, true), Some(false));
        assert_eq!(stretch.verdict(STRETCH + 1, BRISK * 2, false), Some(true));
    }
}
