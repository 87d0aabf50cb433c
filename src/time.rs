//! The clock of one core: exact when asked, coarse for deadlines. It is the only file that asks the system for the time
//! on a core; deciders are given `now`.

use std::cell::Cell;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// How often a core's deadlines are looked at, and its log and date refreshed. A deadline fires up to three of
/// these late and, as long as the core itself is not late, never early.
pub const TICK: Duration = Duration::from_millis(TICK_MS);
/// The same in milliseconds.
pub const TICK_MS: u64 = 50;

/// A core's clock. What happens in a request is told in microseconds since an epoch that all cores share: they are
/// subtracted at no cost, and travel between cores.
#[derive(Debug)]
pub struct Clock {
    epoch: Instant,
    start: Instant,
    /// The start, in microseconds since the epoch.
    start_us: u64,
    /// How long after the start the last tick was.
    age: Cell<Duration>,
    /// Unix time at the last tick, in microseconds.
    unix_us: Cell<u64>,
}

impl Clock {
    /// A clock that starts now and counts from `epoch`.
    #[must_use]
    pub fn since(epoch: Instant) -> Self {
        let start = Instant::now();
        let start_us = us(start.saturating_duration_since(epoch));
        let clock = Self { epoch, start, start_us, age: Cell::default(), unix_us: Cell::default() };
        clock.tick();
        clock
    }

    /// The time now, exact; some 25 ns.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// The time now, exact, in microseconds since the epoch; some 30 ns.
    #[inline]
    #[must_use]
    pub fn now_us(&self) -> u64 {
        us(Instant::now().saturating_duration_since(self.epoch))
    }

    /// The time of the last tick.
    #[inline]
    #[must_use]
    pub fn coarse(&self) -> Instant {
        self.start + self.age.get()
    }

    /// How long ago the clock was made, as of the last tick; costs a load.
    #[inline]
    #[must_use]
    pub fn coarse_age(&self) -> Duration {
        self.age.get()
    }

    /// How long ago the clock was made, exact.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.now().saturating_duration_since(self.start)
    }

    /// How long ago the clock was made, in ticks, as of the last one; they last for six years.
    #[inline]
    #[must_use]
    pub fn ticks(&self) -> u32 {
        let age = self.age.get();
        let ticks = age.as_secs() * (1000 / TICK_MS) + u64::from(age.subsec_millis()) / TICK_MS;
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    /// When the clock was made.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Looks at the system's clocks, and says how long ago it did so last.
    pub fn tick(&self) -> Duration {
        let now = Instant::now();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.unix_us.set(u64::try_from(unix.as_micros()).unwrap_or(u64::MAX));
        let age = now.saturating_duration_since(self.start);
        age.saturating_sub(self.age.replace(age))
    }

    /// Seconds of Unix time at the last tick.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        self.unix_us.get() / 1_000_000
    }

    /// Microseconds of Unix time at `at`, which is in microseconds since the epoch; reckoned from the last tick.
    #[inline]
    #[must_use]
    pub fn unix_us(&self, at: u64) -> u64 {
        let last_tick = self.start_us + us(self.age.get());
        self.unix_us.get().saturating_add(at).saturating_sub(last_tick)
    }
}

/// A duration in whole microseconds.
#[inline]
#[must_use]
pub fn us(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000) + u64::from(duration.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_time_is_told_of_any_moment_on_the_clock_of_all_cores() {
        let hour = Duration::from_secs(3600);
        let Some(epoch) = Instant::now().checked_sub(hour) else { return };
        let clock = Clock::since(epoch);
        let unix = || us(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
        let near = |told: u64, is: u64| told.abs_diff(is) < 600_000_000;
        assert!(clock.now_us().abs_diff(us(hour)) < 600_000_000);
        assert!(near(clock.unix_us(clock.now_us()), unix()));
        assert!(near(clock.unix_us(0), unix() - us(hour)), "an hour ago");
        assert_eq!(clock.unix_us(2_000_000) - clock.unix_us(500_000), 1_500_000);
    }
}
