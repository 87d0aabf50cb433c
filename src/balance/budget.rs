//! How many second attempts are worth making, all cores together: a share of the requests and some a second, so that a
//! failing service is not buried under its own retries.
//!
//! What is earned follows from the time and from counts that each core keeps of its own; what is spent is the only shared
//! number, and it is touched only when an attempt is wanted.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What has been spent at one upstream.
#[derive(Debug, Default)]
pub struct Budget {
    /// Thousandths of an attempt.
    spent: AtomicU64,
}

/// What is earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Income {
    /// Attempts in a hundred requests.
    pub percent: u32,
    /// Attempts a second besides; ten seconds' worth are kept at the most, and one second's worth is there at the start.
    pub per_second: u32,
}

/// What is kept at the least, in attempts, however little a second earns.
const MOST_AT_LEAST: u64 = 10;
const WHOLE: u64 = 1000;

impl Income {
    /// Everything ever earned, in thousandths, `now` microseconds after the beginning and after so many requests.
    #[must_use]
    pub fn earned(&self, now: u64, requests: u64) -> u64 {
        let (percent, per_second) = (u64::from(self.percent), u64::from(self.per_second));
        let by_time = u128::from(now) * u128::from(per_second) * u128::from(WHOLE) / 1_000_000;
        let by_time = u64::try_from(by_time).unwrap_or(u64::MAX / 4);
        (per_second * WHOLE).saturating_add(by_time).saturating_add(requests.saturating_mul(percent * (WHOLE / 100)))
    }

    fn most(&self) -> u64 {
        (u64::from(self.per_second) * 10).max(MOST_AT_LEAST) * WHOLE
    }
}

impl Budget {
    /// Takes one attempt, if there is one. `now` in microseconds since the beginning, `requests` ever.
    pub fn take(&self, income: Income, now: u64, requests: u64) -> bool {
        self.pay(income.earned(now, requests), income.most())
    }

    /// Takes one attempt, if there is one, out of what requests have earned ever, in hundredths. One is there at the start, so
    /// that a quiet upstream has it too.
    pub fn take_earned(&self, hundredths: u64) -> bool {
        self.pay(WHOLE.saturating_add(hundredths.saturating_mul(WHOLE / 100)), MOST_AT_LEAST * WHOLE)
    }

    /// Takes one attempt out of everything ever earned, of which so much is kept at the most; both in thousandths.
    fn pay(&self, earned: u64, most: u64) -> bool {
        let mut spent = self.spent.load(Relaxed);
        loop {
            // What was earned and not spent in time is lost. An income that was lowered meanwhile begins at nothing.
            let from = spent.clamp(earned.saturating_sub(most), earned);
            let enough = earned - from >= WHOLE;
            if !enough && spent <= earned {
                return false;
            }
            let next = if enough { from + WHOLE } else { earned };
            match self.spent.compare_exchange_weak(spent, next, Relaxed, Relaxed) {
                Ok(_) => return enough,
                Err(other) => spent = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn taken(budget: &Budget, income: Income, now: u64, requests: u64) -> usize {
        (0..1000).take_while(|_| budget.take(income, now, requests)).count()
    }

    #[test]
    fn a_fifth_of_the_requests_and_ten_a_second() {
        let (budget, income) = (Budget::default(), Income { percent: 20, per_second: 10 });
        assert_eq!(taken(&budget, income, 0, 0), 10);
        assert_eq!(taken(&budget, income, 0, 4), 0, "four requests earn less than a whole one");
        assert_eq!(taken(&budget, income, 0, 50), 10);
        assert_eq!(taken(&budget, income, 2 * SECOND, 50), 20);
        assert_eq!(taken(&budget, income, 3600 * SECOND, 50), 100, "no more than ten seconds' worth is kept");
        assert_eq!(taken(&budget, income, 3600 * SECOND, 10_000), 100);
    }

    #[test]
    fn a_share_of_the_requests_alone() {
        let (budget, income) = (Budget::default(), Income { percent: 5, per_second: 0 });
        assert_eq!(taken(&budget, income, 99 * SECOND, 19), 0);
        assert_eq!(taken(&budget, income, 99 * SECOND, 40), 2);
        assert_eq!(taken(&budget, income, 99 * SECOND, 100_000), 10);
    }

    #[test]
    fn an_income_that_is_lowered_owes_nothing() {
        let budget = Budget::default();
        assert_eq!(taken(&budget, Income { percent: 100, per_second: 0 }, 0, 1000), 10);
        let lower = Income { percent: 10, per_second: 0 };
        assert_eq!(taken(&budget, lower, 0, 1000), 0);
        assert_eq!(taken(&budget, lower, 0, 1010), 1);
    }

    #[test]
    fn what_each_request_has_earned_is_spent_once_whatever_each_has_earned() {
        let budget = Budget::default();
        let taken = |hundredths| (0..1000).take_while(|_| budget.take_earned(hundredths)).count();
        assert_eq!(taken(0), 1, "one is there at the start");
        assert_eq!(taken(99), 0);
        // Twenty requests that earn five each, and fifty that earn two.
        assert_eq!(taken(20 * 5), 1);
        assert_eq!(taken(20 * 5 + 50 * 2), 1);
        assert_eq!(taken(1_000_000), 10, "no more than ten are kept");
        assert_eq!(taken(u64::MAX), 10);
    }

    #[test]
    fn no_two_threads_spend_the_same() {
        let (budget, income) = (Budget::default(), Income { percent: 0, per_second: 100 });
        let spend = || (0..400).filter(|_| budget.take(income, 2 * SECOND, 0)).count();
        let sum: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(spend)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(sum, 300);
    }
}
