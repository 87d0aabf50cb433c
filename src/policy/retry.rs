//! Whether a request may be sent once more, and how long that waits. It refuses to know where it would go.

use std::time::Duration;

use crate::http::date;
use crate::model::Retry;
use crate::model::RetryOn;
use crate::rand::Rng;

/// What came of an attempt that is not the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There was no room for it at the endpoint: it was none.
    Full,
    /// A kept connection had died before it was used: it was none.
    Stale,
    /// No connection could be had.
    Connect,
    /// The connection ended before a response.
    Reset,
    /// No response head came in time.
    Timeout,
    /// A response of this status came.
    Status(u16),
    /// What no other attempt makes good: a response that breaks the rules, say.
    Other,
}

impl Fault {
    /// Whether nothing of the request can have been acted upon.
    #[must_use]
    pub fn is_unsent(self) -> bool {
        matches!(self, Self::Full | Self::Connect)
    }

    /// Whether it was no attempt, so that another one costs neither a try nor the budget.
    #[must_use]
    pub fn is_free(self) -> bool {
        matches!(self, Self::Full | Self::Stale)
    }
}

/// Whether `fault` is worth another attempt of a request whose method is `idempotent` (RFC 9110 §9.2.2). What may have been
/// acted upon is sent again only if acting twice is as good as once; a field such as `Idempotency-Key` changes nothing,
/// since nobody can tell from here whether the service honours it.
#[must_use]
pub fn is_wanted(on: &RetryOn, fault: Fault, idempotent: bool) -> bool {
    let named = match fault {
        Fault::Full | Fault::Stale => true,
        Fault::Connect => on.connect,
        Fault::Reset => on.reset,
        Fault::Timeout => on.timeout,
        Fault::Status(status) => has_status(on, status),
        Fault::Other => false,
    };
    named && (idempotent || fault.is_unsent())
}

/// Whether a response of this status is worth another attempt.
#[inline]
#[must_use]
pub fn has_status(on: &RetryOn, status: u16) -> bool {
    on.statuses.iter().any(|range| range.contains(&status))
}

/// How long the `nth` retry of a request (from 1) waits. The first at another endpoint goes at once; every other waits a
/// random part of a bound that doubles from one retry to the next, so that those that failed together do not come back
/// together.
#[must_use]
pub fn pause(settings: &Retry, nth: u32, same: bool, rng: &Rng) -> Duration {
    if nth <= 1 && !same {
        return Duration::ZERO;
    }
    let bound = settings.backoff.saturating_mul(1 << nth.saturating_sub(1).min(20)).min(settings.backoff_max);
    let micros = usize::try_from(bound.as_micros()).unwrap_or(usize::MAX);
    Duration::from_micros(u64::try_from(rng.below(micros.saturating_add(1))).unwrap_or(0))
}

/// The value of a `Retry-After` field (RFC 9110 §10.2.3), seconds or a date, as the time from now on: `unix_seconds`. A day
/// at the most.
#[must_use]
pub fn after(value: &[u8], unix_seconds: u64) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let seconds = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that are no number are too many.
        if text.is_empty() { None } else { Some(text.parse().unwrap_or(u64::MAX)) }
    } else {
        date::read(text.as_bytes()).map(|at| at.saturating_sub(unix_seconds))
    };
    seconds.map(|seconds| Duration::from_secs(seconds.min(DAY)))
}

const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Fault; 8] = [
        Fault::Full,
        Fault::Stale,
        Fault::Connect,
        Fault::Reset,
        Fault::Timeout,
        Fault::Status(503),
        Fault::Status(404),
        Fault::Other,
    ];

    #[test]
    fn each_condition_is_on_or_off_by_itself() {
        let none = RetryOn { connect: false, reset: false, timeout: false, statuses: Vec::new() };
        let with = |change: fn(&mut RetryOn)| {
            let mut on = none.clone();
            change(&mut on);
            on
        };
        for (on, wanted) in [
            (none.clone(), [true, true, false, false, false, false, false, false]),
            (with(|on| on.connect = true), [true, true, true, false, false, false, false, false]),
            (with(|on| on.reset = true), [true, true, false, true, false, false, false, false]),
            (with(|on| on.timeout = true), [true, true, false, false, true, false, false, false]),
            (with(|on| on.statuses = vec![502..=504]), [true, true, false, false, false, true, false, false]),
        ] {
            assert_eq!(ALL.map(|fault| is_wanted(&on, fault, true)), wanted, "{on:?}");
        }
    }

    #[test]
    fn what_may_have_been_acted_upon_is_sent_again_only_if_that_does_no_harm() {
        let all = RetryOn { connect: true, reset: true, timeout: true, statuses: vec![500..=599] };
        let wanted = [true, false, true, false, false, false, false, false];
        assert_eq!(ALL.map(|fault| is_wanted(&all, fault, false)), wanted);
    }

    #[test]
    fn the_first_retry_elsewhere_goes_at_once_and_every_other_waits_a_part_of_a_bound_that_doubles() {
        let (settings, rng) = (Retry::default(), Rng::seeded(5));
        assert!((0..100).all(|_| pause(&settings, 1, false, &rng).is_zero()));
        for (nth, same, bound) in
            [(1, true, 25), (2, false, 50), (3, false, 100), (4, true, 200), (5, false, 250), (40, true, 250)]
        {
            let mut drawn: Vec<_> = (0..1000).map(|_| pause(&settings, nth, same, &rng)).collect();
            drawn.sort_unstable();
            let bound = Duration::from_millis(bound);
            assert!(drawn[999] <= bound && drawn[990] > bound * 9 / 10, "{nth}: {:?}", drawn[999]);
            assert!(drawn[10] < bound / 10, "{nth}: the jitter is full: {:?}", drawn[10]);
        }
    }

    #[test]
    fn seconds_and_dates_say_when_to_come_again() {
        let now = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
        let seconds = |n| Some(Duration::from_secs(n));
        for (value, expected) in [
            (&b"0"[..], seconds(0)),
            (b"7", seconds(7)),
            (b" 12 ", seconds(12)),
            (b"99999999999999999999999", seconds(86_400)),
            (b"Sun, 06 Nov 1994 08:49:47 GMT", seconds(10)),
            (b"Sun, 06 Nov 1994 08:49:27 GMT", seconds(0)),
            (b"Sun, 06 Nov 1999 08:49:27 GMT", seconds(86_400)),
            (b"", None),
            (b"-1", None),
            (b"1.5", None),
            (b"soon", None),
            (b"Sun, 06 Nov 1994 08:49:47", None),
            (b"\xff", None),
        ] {
            assert_eq!(after(value, now), expected, "{:?}", String::from_utf8_lossy(value));
        }
    }
}
