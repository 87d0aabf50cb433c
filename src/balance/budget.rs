//! How many second attempts are worth making: a fifth of the requests and ten a second, so that a failing service is not
//! buried under its own retries.

use std::time::Duration;

/// A store of retries that requests and time fill and retries empty. One per upstream and core.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Retries in store, in thousandths.
    store: u64,
    /// When time last earned something, as the caller counts it.
    filled: Duration,
}

/// Thousandths of a retry that one request earns: 20 %.
const PER_REQUEST: u64 = 200;
/// Retries that a second earns.
const PER_SECOND: u64 = 10;
/// The most that is kept in store: ten seconds' worth.
const MOST: u64 = 1000 * PER_SECOND * 10;

impl Budget {
    /// A store with one second's worth; `now` is counted from any fixed moment.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self { store: 1000 * PER_SECOND, filled: now }
    }

    /// Counts a request.
    #[inline]
    pub fn request(&mut self) {
        self.store = (self.store + PER_REQUEST).min(MOST);
    }

    /// Takes one retry, if there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.filled).min(Duration::from_secs(60));
        let earned = u64::try_from(passed.as_millis()).unwrap_or(0) * PER_SECOND;
        if earned > 0 {
            self.filled = now;
            self.store = (self.store + earned).min(MOST);
        }
        let enough = self.store >= 1000;
        if enough {
            self.store -= 1000;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_and_ten_a_second() {
        let start = Duration::from_secs(7);
        let mut budget = Budget::new(start);
        let taken = |budget: &mut Budget, now| (0..1000).take_while(|_| budget.take(now)).count();
        assert_eq!(taken(&mut budget, start), 10);
        assert_eq!(taken(&mut budget, start), 0);
        (0..50).for_each(|_| budget.request());
        assert_eq!(taken(&mut budget, start), 10);
        assert_eq!(taken(&mut budget, start + Duration::from_secs(2)), 20);
        assert_eq!(taken(&mut budget, start + Duration::from_secs(3600)), 100, "the store is bounded");
    }
}
