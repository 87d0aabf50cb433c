//! A share of requests that may have something more: a hedge, say. It refuses to know what.

/// A store that requests fill and what is allowed empties.
#[derive(Debug)]
pub struct Allowance {
    /// In hundredths.
    store: u64,
}

/// The most that is kept in store.
const MOST: u64 = 10 * 100;

impl Default for Allowance {
    /// One in store, so that a quiet route has it too.
    fn default() -> Self {
        Self { store: 100 }
    }
}

impl Allowance {
    /// Counts a request, which earns `percent` of one.
    #[inline]
    pub fn earn(&mut self, percent: u32) {
        self.store = (self.store + u64::from(percent)).min(MOST);
    }

    /// Takes one, if there is one.
    pub fn take(&mut self) -> bool {
        let enough = self.store >= 100;
        if enough {
            self.store -= 100;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_hundred_and_ten_in_store_at_the_most() {
        let mut allowance = Allowance::default();
        assert!(allowance.take() && !allowance.take());
        let mut taken = 0;
        for _ in 0..1000 {
            allowance.earn(5);
            taken += u32::from(allowance.take());
        }
        assert_eq!(taken, 50);
        (0..100_000).for_each(|_| allowance.earn(100));
        assert_eq!((0..100).filter(|_| allowance.take()).count(), 10);
    }
}
