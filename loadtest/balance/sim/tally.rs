//! What a run has come to: latencies, shares, failures, each with its time, and a hash of everything that happened.

/// A hash of a sequence of numbers (FNV-1a over 64-bit words, finished as SplitMix64 does).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log(pub u64);

impl Default for Log {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Log {
    /// Adds a number.
    pub fn note(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x0000_0100_0000_01b3);
        self.0 ^= self.0 >> 29;
    }
}

/// Width of the bins of everything over time, in microseconds.
pub const BIN: u64 = 100_000;

/// The result of one run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Latencies of what was sent after the warm-up, in microseconds, in order of time until [`Tally::close`] sorts them.
    pub latencies: Vec<u64>,
    /// Requests that failed, of all.
    pub failed: u64,
    /// Requests sent, of all.
    pub sent: u64,
    /// Requests sent to each server after the warm-up.
    pub shares: Vec<u64>,
    /// Requests sent, by bin.
    pub sent_over_time: Vec<u64>,
    /// Requests sent to the watched server, by bin.
    pub watched_over_time: Vec<u64>,
    /// Requests failed, by bin.
    pub failed_over_time: Vec<u64>,
    /// The most that was in flight at one server.
    pub most_held: usize,
    /// When the last answer came, in microseconds.
    pub ended: u64,
    /// What happened.
    pub log: Log,
}

impl Tally {
    /// Sorts what must be sorted.
    pub fn close(&mut self) {
        self.latencies.sort_unstable();
    }

    /// The latency under which so many in a thousand stay, in milliseconds.
    pub fn permille(&self, permille: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let place = (self.latencies.len() * permille / 1000).min(last);
        self.latencies.get(place).map_or(0.0, |us| *us as f64 / 1000.0)
    }

    /// The share of the server that had the most, as a multiple of the fair one.
    pub fn hottest(&self) -> f64 {
        let sum: u64 = self.shares.iter().sum();
        let most = self.shares.iter().max().copied().unwrap_or(0);
        most as f64 * self.shares.len() as f64 / sum.max(1) as f64
    }
}

/// Counts one more in the bin of a time.
pub fn count(bins: &mut Vec<u64>, at: u64) {
    let bin = (at / BIN) as usize;
    if bins.len() <= bin {
        bins.resize(bin + 1, 0);
    }
    bins[bin] += 1;
}
