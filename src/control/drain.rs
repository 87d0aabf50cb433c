//! The end: what runs is finished until a deadline, then cut. Pure: it is told the time and how the cores are, and
//! refuses to know how they are told.

use std::time::Duration;
use std::time::Instant;

use crate::control::Outcome;

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// What runs is finished.
    Draining {
        /// When it is cut.
        deadline: Instant,
    },
    /// The cores have been told to stop.
    Cutting {
        /// When they are no longer waited for.
        until: Instant,
    },
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait.
    Wait,
    /// Tell the cores to stop.
    Stop,
    /// Leave.
    Leave(Outcome),
}

impl Ending {
    pub(super) fn cut(now: Instant) -> Self {
        Self::Cutting { until: now + PATIENCE }
    }

    pub(super) fn look(&mut self, now: Instant, all_ended: bool) -> Next {
        match *self {
            // The deadline is asked first: cores cut on their own then, and that is no drain.
            Self::Draining { deadline } if now >= deadline => {
                *self = Self::cut(now);
                Next::Stop
            }
            Self::Draining { .. } if all_ended => Next::Leave(Outcome::Drained),
            Self::Cutting { until } if all_ended || now >= until => Next::Leave(Outcome::Cut),
            Self::Draining { .. } | Self::Cutting { .. } => Next::Wait,
        }
    }
}

/// How long cores that were told to stop are waited for; what is left is two closed rings and a few log lines.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_comes_by_the_last_core_by_the_deadline_or_by_patience() {
        let now = Instant::now();
        let deadline = now + Duration::from_secs(30);
        let late = deadline + PATIENCE;
        let (draining, cutting) = (Ending::Draining { deadline }, Ending::Cutting { until: deadline });
        for (ending, at, all_ended, next, then) in [
            (draining, now, false, Next::Wait, draining),
            (draining, now, true, Next::Leave(Outcome::Drained), draining),
            (draining, deadline, false, Next::Stop, Ending::Cutting { until: late }),
            (draining, deadline, true, Next::Stop, Ending::Cutting { until: late }),
            (cutting, now, false, Next::Wait, cutting),
            (cutting, now, true, Next::Leave(Outcome::Cut), cutting),
            (cutting, deadline, false, Next::Leave(Outcome::Cut), cutting),
        ] {
            let mut after = ending;
            assert_eq!(after.look(at, all_ended), next, "{ending:?}");
            assert_eq!(after, then, "{ending:?}");
        }
    }
}
