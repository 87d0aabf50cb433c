//! How many requests a service can take at once, as its own latency says (the gradient of Envoy's and Netflix's adaptive
//! concurrency): the bound grows while answers come as fast as they ever did, and shrinks as they slow down. It refuses to
//! know whose latency it is, and what the time is: it counts answers.

/// A bound that follows the latency.
#[derive(Debug)]
pub struct Gradient {
    limit: f64,
    /// The lowest mean latency of a window, in microseconds; 0: none yet.
    floor: f64,
    window: Window,
    /// Windows since the floor was measured anew.
    age: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    sum_us: f64,
    answers: u32,
    /// The most that were in flight at an answer.
    most: u32,
    lost: bool,
}

/// Where the bound begins.
const FIRST: f64 = 20.0;
/// Answers that make a window.
const WINDOW: u32 = 32;
/// How much slower than the floor is no reason to shrink: what chance does to the mean of a window, and a short queue.
const TOLERANCE: f64 = 1.5;
/// How much of a window's verdict is taken over.
const WEIGHT: f64 = 0.2;
/// What an answer that never came does to the bound, once a window.
const LOSS: f64 = 0.9;
/// After so many windows the floor is measured anew, with few in flight: the service may have become slower for good, and
/// a bound that holds a queue in place would never see its latency without.
const AGE: u32 = 500;
/// The first time comes sooner: where the bound begins may be far too much.
const FIRST_AGE: u32 = AGE - 20;

impl Default for Gradient {
    fn default() -> Self {
        Self { limit: FIRST, floor: 0.0, window: Window::default(), age: FIRST_AGE }
    }
}

impl Gradient {
    /// The bound now, between 1 and `most`.
    #[inline]
    #[must_use]
    pub fn limit(&self, most: u32) -> u32 {
        let limit = if self.is_probing() { self.limit.sqrt() } else { self.limit };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to u32::MAX")]
        let whole = limit.clamp(1.0, f64::from(u32::MAX)) as u32;
        whole.min(most).max(1)
    }

    /// Notes an answer and how many requests were in flight, it included.
    pub fn answered(&mut self, us: u64, in_flight: u32) {
        // Of those that were let in before, none says how fast it is with few.
        if self.is_probing() && in_flight > self.limit(u32::MAX) {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "286 years of microseconds fit before the first digit is lost")]
        let us = us.max(1) as f64;
        self.window.sum_us += us;
        self.window.answers += 1;
        self.window.most = self.window.most.max(in_flight);
        if self.window.answers >= WINDOW {
            self.turn();
        }
    }

    /// Notes an answer that never came, or came too late.
    pub fn lost(&mut self) {
        if !self.window.lost {
            self.window.lost = true;
            self.limit = (self.limit * LOSS).max(1.0);
        }
    }

    fn is_probing(&self) -> bool {
        self.age >= AGE
    }

    fn turn(&mut self) {
        let Window { sum_us, answers, most, .. } = std::mem::take(&mut self.window);
        let mean = sum_us / f64::from(answers.max(1));
        if self.is_probing() {
            self.floor = mean;
            self.age = 0;
            return;
        }
        self.age += 1;
        if self.floor == 0.0 || mean < self.floor {
            self.floor = mean;
        }
        let gradient = (TOLERANCE * self.floor / mean).clamp(0.5, 1.0);
        let wanted = self.limit * gradient + self.limit.sqrt();
        let next = self.limit * (1.0 - WEIGHT) + wanted * WEIGHT;
        // A bound that nobody comes near says nothing of what lies beyond it.
        if next < self.limit || f64::from(most) * 2.0 >= self.limit {
            self.limit = next.clamp(1.0, f64::from(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rand::Rng;

    /// A service that works on `capacity` requests at once, 10 ms each, give or take a fifth; what is more waits its turn.
    /// As many clients as the bound lets in ask without a pause. Says where the bound was, from the second half on.
    fn settle(gradient: &mut Gradient, capacity: u32, rounds: u32, rng: &Rng) -> Vec<u32> {
        let mut seen = Vec::new();
        for round in 0..rounds {
            let in_flight = gradient.limit(10_000);
            let queue = f64::from(in_flight.max(capacity)) / f64::from(capacity);
            let chance = 0.8 + 0.4 * f64::from(u32::try_from(rng.below(1000)).unwrap()) / 1000.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some milliseconds")]
            gradient.answered((10_000.0 * queue * chance) as u64, in_flight);
            if round > rounds / 2 {
                seen.push(in_flight);
            }
        }
        seen.sort_unstable();
        seen
    }

    #[test]
    fn the_bound_converges_on_what_the_service_can_take() {
        for capacity in [4, 20, 100, 1000] {
            for seed in 0..8 {
                let seen = settle(&mut Gradient::default(), capacity, 60_000, &Rng::seeded(seed));
                let middle = seen[seen.len() / 2];
                assert!(middle >= capacity && middle <= capacity * 3, "{capacity}: {middle}");
            }
        }
    }

    #[test]
    fn the_bound_backs_off_when_the_service_can_take_less_and_comes_back() {
        let (mut gradient, rng) = (Gradient::default(), Rng::seeded(1));
        let before = *settle(&mut gradient, 100, 60_000, &rng).last().unwrap();
        let slow = settle(&mut gradient, 20, 60_000, &rng);
        assert!(slow[slow.len() / 2] < before / 3, "{} of {before}", slow[slow.len() / 2]);
        let again = settle(&mut gradient, 100, 60_000, &rng);
        assert!(again[again.len() / 2] >= 100, "{}", again[again.len() / 2]);
    }

    #[test]
    fn a_service_that_is_slower_for_good_is_not_starved() {
        let (mut gradient, rng) = (Gradient::default(), Rng::seeded(2));
        settle(&mut gradient, 100, 30_000, &rng);
        for _ in 0..40_000 {
            let in_flight = gradient.limit(10_000);
            gradient.answered(100_000 * u64::from(in_flight.max(100)) / 100, in_flight);
        }
        assert!(gradient.limit(10_000) >= 90, "{gradient:?}");
    }

    #[test]
    fn a_bound_that_nobody_comes_near_does_not_grow() {
        let mut gradient = Gradient::default();
        (0..10_000).for_each(|_| gradient.answered(1000, 3));
        assert_eq!(gradient.limit(1000), 20);
    }

    #[test]
    fn answers_that_never_come_shrink_it_once_a_window_and_never_to_nothing() {
        let mut gradient = Gradient::default();
        gradient.lost();
        gradient.lost();
        assert_eq!(gradient.limit(1000), 18);
        for _ in 0..1000 {
            gradient.lost();
            (0..WINDOW).for_each(|_| gradient.answered(1000, 1));
        }
        assert!(gradient.limit(1000) <= 3, "{gradient:?}");
        assert_eq!(Gradient::default().limit(5), 5);
        assert_eq!(Gradient::default().limit(0), 1);
    }
}
