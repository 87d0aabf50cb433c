//! What all cores have done at the endpoints of one upstream, folded into what is known of each: its mean, whether it is
//! put out, since when it is back. Done by whichever core has the turn; the words of an endpoint are the only memory.

use crate::balance::board::Board;
use crate::balance::board::Fleet;
use crate::balance::board::Order;
use crate::balance::board::Standing;
use crate::balance::cost;
use crate::balance::orca;
use crate::balance::plan::Candidate;
use crate::balance::plan::Plan;
use crate::balance::turn::Taken;
use crate::balance::turn::WORD_MOST;
use crate::model::Ejection;
use crate::rand::Rng;
use crate::time::us;

/// How often the rows are folded, in microseconds.
pub const PERIOD_US: u64 = 10_000;

/// Words of an endpoint.
pub(super) const WORDS: usize = 18;
/// The mean latency to a response head, in 256ths of a microsecond; 0: none is known.
pub(super) const MEAN: usize = 0;
/// When the mean was last told.
pub(super) const TOLD: usize = 1;
/// Until when it is out, at the least; 0: it is not out.
pub(super) const OUT_UNTIL: usize = 2;
/// Since when it has its share step by step; 0: it was never seen; 1: it has it whole.
pub(super) const SINCE: usize = 3;
/// When it was last put out.
pub(super) const EJECTED_AT: usize = 4;
/// Penalties given before this are forgotten: it has come back, or is new.
pub(super) const CLEARED_AT: usize = 5;
/// The latency that its own report lets expect, in microseconds; 0: there is no fresh report.
pub(super) const REPORTED: usize = 6;
/// So many words does a pick need.
pub(super) const READ: usize = 7;
const GOOD: usize = 7;
const SUM: usize = 8;
const BAD: usize = 9;
const SOURED: usize = 10;
/// Packed: failures in a row, times out without a long rest between them, the reason of the last one, all times out ever.
pub(super) const TALLY: usize = 11;
/// The number of the newest part of the window.
const WINDOW_AT: usize = 12;
/// From here on the parts of the window, good answers and failures in each.
const WINDOW: usize = 13;

/// The window of the share of good answers: five parts of two seconds.
const PARTS: usize = 5;
const PART_US: u64 = 2_000_000;

/// Words of an upstream.
pub(super) const FLEET_WORDS: usize = 4;
/// The median of the means, in microseconds; 0: none is known.
pub(super) const MEDIAN: usize = 0;
/// Whether more than half of the endpoints are new: then none begins slowly.
pub(super) const ALL_NEW: usize = 1;
/// The mean of what endpoints report of themselves.
const STRAIN: usize = 2;
/// Not 0 once there was a turn.
const BORN: usize = 3;

/// A report is believed for so long, in microseconds.
const REPORT_US: u64 = 10_000_000;
/// An endpoint whose words are older than this many turns was not in the configuration meanwhile.
const TURNS_MISSED: u64 = 2;

/// A mean as a word holds it, in whole microseconds.
#[inline]
pub(super) fn mean_us(word: u64) -> u64 {
    word.div_ceil(256)
}

/// Why an endpoint is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It failed so many times in a row.
    Failures,
    /// Too few of its answers were good.
    Share,
    /// It failed the request that was to bring it back.
    Trial,
}

impl Reason {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Failures => "consecutive_failures",
            Self::Share => "success_rate",
            Self::Trial => "failed_trial",
        }
    }
}

/// The packed tally of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Failures in a row.
    pub(super) row: u64,
    /// Times out without a long rest between them.
    pub(super) times: u32,
    reason: u64,
    /// Times out ever.
    pub(super) ever: u64,
}

const ROW_MOST: u64 = (1 << 12) - 1;
const TIMES_MOST: u32 = 31;
const EVER_MOST: u64 = (1 << 28) - 1;

impl Tally {
    pub(super) fn of(word: u64) -> Self {
        let times = u32::try_from(word >> 12 & u64::from(TIMES_MOST)).unwrap_or(0);
        Self { row: word & ROW_MOST, times, reason: word >> 17 & 3, ever: word >> 20 & EVER_MOST }
    }

    fn word(self) -> u64 {
        self.row.min(ROW_MOST) | u64::from(self.times.min(TIMES_MOST)) << 12 | self.reason << 17 | self.ever << 20
    }

    /// Why it was last put out.
    pub(super) fn reason(self) -> Option<Reason> {
        match self.reason {
            1 => Some(Reason::Failures),
            2 => Some(Reason::Share),
            3 => Some(Reason::Trial),
            _ => None,
        }
    }
}

/// What has happened at one endpoint since the turn before.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    /// Answers that were good and stayed so.
    good: u64,
    bad: u64,
    /// Answers that were timed, and the sum of their times.
    samples: u64,
    sum: u64,
    /// A strain, ten-thousandths; 0: none was said of late.
    strain: u64,
}

/// One turn.
struct Round<'a> {
    plan: &'a Plan,
    board: &'a Board,
    taken: Taken,
    now: u64,
    rng: &'a Rng,
    born: bool,
    median: u64,
    strain: u64,
    /// Endpoints that are out now, and that may be.
    out: usize,
    out_most: usize,
}

/// Folds all rows. `means` is room that is kept from one turn to the next.
pub(super) fn fold(plan: &Plan, board: &Board, fleet: &Fleet, turn: (Taken, u64, &Rng), means: &mut Vec<u64>) {
    let (taken, now, rng) = turn;
    let mut round = Round {
        plan,
        board,
        taken,
        now,
        rng,
        born: fleet.folded.one(BORN) != 0,
        median: fleet.folded.one(MEDIAN),
        strain: fleet.folded.one(STRAIN),
        out: 0,
        out_most: 0,
    };
    round.count();
    means.clear();
    let (mut new, mut strains, mut reports) = (0, 0, 0);
    for candidate in &plan.candidates {
        // Somebody else has the turn: this core was stopped for long.
        if !fleet.turn.holds(taken) {
            return;
        }
        let (words, news) = round.endpoint(candidate);
        board.standing(candidate.slot).folded.write(taken, &words);
        if words[MEAN] > 0 {
            means.push(mean_us(words[MEAN]));
        }
        if words[SINCE] > 1 && now.saturating_sub(words[SINCE]) < plan.rules.slow_start_us {
            new += 1;
        }
        if news.strain > 0 {
            strains += news.strain;
            reports += 1;
        }
    }
    // The lower one of two middles: an endpoint that is slow must not be its own measure.
    // Of two in the middle the slower one: an idle endpoint that comes back to the faster would be taken for one of the fast
    // half of an uneven fleet.
    let middle = means.len() / 2;
    let median = if means.is_empty() { 0 } else { *means.select_nth_unstable(middle).1 };
    let all_new = u64::from(2 * new > plan.candidates.len());
    let strain = strains.checked_div(reports).unwrap_or(0);
    fleet.folded.write(taken, &[median, all_new, strain, 1]);
}

impl Round<'_> {
    /// How many are out, and how many may be.
    fn count(&mut self) {
        let standings = self.plan.candidates.iter().map(|candidate| self.board.standing(candidate.slot));
        let mut ready = 0;
        let mut out = 0;
        for standing in standings {
            ready += usize::from(standing.order() == Order::Ready);
            out += usize::from(standing.folded.one(OUT_UNTIL) > 0);
        }
        self.out = out;
        self.out_most = ready * (self.plan.rules.ejection.share_percent.min(100) as usize) / 100;
    }

    /// The words of one endpoint after this turn.
    fn endpoint(&mut self, candidate: &Candidate) -> ([u64; WORDS], News) {
        let standing = self.board.standing(candidate.slot);
        let (mut words, tag) = standing.folded.read::<WORDS>().map_or_else(
            || (std::array::from_fn(|place| standing.folded.one(place)), None),
            |(words, tag)| (words, Some(tag)),
        );
        let news = self.gather(candidate, &mut words, tag.is_none());
        let missed = tag.map_or(0, |tag| self.taken.tag_before().wrapping_sub(tag) & 0xffff);
        if words[SINCE] == 0 || (self.born && missed > TURNS_MISSED) {
            self.join(standing, &mut words);
        }
        self.sample(&mut words, news);
        self.judge(standing, &mut words, news);
        words[REPORTED] = match (news.strain, self.strain) {
            (0, _) | (_, 0) => 0,
            (strain, mean) => self.median.saturating_mul(strain) / mean,
        };
        (words, news)
    }

    /// Adds the rows up, and says by how much more that is than at the turn before.
    fn gather(&self, candidate: &Candidate, words: &mut [u64; WORDS], torn: bool) -> News {
        let mut sums = [0_u64; 4];
        let mut report = (0, 0);
        for load in self.board.loads(candidate.slot) {
            // Their number first: a sum that is ahead of it by the answer of this moment stays for the next turn.
            for (sum, count) in sums.iter_mut().zip([&load.good, &load.sum_us, &load.bad, &load.soured]) {
                *sum = sum.wrapping_add(count.get());
            }
            let (strain, at) = orca::unpack(load.report.get());
            if strain > 0 && at >= report.1 {
                report = (strain, at);
            }
        }
        let mut since = |place: usize, sum: u64| {
            let before = std::mem::replace(&mut words[place], sum & WORD_MOST);
            // Words of two turns say nothing of what happened between them.
            if torn { 0 } else { sum.wrapping_sub(before) & WORD_MOST }
        };
        let (good, bad, soured) = (since(GOOD, sums[0]), since(BAD, sums[2]), since(SOURED, sums[3]));
        let sum = if good > 0 || torn { since(SUM, sums[1]) } else { 0 };
        let fresh = self.plan.rules.reports && self.now.saturating_sub(report.1) < REPORT_US;
        let strain = if fresh { report.0 } else { 0 };
        News { good: good.saturating_sub(soured), bad, samples: good, sum, strain }
    }

    /// An endpoint that was not here at the turn before.
    fn join(&self, standing: &Standing, words: &mut [u64; WORDS]) {
        words[SINCE] = if self.born { self.now } else { 1 };
        words[OUT_UNTIL] = 0;
        words[CLEARED_AT] = if self.born { self.now } else { 0 };
        words[TALLY] = Tally { row: 0, times: 0, ..Tally::of(words[TALLY]) }.word();
        words[WINDOW..].fill(0);
        standing.judge_trial();
    }

    fn sample(&self, words: &mut [u64; WORDS], news: News) {
        if news.samples == 0 {
            return;
        }
        let mut sample = cost::float(news.sum) / cost::float(news.samples);
        let known = if words[MEAN] > 0 { cost::float(words[MEAN]) / 256.0 } else { cost::float(self.median) };
        if known > 0.0 {
            sample = sample.min(cost::float(cost::CLIP) * known);
        }
        let passed = self.now.saturating_sub(words[TOLD]);
        // What an idle endpoint came back to is where its new mean begins: by the old one it would be left out once more after
        // each answer. The time of the answer itself was no idle time.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturating")]
        let idle = passed.saturating_sub(sample as u64);
        let known = cost::returned(known, cost::float(self.median), idle);
        let mean = if words[MEAN] == 0 { sample } else { cost::moved(known, sample, news.samples, passed) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturating")]
        let mean = (mean * 256.0) as u64;
        words[MEAN] = mean.clamp(1, WORD_MOST);
        words[TOLD] = self.now;
    }

    /// Whether it is to be put out, or comes back.
    fn judge(&mut self, standing: &Standing, words: &mut [u64; WORDS], news: News) {
        let mut tally = Tally::of(words[TALLY]);
        let rules = self.plan.rules.ejection;
        let share = window(words, news, self.now);
        tally.row = if news.good > 0 { 0 } else { (tally.row + news.bad).min(ROW_MOST) };
        if words[OUT_UNTIL] > 0 {
            if self.now >= words[OUT_UNTIL] && news.bad > 0 {
                tally.reason = 3;
                self.put_out(standing, words, &mut tally);
            } else if self.now >= words[OUT_UNTIL] && news.good > 0 {
                self.take_back(standing, words, &mut tally);
            }
        } else {
            if tally.times > 0 && self.now.saturating_sub(words[CLEARED_AT]) >= us(rules.time_max) {
                tally.times = 0;
            }
            let reason = fails(&rules, tally.row, share);
            if reason > 0 && self.out < self.out_most {
                tally.reason = reason;
                self.out += 1;
                self.put_out(standing, words, &mut tally);
            }
        }
        words[TALLY] = tally.word();
    }

    fn put_out(&self, standing: &Standing, words: &mut [u64; WORDS], tally: &mut Tally) {
        let rules = &self.plan.rules.ejection;
        let time = us(rules.time).checked_shl(tally.times).unwrap_or(u64::MAX).min(us(rules.time_max));
        // Give or take a fifth.
        let time = time / 1000 * (800 + self.rng.below(401) as u64);
        tally.times = (tally.times + 1).min(TIMES_MOST);
        tally.ever = (tally.ever + 1) & EVER_MOST;
        tally.row = 0;
        words[EJECTED_AT] = self.now;
        words[OUT_UNTIL] = self.now + time.max(1);
        standing.judge_trial();
    }

    fn take_back(&mut self, standing: &Standing, words: &mut [u64; WORDS], tally: &mut Tally) {
        words[OUT_UNTIL] = 0;
        words[SINCE] = self.now;
        words[CLEARED_AT] = self.now;
        words[WINDOW..].fill(0);
        tally.row = 0;
        self.out = self.out.saturating_sub(1);
        standing.judge_trial();
    }
}

/// Moves the window on, adds what is new, and says what is in it: good answers and failures.
fn window(words: &mut [u64; WORDS], news: News, now: u64) -> (u64, u64) {
    const HALF: u64 = (1 << 24) - 1;
    let part = now / PART_US;
    let passed = part.saturating_sub(words[WINDOW_AT]).min(PARTS as u64);
    for back in 0..passed {
        words[WINDOW + place(part - back)] = 0;
    }
    words[WINDOW_AT] = part;
    let newest = &mut words[WINDOW + place(part)];
    let (good, bad) = ((*newest & HALF) + news.good, (*newest >> 24) + news.bad);
    *newest = good.min(HALF) | bad.min(HALF) << 24;
    words[WINDOW..].iter().fold((0, 0), |(good, bad), word| (good + (word & HALF), bad + (word >> 24)))
}

fn place(part: u64) -> usize {
    usize::try_from(part % PARTS as u64).unwrap_or(0)
}

/// The number of the reason for which an endpoint fails; 0: it does not.
fn fails(rules: &Ejection, row: u64, (good, bad): (u64, u64)) -> u64 {
    let all = good + bad;
    if rules.failures > 0 && row >= u64::from(rules.failures) {
        1
    } else if all >= u64::from(rules.requests.max(1)) && good * 100 < all * u64::from(rules.success_percent) {
        2
    } else {
        0
    }
}
