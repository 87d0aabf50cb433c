//! When a certificate is ordered. Pure: times are seconds since 1970 and given, as chance is. It refuses to know clocks.

use crate::acme::Reason;

/// Chance, drawn once for a certificate: from 0 to [`WHOLE`].
pub(super) type Chance = u32;
/// The whole of a chance.
pub(super) const WHOLE: i64 = 1 << 16;

/// Between two orders for one certificate that was good, at least: an authority whose hints are nonsense is not followed into
/// a circle.
pub(super) const REST: i64 = 3600;
/// How long an authority's hint is taken at the least and at the most before it is asked again, and how long if it gave none.
const ASK_LEAST: i64 = 60;
const ASK_MOST: i64 = 24 * 3600;
pub(super) const ASK_USUAL: i64 = 6 * 3600;
/// After a first failure; three times that after each further one.
const FIRST: i64 = 60;
/// Longest time between two tries, unless the authority asks for more.
const LONGEST: i64 = 12 * 3600;
/// Longest time that an authority can ask for.
const PATIENCE: i64 = 7 * 24 * 3600;
/// After a refusal for the number of orders, at least.
const LIMITED: i64 = 3600;

/// Further off than any order that is put off.
pub(super) const FARTHEST: i64 = PATIENCE + PATIENCE / 2;
/// Further off than any time to ask.
pub(super) const ASK_FARTHEST: i64 = 2 * ASK_MOST;

/// A time before which nothing is done. One that is further off than it can be was set by a clock that was wrong, and binds
/// nobody.
pub(super) fn bound(until: i64, now: i64, farthest: i64) -> i64 {
    if until.saturating_sub(now) > farthest { 0 } else { until }
}

/// The part of a whole that chance has drawn.
fn part(whole: i64, chance: Chance) -> i64 {
    whole.max(0) / WHOLE * i64::from(chance) + whole.max(0) % WHOLE * i64::from(chance) / WHOLE
}

/// When a certificate with this life is renewed: once two thirds of it are over, less up to a thirtieth of it by chance; or
/// where its authority wants it within a window, somewhere in there, but not so late that little is left for another try.
pub(super) fn renewal((from, to): (i64, i64), window: Option<(i64, i64)>, chance: Chance) -> (i64, Reason) {
    let life = (to - from).max(0);
    let Some((first, last)) = window.filter(|(first, last)| first <= last) else {
        return (from + life / 3 * 2 - part(life / 30, chance), Reason::Age);
    };
    ((first + part(last - first, chance)).min(from + life / 10 * 9), Reason::Authority)
}

/// How long is waited after so many failures in a row: 1, 3, 9, … minutes up to twelve hours, and up to half as much again
/// by chance. So there are no more than five tries in the first hour, which is what Let's Encrypt allows. Never less than
/// what the authority asks for.
pub(super) fn pause(failures: u32, asked: Option<i64>, limited: bool, chance: Chance) -> i64 {
    let steps = failures.saturating_sub(1).min(16);
    let own = (FIRST.saturating_mul(3_i64.saturating_pow(steps))).min(LONGEST);
    let least = asked.unwrap_or(0).min(PATIENCE).max(if limited { LIMITED } else { 0 });
    let pause = own.max(least);
    pause + part(own / 2, chance)
}

/// When an authority is asked anew for its window.
pub(super) fn ask_again(now: i64, asked: Option<i64>) -> i64 {
    now + asked.map_or(ASK_USUAL, |asked| asked.clamp(ASK_LEAST, ASK_MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;
    const CHANCES: [Chance; 3] = [0, (WHOLE / 2) as Chance, WHOLE as Chance];

    #[test]
    fn renewal_is_at_two_thirds_or_when_the_authority_says() {
        let life = (1000 * DAY, 1090 * DAY);
        assert_eq!(CHANCES.map(|c| renewal(life, None, c).0), [1060 * DAY, 1058 * DAY + DAY / 2, 1057 * DAY]);
        assert_eq!(renewal(life, None, 0).1, Reason::Age);
        let window = Some((1010 * DAY, 1012 * DAY));
        assert_eq!(CHANCES.map(|c| renewal(life, window, c).0), [1010 * DAY, 1011 * DAY, 1012 * DAY]);
        assert_eq!(renewal(life, window, 0).1, Reason::Authority);
        // One that is over is now; one that is never is before the end all the same; one that is none is none.
        assert_eq!(renewal(life, Some((1, 2)), 0).0, 1);
        assert_eq!(renewal(life, Some((2000 * DAY, 3000 * DAY)), 0).0, 1081 * DAY);
        assert_eq!(renewal(life, Some((1012 * DAY, 1010 * DAY)), 0), renewal(life, None, 0));
        // Six days, as some have.
        assert_eq!(renewal((0, 6 * DAY), None, 0).0, 4 * DAY);
        // A life that is none.
        assert_eq!(renewal((5, 3), None, 9).0, 5);
    }

    #[test]
    fn failures_are_followed_by_longer_and_longer_pauses() {
        let pauses = |chance| [1, 2, 3, 4, 5, 6, 7, 8, 1000].map(|failures| pause(failures, None, false, chance) / 60);
        assert_eq!(pauses(0), [1, 3, 9, 27, 81, 243, 720, 720, 720]);
        assert_eq!(pauses(WHOLE as Chance), [1, 4, 13, 40, 121, 364, 1080, 1080, 1080]);
        let soonest: i64 = (1..=5).map(|failures| pause(failures, None, false, 0)).sum();
        assert!(soonest > 3600, "six tries within an hour");
        assert_eq!(pause(1, Some(7200), false, 0), 7200, "what is asked for");
        assert_eq!(pause(1, Some(7200), true, WHOLE as Chance), 7230);
        assert_eq!(pause(7, Some(5), false, 0), LONGEST, "never less than our own");
        assert_eq!(pause(1, None, true, 0), LIMITED);
        assert_eq!(pause(1, Some(i64::MAX), false, 0), PATIENCE);
    }

    #[test]
    fn a_clock_that_was_wrong_binds_nobody() {
        for (until, bound_by) in
            [(900, 900), (1000, 1000), (1100, 1100), (1101, 0), (i64::MAX, 0), (i64::MIN, i64::MIN)]
        {
            assert_eq!(bound(until, 1000, 100), bound_by);
        }
        let farthest = pause(1000, Some(i64::MAX), true, WHOLE as Chance);
        assert!(farthest <= FARTHEST && ask_again(0, Some(i64::MAX)) <= ASK_FARTHEST);
    }

    #[test]
    fn an_authority_is_asked_again_when_it_says_within_bounds() {
        for (asked, after) in [(None, ASK_USUAL), (Some(0), 60), (Some(7200), 7200), (Some(i64::MAX), DAY)] {
            assert_eq!(ask_again(1000, asked), 1000 + after);
        }
    }
}
