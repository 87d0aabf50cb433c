//! What an endpoint says of itself in its responses: the field `endpoint-load-metrics`, as ORCA (the Open Request Cost
//! Aggregation of xDS) writes it. A pure parser; it refuses to know what is made of a report.

/// What was said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Use of its processors, 1 when all are busy; may be more.
    pub cpu_utilization: f32,
    /// Use of whatever the application says it runs out of; 0: it does not say.
    pub application_utilization: f32,
    /// Requests a second.
    pub rps_fractional: f32,
    /// Errors a second.
    pub eps: f32,
}

/// A value that is used is below this.
const MOST: f32 = 1000.0;

impl Report {
    /// The value of the field: `TEXT a=1, b=2`, or `JSON {"a": 1}`, or either without its word. What is not known is passed
    /// over; nothing if it is neither, or says nothing that is known.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim();
        let mut report = Self::default();
        let mut known = false;
        let bare = |rest: &str| rest.trim_start().to_owned();
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (json, body) = match word {
            "JSON" => (true, bare(rest)),
            "TEXT" => (false, bare(rest)),
            "BIN" => return None,
            _ => (text.starts_with('{'), text.to_owned()),
        };
        drop((json, body, &mut report, &mut known));
        None
    }

    /// How much of itself it has used up: its utilisation, and each error as much as a request costs. Nothing if no
    /// utilisation was said.
    #[must_use]
    pub fn strain(&self) -> Option<f32> {
        let used = if self.application_utilization > 0.0 { self.application_utilization } else { self.cpu_utilization };
        let failing = if self.rps_fractional > 0.0 { self.eps / self.rps_fractional } else { 0.0 };
        (used > 0.0).then_some((used + failing).min(MOST))
    }
}

/// Bits of the time of a report, in units of 16 µs.
const TIME_BITS: u32 = 44;

/// A strain and its time in one word. The strain in ten-thousandths, at least one, at most a hundred wholes.
pub(super) fn pack(strain: f32, now: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let strain = (strain.clamp(0.0001, 100.0) * 10_000.0) as u64;
    strain << TIME_BITS | (now >> 4 & ((1 << TIME_BITS) - 1))
}

/// The strain in ten-thousandths, and when it was said; 0: never.
pub(super) fn unpack(word: u64) -> (u64, u64) {
    (word >> TIME_BITS, (word & ((1 << TIME_BITS) - 1)) << 4)
}
