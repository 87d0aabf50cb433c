//! Which time a percentile of the last times did not exceed, from counts that fade. It refuses to know what took so long.

use std::time::Duration;

/// Counts of times by their size, each bucket an eighth of an octave wide: within 9 % of the true time.
#[derive(Debug)]
pub struct Times {
    buckets: Box<[u32; BUCKETS]>,
    /// The sum of the buckets.
    total: u32,
    /// Times noted since the counts were halved last.
    noted: u32,
}

/// Octaves of microseconds, to an hour and more; and the parts of each.
const OCTAVES: usize = 32;
const PARTS: usize = 8;
const BUCKETS: usize = OCTAVES * PARTS;

/// After so many times every count is halved: what was seen ten thousand times ago counts a thousandth.
const FADE: u32 = 1024;
/// As few times say nothing of a percentile.
const ENOUGH: u32 = 100;

impl Default for Times {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), total: 0, noted: 0 }
    }
}

impl Times {
    /// Notes a time.
    pub fn note(&mut self, us: u64) {
        if self.noted >= FADE {
            self.fade();
        }
        if let Some(count) = self.buckets.get_mut(bucket(us)) {
            *count += 1;
            self.total += 1;
            self.noted += 1;
        }
    }

    /// The time that `percent` of those noted did not exceed, to the upper end of its bucket; nothing before a hundred.
    #[must_use]
    pub fn percentile(&self, percent: u32) -> Option<Duration> {
        if self.total < ENOUGH {
            return None;
        }
        let wanted = (u64::from(self.total) * u64::from(percent.min(100))).div_ceil(100).max(1);
        let mut below = 0;
        let at = self.buckets.iter().position(|count| {
            below += u64::from(*count);
            below >= wanted
        })?;
        Some(Duration::from_micros(upper(at)))
    }

    fn fade(&mut self) {
        self.buckets.iter_mut().for_each(|count| *count /= 2);
        self.total = self.buckets.iter().sum();
        self.noted = 0;
    }
}

/// The bucket of a time: its octave and the three bits below the highest.
fn bucket(us: u64) -> usize {
    let us = us.max(PARTS as u64);
    let octave = us.ilog2();
    let part = usize::try_from((us >> (octave - 3)) & 7).unwrap_or(0);
    (octave as usize * PARTS + part).min(BUCKETS - 1)
}

/// The largest time of a bucket, in microseconds.
fn upper(bucket: usize) -> u64 {
    let (octave, part) = (bucket / PARTS, bucket % PARTS);
    ((PARTS + part + 1) as u64) << octave.saturating_sub(3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rand::Rng;

    #[test]
    fn too_few_times_say_nothing() {
        let mut times = Times::default();
        (0..99).for_each(|_| times.note(1000));
        assert_eq!(times.percentile(95), None);
        times.note(1000);
        assert!(times.percentile(95).is_some());
    }

    #[test]
    fn a_percentile_is_within_an_eighth_of_the_true_one() {
        let rng = Rng::seeded(3);
        let mut times = Times::default();
        let mut noted: Vec<u64> = (0..1000).map(|_| 200 + rng.next() % 100_000).collect();
        noted.iter().for_each(|us| times.note(*us));
        noted.sort_unstable();
        for percent in [1, 50, 90, 95, 99, 100] {
            let exact = noted[(noted.len() * percent as usize / 100).clamp(1, noted.len()) - 1];
            let found = u64::try_from(times.percentile(percent).unwrap().as_micros()).unwrap();
            assert!(found >= exact && found <= exact + exact / 7 + 1, "p{percent}: {found} for {exact}");
        }
    }

    #[test]
    fn what_was_long_ago_fades() {
        let mut times = Times::default();
        (0..2000).for_each(|_| times.note(1_000_000));
        (0..20_000).for_each(|_| times.note(1000));
        assert!(times.percentile(99).unwrap() < Duration::from_micros(1200));
    }

    #[test]
    fn the_ends_of_the_scale_do_no_harm() {
        let mut times = Times::default();
        (0..200).for_each(|n| times.note(if n % 2 == 0 { 0 } else { u64::MAX }));
        assert!(times.percentile(50).unwrap() < Duration::from_micros(20));
        assert!(times.percentile(100).unwrap() > Duration::from_secs(1000));
    }
}
