//! The clock of one core: exact when asked, coarse for deadlines. It is the only file that asks the system for the time
//! on a core; deciders are given `now`.

use std::cell::Cell;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// How often a core's deadlines are looked at, and its log and date refreshed. A deadline fires up to three of
/// these late and, as long as the core itself is not late, never early.
pub const TICK: Duration = Duration::from_millis(50);

/// A core's clock.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    coarse: Cell<Instant>,
    unix_us: Cell<u64>,
}

impl Default for Clock {
    fn default() -> Self {
        let clock = Self { start: Instant::now(), coarse: Cell::new(Instant::now()), unix_us: Cell::new(0) };
        clock.tick();
        clock
    }
}

impl Clock {
    /// The time now, exact; some 25 ns.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// The time of the last tick; costs a load.
    #[inline]
    #[must_use]
    pub fn coarse(&self) -> Instant {
        self.coarse.get()
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
        let ticks = self.coarse.get().saturating_duration_since(self.start).as_millis() / TICK.as_millis();
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
        now.duration_since(self.coarse.replace(now))
    }

    /// Seconds of Unix time at the last tick.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        self.unix_us.get() / 1_000_000
    }

    /// Microseconds of Unix time at `at`, reckoned from the last tick.
    #[inline]
    #[must_use]
    pub fn unix_us(&self, at: Instant) -> u64 {
        let coarse = self.coarse.get();
        let since = us(at.saturating_duration_since(coarse));
        let before = us(coarse.saturating_duration_since(at));
        (self.unix_us.get() + since).saturating_sub(before)
    }
}

/// A duration in whole microseconds.
#[inline]
#[must_use]
pub fn us(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000) + u64::from(duration.subsec_micros())
}
