//! Which grade the use of one resource is a reason for. Pure: values and moments in, a grade out. It refuses to know what
//! the values are.

use std::time::Duration;
use std::time::Instant;

use crate::snapshot::overload::Grade;

/// The judgement on one resource, which remembers where it stood.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    grade: Grade,
    /// Since when the value has been low enough for the grade below, without a break.
    low_since: Option<Instant>,
}

/// How long a value must have been low enough before the next lower grade is taken.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

impl Verdict {
    /// Judges a value, nothing if there is none: then there is no reason for anything. Each grade is entered at once where
    /// its step is reached, and left, one at a time, when the value has been below nine tenths of the step for
    /// [`PATIENCE`]. A step of 0 is never reached.
    pub(super) fn judge(&mut self, value: Option<u64>, steps: &[u64; 3], now: Instant) -> Grade {
        let Some(value) = value else {
            *self = Self::default();
            return self.grade;
        };
        let reached = |grade: &Grade| {
            let step = step(steps, *grade);
            step > 0 && value >= step
        };
        let entered = Grade::ALL.into_iter().rev().find(reached).unwrap_or_default();
        if entered > self.grade {
            *self = Self { grade: entered, low_since: None };
        }
        let left = step(steps, self.grade) / 10 * 9 + step(steps, self.grade) % 10 * 9 / 10;
        if self.grade == Grade::Calm || (left > 0 && value >= left) {
            self.low_since = None;
        } else if now.saturating_duration_since(*self.low_since.get_or_insert(now)) >= PATIENCE {
            *self = Self { grade: Grade::of((self.grade as u32).saturating_sub(1)), low_since: None };
        }
        self.grade
    }
}

/// The step of a grade; 0: it has none.
fn step(steps: &[u64; 3], grade: Grade) -> u64 {
    (grade as usize).checked_sub(1).and_then(|place| steps.get(place)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Grade::Calm;
    use Grade::Closed;
    use Grade::Shed;
    use Grade::Thrift;

    const STEPS: [u64; 3] = [800, 880, 950];

    /// Seconds, values, and the grades they must lead to.
    fn play(steps: &[u64; 3], table: &[(u64, Option<u64>, Grade)]) {
        let (mut verdict, start) = (Verdict::default(), Instant::now());
        for (row, (second, value, grade)) in table.iter().enumerate() {
            let now = start + Duration::from_secs(*second);
            assert_eq!(verdict.judge(*value, steps, now), *grade, "row {row}: {value:?} at {second} s");
        }
    }

    #[test]
    fn a_grade_is_entered_at_its_step_at_once() {
        for (value, grade) in [
            (0, Calm),
            (799, Calm),
            (800, Thrift),
            (879, Thrift),
            (880, Shed),
            (949, Shed),
            (950, Closed),
            (5000, Closed),
        ] {
            play(&STEPS, &[(0, Some(value), grade)]);
        }
        play(&STEPS, &[(0, Some(800), Thrift), (0, Some(950), Closed), (0, Some(900), Closed)]);
    }

    #[test]
    fn a_grade_is_left_at_nine_tenths_and_after_a_while_one_at_a_time() {
        play(
            &STEPS,
            &[
                (0, Some(960), Closed),
                // Below the step, not below nine tenths of it.
                (10, Some(855), Closed),
                (20, Some(855), Closed),
                (21, Some(854), Closed),
                (23, Some(854), Closed),
                (24, Some(854), Shed),
                // 792 is nine tenths of 880.
                (30, Some(792), Shed),
                (31, Some(791), Shed),
                (33, Some(793), Shed),
                (34, Some(700), Shed),
                (36, Some(700), Shed),
                (37, Some(700), Thrift),
                (38, Some(700), Thrift),
                (41, Some(700), Calm),
                (99, Some(0), Calm),
            ],
        );
    }

    #[test]
    fn a_relapse_begins_the_wait_anew() {
        play(
            &STEPS,
            &[
                (0, Some(800), Thrift),
                (1, Some(100), Thrift),
                (3, Some(100), Thrift),
                (3, Some(730), Thrift),
                (4, Some(100), Thrift),
                (6, Some(880), Shed),
                (7, Some(100), Shed),
                (10, Some(100), Thrift),
                (13, Some(100), Thrift),
                (14, Some(100), Thrift),
                (16, Some(100), Calm),
            ],
        );
    }

    #[test]
    fn what_cannot_be_read_is_no_reason_for_anything() {
        play(&STEPS, &[(0, None, Calm), (1, Some(999), Closed), (1, None, Calm), (2, Some(800), Thrift)]);
    }

    #[test]
    fn a_step_of_nothing_is_never_reached() {
        play(&[0, 0, 0], &[(0, Some(0), Calm), (1, Some(u64::MAX), Calm)]);
        play(&[0, 0, 950], &[(0, Some(949), Calm), (1, Some(950), Closed)]);
        // A reload took the steps away: what was entered is left in the order of the grades.
        let (mut verdict, start) = (Verdict::default(), Instant::now());
        assert_eq!(verdict.judge(Some(950), &STEPS, start), Closed);
        let after =
            |verdict: &mut Verdict, second| verdict.judge(Some(950), &[0, 0, 0], start + Duration::from_secs(second));
        assert_eq!(
            [0, 3, 3, 6, 6, 9].map(|second| after(&mut verdict, second)),
            [Closed, Shed, Shed, Thrift, Thrift, Calm]
        );
    }

    #[test]
    fn large_steps_have_nine_tenths_too() {
        play(&[u64::MAX, u64::MAX, u64::MAX], &[(0, Some(u64::MAX), Closed), (9, Some(u64::MAX / 10 * 9 + 5), Closed)]);
        play(&[1, 2, 3], &[(0, Some(3), Closed), (1, Some(2), Closed), (5, Some(1), Closed), (8, Some(0), Shed)]);
    }
}
