//! How long one side of a body is waited for: between two bits of progress, and in all, by the rate that it has to keep.
//! Only waiting counts: what the other side takes of the time is not this one's. It refuses to know clocks and sockets.

use std::time::Duration;

use crate::limits;

/// The account of one side.
#[derive(Debug)]
pub struct Pace {
    /// Longest wait without progress.
    idle: Duration,
    /// Bytes a second; 0: any number.
    rate: u64,
    /// Whether waiting counts yet.
    begun: bool,
    /// Time waited so far, the wait under way not included.
    spent: Duration,
    /// Bytes that came, or that the kernel took.
    moved: u64,
    /// Bytes that the other side was seen to have taken.
    taken: u64,
    /// How long the wait under way had lasted when that was last seen to grow.
    grew: Duration,
}

impl Pace {
    /// Waits of `idle` at the most, and of the grace and a second for each `rate` bytes in all; a rate of 0 is no bound.
    #[must_use]
    pub fn new(idle: Duration, rate: u64) -> Self {
        let none = Duration::ZERO;
        Self { idle, rate, begun: true, spent: none, moved: 0, taken: 0, grew: none }
    }

    /// The same, but what it takes to the first byte does not count: for a side that waits for leave to begin.
    #[must_use]
    pub fn from_first_byte(self) -> Self {
        Self { begun: false, ..self }
    }

    /// How long the next wait may be.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.idle.min(self.left(self.moved, Duration::ZERO))
    }

    /// After how long a wait for a write is to be [looked at](Self::look) for the first time.
    #[must_use]
    pub fn glance(&self) -> Duration {
        self.idle / LOOKS
    }

    /// Says that a wait is over, and what it brought.
    pub fn waited(&mut self, time: Duration, bytes: u64) {
        if self.begun {
            self.spent = self.spent.saturating_add(time);
        }
        self.begun |= bytes > 0;
        self.moved = self.moved.saturating_add(bytes);
        self.grew = Duration::ZERO;
    }

    /// Looks at a wait for a write that has lasted for `time`: how much longer may it be, before the next look? What the
    /// kernel took is not taken yet: `unacknowledged` bytes of it are not. A side that takes what it holds for us makes
    /// progress, long before there is room for more.
    pub fn look(&mut self, time: Duration, unacknowledged: u64) -> Option<Duration> {
        let taken = self.moved.saturating_sub(unacknowledged);
        if taken > self.taken {
            self.taken = taken;
            self.grew = time;
        }
        let idle = (self.grew.saturating_add(self.idle)).saturating_sub(time);
        let left = idle.min(self.left(taken, time));
        (!left.is_zero()).then(|| left.min(self.glance()))
    }

    /// Whether more was waited than what came is worth.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.left(self.moved, Duration::ZERO).is_zero()
    }

    /// What is left of the time for so many bytes, once the wait under way has lasted for `time`.
    fn left(&self, bytes: u64, time: Duration) -> Duration {
        if self.rate == 0 || !self.begun {
            return Duration::MAX;
        }
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / self.rate);
        limits::RATE_GRACE.saturating_add(earned).saturating_sub(self.spent.saturating_add(time))
    }
}

/// Looks at a wait for a write while it may last.
const LOOKS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(30);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_side_that_keeps_its_rate_is_waited_for_without_end() {
        let mut pace = Pace::new(IDLE, 100);
        for _ in 0..10_000 {
            assert!(pace.patience() >= limits::RATE_GRACE);
            pace.waited(seconds(1), 100);
            assert!(!pace.is_spent());
        }
    }

    #[test]
    fn a_side_that_drips_has_the_grace_and_what_it_earned() {
        let mut pace = Pace::new(IDLE, 100);
        let mut time = 0;
        while !pace.is_spent() {
            assert!(pace.patience() > Duration::ZERO);
            pace.waited(seconds(1), 50);
            time += 1;
        }
        assert_eq!(time, 20, "half the rate doubles the grace");
    }

    #[test]
    fn what_was_earned_is_waited_for_but_never_longer_than_a_pause_may_be() {
        let mut pace = Pace::new(IDLE, 1);
        assert_eq!(pace.patience(), limits::RATE_GRACE);
        pace.waited(seconds(4), 5);
        assert_eq!(pace.patience(), seconds(11));
        pace.waited(seconds(0), 1_000_000);
        assert_eq!(pace.patience(), IDLE);
        assert_eq!(Pace::new(seconds(2), 1).patience(), seconds(2));
    }

    #[test]
    fn no_rate_is_no_bound() {
        let mut pace = Pace::new(IDLE, 0);
        for _ in 0..1_000 {
            pace.waited(seconds(29), 1);
        }
        assert!(!pace.is_spent());
        assert_eq!(pace.patience(), IDLE);
    }

    #[test]
    fn a_side_that_waits_for_leave_is_not_counted_before_its_first_byte() {
        let mut pace = Pace::new(IDLE, 100).from_first_byte();
        assert_eq!(pace.patience(), IDLE);
        pace.waited(seconds(25), 0);
        pace.waited(seconds(25), 1);
        assert!(!pace.is_spent());
        pace.waited(seconds(9), 0);
        assert!(!pace.is_spent());
        pace.waited(seconds(2), 0);
        assert!(pace.is_spent());
    }

    /// A write that waits for room while the other side takes `step` bytes a second of what it holds: for how long?
    fn stalled(pace: &mut Pace, mut held: u64, step: u64, most: u64) -> u64 {
        let mut look = pace.patience().min(pace.glance());
        let mut time = Duration::ZERO;
        while time.as_secs() < most {
            time += look;
            held = held.saturating_sub(step * u64::try_from(look.as_millis()).unwrap() / 1000);
            match pace.look(time, held) {
                Some(more) => look = more,
                None => break,
            }
        }
        u64::try_from(time.as_millis() + 500).unwrap() / 1000
    }

    #[test]
    fn a_reader_of_what_the_kernel_holds_makes_progress() {
        let mut pace = Pace::new(seconds(40), 240);
        pace.waited(seconds(0), 4_000_000);
        assert_eq!(stalled(&mut pace, 3_000_000, 3_000, 900), 900);
    }

    #[test]
    fn a_reader_that_stops_is_given_up_after_a_pause() {
        let mut pace = Pace::new(seconds(40), 0);
        pace.waited(seconds(0), 3_000_000);
        assert_eq!(stalled(&mut pace, 3_000_000, 0, 900), 40);
        let mut pace = Pace::new(seconds(40), 0);
        pace.waited(seconds(0), 3_000_000);
        assert_eq!(
            stalled(&mut pace, 2_000_000, 0, 900),
            50,
            "the first look cannot tell when it was that it took some"
        );
    }

    #[test]
    fn a_reader_below_the_rate_is_given_up_however_much_the_kernel_holds_for_it() {
        let mut pace = Pace::new(seconds(40), 240);
        pace.waited(seconds(0), 3_000_000);
        let time = stalled(&mut pace, 3_000_000, 120, 900);
        assert!((20..=30).contains(&time), "{time}");
    }

    #[test]
    fn a_write_that_went_on_begins_a_new_pause() {
        let mut pace = Pace::new(seconds(40), 0);
        for _ in 0..100 {
            pace.waited(seconds(39), 1);
            assert_eq!(pace.look(seconds(39), 100), Some(seconds(1)));
        }
        assert_eq!(pace.look(seconds(40), 100), None);
    }
}
