//! What an endpoint costs, by the formula of `docs/balancing.md`: its mean latency, corrected by what is not in the mean
//! yet. Pure arithmetic of additions, products and tables, so that it gives the same on every machine.

/// A sample counts for this many means at the most.
pub const CLIP: u64 = 3;
/// The time constant of the mean, in microseconds.
pub const MEAN_TAU_US: u64 = 3_000_000;
/// The least that one sample moves the mean.
pub const LEAST_SHARE: f32 = 0.03;
/// An idle endpoint comes back to the median with this time constant, in microseconds.
pub const RETURN_TAU_US: u64 = 5_000_000;
/// What a failure costs at least, in microseconds.
pub const PENALTY_US: u64 = 5_000_000;
/// What a failure costs at most, in microseconds.
pub const PENALTY_MOST_US: u64 = 300_000_000;
/// A penalty fades with this time constant, in microseconds.
pub const PENALTY_TAU_US: u64 = 10_000_000;
/// Of the mean age of what waits for an answer, this part is taken for a latency.
pub const AGE_PART: f32 = 0.5;
/// The least part of its share that an endpoint has at the beginning of its slow start.
pub const SLOW_LEAST: f32 = 0.1;

/// What is known of an endpoint when its cost is reckoned. Times in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Mean latency; 0: none is known.
    pub mean: u64,
    /// When it was last told.
    pub told: u64,
    /// The median of the means of all endpoints; 0: none is known.
    pub median: u64,
    /// Requests that wait for their response's head, all cores together.
    pub waiting: u32,
    /// The sum of the times at which they were sent, wrapping.
    pub sent: u64,
    /// The worst penalty, as it was at `penalty_at`.
    pub penalty: u64,
    /// When that was.
    pub penalty_at: u64,
}

/// The latency to be expected of an endpoint, in microseconds and in steps of 19 %.
#[inline]
#[must_use]
pub fn expected(facts: &Facts, now: u64) -> f32 {
    stepped(raw(facts, now))
}

/// The same without steps.
#[must_use]
pub fn raw(facts: &Facts, now: u64) -> f32 {
    let median = float(facts.median);
    let mut value = if facts.mean == 0 { median } else { float(facts.mean) };
    if facts.waiting == 0 {
        value = returned(value, median, now.saturating_sub(facts.told));
    } else {
        let ages = now.wrapping_mul(u64::from(facts.waiting)).wrapping_sub(facts.sent);
        // Another core's count and its sum may be a moment apart: a sum that is ahead is no age.
        let ages = if ages >> 63 == 0 { float(ages) } else { 0.0 };
        value = value.max(AGE_PART * ages / float(u64::from(facts.waiting)));
    }
    let since = now.saturating_sub(facts.penalty_at);
    if facts.penalty > 0 && !is_served(facts, since) {
        value = value.max(float(facts.penalty) * decay(since, PENALTY_TAU_US));
    }
    value.max(1.0)
}

/// Whether a penalty no longer counts. It keeps its endpoint away for its own length, and then one request, while nothing
/// else waits there, finds out: an answer ends the penalty, a failure brings another. By its fading alone an endpoint of
/// quick peers would be away for more than a minute after a single failure.
fn is_served(facts: &Facts, since: u64) -> bool {
    let answered = facts.told > facts.penalty_at.saturating_add(facts.penalty);
    since >= facts.penalty && (facts.waiting == 0 || answered)
}

/// What is left, after so long without a request, of a mean that is above the median: it comes back to that.
#[inline]
#[must_use]
pub fn returned(mean: f32, median: f32, idle_us: u64) -> f32 {
    if mean > median && median > 0.0 { median + (mean - median) * decay(idle_us, RETURN_TAU_US) } else { mean }
}

/// The mean after `count` more samples with the mean `sample`, spread evenly over the time since the last were told.
#[must_use]
pub fn moved(mean: f32, sample: f32, count: u64, passed_us: u64) -> f32 {
    let one = (1.0 - decay(passed_us / count.max(1), MEAN_TAU_US)).max(LEAST_SHARE);
    // What is left of the old mean after all of them.
    let (mut left, mut base, mut rest) = (1.0_f32, 1.0 - one, count);
    while rest > 0 {
        if rest & 1 == 1 {
            left *= base;
        }
        base *= base;
        rest >>= 1;
    }
    sample + (mean - sample) * left
}

/// The share that an endpoint has, so long after it came.
#[must_use]
pub fn slow_start(passed_us: u64, window_us: u64) -> f32 {
    if passed_us >= window_us { 1.0 } else { (float(passed_us) / float(window_us)).max(SLOW_LEAST) }
}

/// e^(-passed / tau), within a millionth.
#[must_use]
pub fn decay(passed_us: u64, tau_us: u64) -> f32 {
    let turns = float(passed_us) / float(tau_us) * std::f32::consts::LOG2_E;
    if turns >= 60.0 {
        return 0.0;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 59")]
    let whole = turns as u32;
    let part = (turns - float(u64::from(whole))) * -std::f32::consts::LN_2;
    // The series of e^x for -0.7 < x <= 0; the rest of it is below a millionth.
    let power = 1.0
        + part
            * (1.0
                + part * (0.5 + part * (SIXTH + part * (0.25 * SIXTH + part * (0.05 * SIXTH + part * 0.001_388_9)))));
    power * f32::from_bits((127 - whole) << 23)
}

const SIXTH: f32 = 1.0 / 6.0;

/// The nearest power of 2^(1/4). Not for what is below the smallest normal number.
#[inline]
#[must_use]
pub fn stepped(value: f32) -> f32 {
    const MANTISSA: u32 = (1 << 23) - 1;
    /// 2^(1/8), 2^(3/8), 2^(5/8), 2^(7/8): from each on, the next step is nearer.
    const BOUNDS: [f32; 4] = [1.090_507_7, 1.296_839_6, 1.542_210_8, 1.834_008];
    const STEPS: [f32; 5] = [1.0, 1.189_207_1, std::f32::consts::SQRT_2, 1.681_792_8, 2.0];
    let bits = value.to_bits();
    let mantissa = f32::from_bits(bits & MANTISSA | 127 << 23);
    let step = BOUNDS.iter().filter(|bound| mantissa >= **bound).count();
    f32::from_bits(bits & !MANTISSA) * STEPS[step]
}

/// A penalty and its time in one word.
#[derive(Debug)]
pub struct Penalty;

impl Penalty {
    /// Bits of the time, in units of 16 µs: eight years.
    const TIME_BITS: u32 = 44;

    /// The word after one more failure: what was left of the last penalty, the mean, what the endpoint asked for, but five
    /// seconds at least, and five minutes at most.
    #[must_use]
    pub fn again(word: u64, mean: u64, asked: Option<u64>, now: u64) -> u64 {
        let (before, at) = Self::read(word);
        let left = float(before) * decay(now.saturating_sub(at), PENALTY_TAU_US);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 300,000,000")]
        let left = left as u64;
        let penalty = PENALTY_US.max(asked.unwrap_or(0)).max(mean).max(left).min(PENALTY_MOST_US);
        let time = now >> 4 & ((1 << Self::TIME_BITS) - 1);
        penalty.div_ceil(1000) << Self::TIME_BITS | time
    }

    /// The penalty, and when it was given, in microseconds; 0: none was.
    #[inline]
    #[must_use]
    pub fn read(word: u64) -> (u64, u64) {
        ((word >> Self::TIME_BITS) * 1000, (word & ((1 << Self::TIME_BITS) - 1)) << 4)
    }
}

#[inline]
#[expect(clippy::cast_precision_loss, reason = "seven digits are enough for a choice")]
pub(super) fn float(n: u64) -> f32 {
    n as f32
}
