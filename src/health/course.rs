//! What a row of results makes of an endpoint, and when it is asked next. Pure: no clock, no socket.

use std::time::Duration;

use crate::balance::board::Health;
use crate::model;
use crate::rand::Rng;

/// Where one endpoint stands with its checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Course {
    state: Health,
    judged: bool,
    good: u32,
    bad: u32,
}

impl Course {
    /// Before the first check.
    pub(super) fn new(settings: &model::Health) -> Self {
        Self { state: initial(settings), judged: false, good: 0, bad: 0 }
    }

    /// What has been found out so far.
    pub(super) fn state(self) -> Health {
        self.state
    }

    /// Results in a row that were like the last one.
    pub(super) fn row(self) -> u32 {
        self.good.max(self.bad)
    }

    /// Takes a result. The state before, if this one changes it.
    ///
    /// The first good check of all decides at once: there is no state yet that it could be in doubt against.
    pub(super) fn note(&mut self, good: bool, settings: &model::Health) -> Option<Health> {
        let before = self.state;
        if good {
            (self.good, self.bad) = (self.good.saturating_add(1), 0);
            if self.good >= settings.rise || !self.judged {
                (self.state, self.judged) = (Health::Up, true);
            }
        } else {
            (self.good, self.bad) = (0, self.bad.saturating_add(1));
            if self.bad >= settings.fall {
                (self.state, self.judged) = (Health::Down, true);
            }
        }
        (before != self.state).then_some(before)
    }

    /// Whether the last results say something else than the state.
    pub(super) fn in_doubt(self) -> bool {
        match self.state {
            Health::Unknown => true,
            Health::Up => self.bad > 0,
            Health::Down => self.good > 0,
        }
    }

    /// How long to wait for the next check: less while the last results say something else than the state.
    pub(super) fn pause(self, settings: &model::Health, rng: &Rng) -> Duration {
        about(if self.in_doubt() { settings.doubt.min(settings.interval) } else { settings.interval }, rng)
    }
}

/// The state before the first check.
pub(super) fn initial(settings: &model::Health) -> Health {
    if settings.initially_up { Health::Unknown } else { Health::Down }
}

/// A duration, give or take up to a tenth by chance.
fn about(whole: Duration, rng: &Rng) -> Duration {
    let steps = u32::try_from(rng.below(2001)).unwrap_or(1000);
    whole / 10 * 9 + whole / 10_000 * steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::fixture;

    fn states(initially_up: bool, results: &str) -> String {
        let settings = model::Health { rise: 2, fall: 3, initially_up, ..fixture::settings() };
        let mut course = Course::new(&settings);
        let word = |course: &Course| match course.state() {
            Health::Unknown => '?',
            Health::Up => 'u',
            Health::Down => 'd',
        };
        let mut seen = String::from(word(&course));
        for result in results.chars() {
            let before = course.state();
            let told = course.note(result == '+', &settings);
            assert_eq!(told, (before != course.state()).then_some(before));
            seen.push(word(&course));
        }
        seen
    }

    #[test]
    fn rise_and_fall_count_results_in_a_row() {
        for (initially_up, results, expected) in [
            (true, "+", "?u"),
            (true, "---", "???d"),
            (true, "--+", "???u"),
            (false, "+", "du"),
            (false, "--+", "dddu"),
            (false, "---+", "ddddd"),
            (false, "---++", "dddddu"),
            (true, "+--+---", "?uuuuuud"),
            (true, "+---+-++", "?uuuddddu"),
            (true, "+---++", "?uuuddu"),
        ] {
            assert_eq!(states(initially_up, results), expected, "{results}");
        }
    }

    #[test]
    fn an_endpoint_in_doubt_is_asked_sooner() {
        let settings = fixture::settings();
        let rng = Rng::seeded(1);
        let mut course = Course::new(&settings);
        let (long, short) = (settings.interval, settings.doubt);
        let within = |pause: Duration, whole: Duration| whole * 9 / 10 <= pause && pause <= whole * 11 / 10;
        for (good, expected) in
            [(true, long), (false, short), (false, short), (false, long), (true, short), (true, long)]
        {
            course.note(good, &model::Health { rise: 2, fall: 3, ..settings.clone() });
            for _ in 0..100 {
                let pause = course.pause(&settings, &rng);
                assert!(within(pause, expected), "{pause:?} is not about {expected:?}");
            }
        }
    }

    #[test]
    fn chance_spreads_the_checks_over_a_fifth_of_the_interval() {
        let rng = Rng::seeded(2);
        let second = Duration::from_secs(1);
        let pauses: Vec<_> = (0..1000).map(|_| about(second, &rng)).collect();
        assert!(pauses.iter().min().unwrap() < &(second * 91 / 100));
        assert!(pauses.iter().max().unwrap() > &(second * 109 / 100));
    }
}
