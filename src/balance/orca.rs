//! What an endpoint says of itself in its responses: the field `endpoint-load-metrics`, as ORCA (the Open Request Cost
//! Aggregation of xDS) writes it. A pure parser; it refuses to know what is made of a report.

/// The name of the field.
pub const FIELD: &[u8] = b"endpoint-load-metrics";

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

/// Bytes of a value that are read.
const BYTES_MOST: usize = 1024;
/// A strain is this at the most.
const MOST: f32 = 1000.0;

impl Report {
    /// The value of the field: `TEXT a=1, b=2`, or `JSON {"a": 1}`, or either without its word. What is not known is passed
    /// over; nothing if it is neither (`BIN` is not understood), or says nothing that is known.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value.get(..BYTES_MOST).unwrap_or(value)).ok()?.trim();
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let body = match word {
            "JSON" | "TEXT" => rest.trim(),
            _ => text,
        };
        let mut report = Self::default();
        let mut known = false;
        if let Some(members) = body.strip_prefix('{') {
            members.strip_suffix('}')?;
            let mut tokens = members;
            while let Some((name, after)) = member(tokens) {
                // A nested object is passed over to its end: nothing inside is of the first level.
                tokens = if let Some(inner) = after.strip_prefix('{') {
                    inner.split_once('}')?.1
                } else {
                    let end = after.find([',', '}']).unwrap_or(after.len());
                    let (value, rest) = after.split_at_checked(end)?;
                    known |= report.set(name, value);
                    rest
                };
            }
        } else {
            for pair in body.split(',') {
                known |= pair.split_once('=').is_some_and(|(name, value)| report.set(name, value));
            }
        }
        known.then_some(report)
    }

    /// Takes a number that is known, and one.
    fn set(&mut self, name: &str, value: &str) -> bool {
        let cell = match name.trim() {
            "cpu_utilization" => &mut self.cpu_utilization,
            "application_utilization" => &mut self.application_utilization,
            "rps_fractional" | "rps" => &mut self.rps_fractional,
            "eps" => &mut self.eps,
            _ => return false,
        };
        match value.trim().parse::<f32>() {
            Ok(number) if number.is_finite() && number >= 0.0 => {
                *cell = number;
                true
            }
            _ => false,
        }
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

/// The next name of a JSON object, and what stands behind its colon.
fn member(text: &str) -> Option<(&str, &str)> {
    let (_, name) = text.split_once('"')?;
    let (name, rest) = name.split_once('"')?;
    Some((name, rest.trim_start().strip_prefix(':')?.trim_start()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_a_report() {
        let cases: [(&str, Option<[f32; 4]>); 12] = [
            (
                "TEXT cpu_utilization=0.3, application_utilization=0.5,rps_fractional=100,eps=2",
                Some([0.3, 0.5, 100.0, 2.0]),
            ),
            ("cpu_utilization=0.25", Some([0.25, 0.0, 0.0, 0.0])),
            ("JSON {\"cpu_utilization\": 0.3, \"eps\":1}", Some([0.3, 0.0, 0.0, 1.0])),
            ("{\"named\":{\"cpu_utilization\":9},\"application_utilization\":1.5}", Some([0.0, 1.5, 0.0, 0.0])),
            ("TEXT named_metrics.a=1, cpu_utilization=1.25", Some([1.25, 0.0, 0.0, 0.0])),
            ("TEXT mem_utilization=0.5", None),
            ("BIN AAAA", None),
            ("TEXT cpu_utilization=-1", None),
            ("TEXT cpu_utilization=NaN", None),
            ("JSON {\"cpu_utilization\": 0.3", None),
            ("JSON {\"cpu_utilization\"", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let report = Report::parse(value.as_bytes());
            let numbers = report.map(|r| [r.cpu_utilization, r.application_utilization, r.rps_fractional, r.eps]);
            assert_eq!(numbers, expected, "{value}");
        }
        assert_eq!(Report::parse(&[0xff, b'=']), None);
    }

    #[test]
    fn strain_is_what_the_application_says_and_its_errors() {
        let report = Report { cpu_utilization: 0.3, application_utilization: 0.5, rps_fractional: 10.0, eps: 1.0 };
        assert!((report.strain().unwrap() - 0.6).abs() < 1e-6);
        let report = Report { application_utilization: 0.0, eps: 0.0, ..report };
        assert!((report.strain().unwrap() - 0.3).abs() < 1e-6);
        assert_eq!(Report::default().strain(), None);
        assert_eq!(unpack(pack(0.5, 32_000)), (5000, 32_000));
    }
}
