//! How long the client of a request waits, as the request says it, and what is left of that for the next hop. It refuses
//! to know what time it is.

use std::io::Write;
use std::time::Duration;

use crate::http::head::Request;

/// The field of gRPC.
pub const GRPC: &str = "grpc-timeout";

/// How long the clients say that they wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// By [`GRPC`].
    grpc: Option<Duration>,
    /// By the field of the configuration.
    own: Option<Duration>,
}

/// What is left, as fields of the request to the next hop say it.
#[derive(Clone, Debug, Default)]
pub struct Left {
    grpc: Option<Vec<u8>>,
    own: Option<Vec<u8>>,
}

impl Asked {
    /// What a request says; `own` is the field that the configuration names, in lower case. Values that cannot be read say
    /// nothing, and go on as they are.
    #[must_use]
    pub fn of(request: Request<'_>, own: Option<&str>) -> Self {
        let find = |name: &str| request.named(name);
        Self { grpc: find(GRPC).and_then(grpc), own: own.and_then(find).and_then(time) }
    }

    /// The shorter one, if any was said.
    #[must_use]
    pub fn shortest(self) -> Option<Duration> {
        self.grpc.into_iter().chain(self.own).min()
    }

    /// What to tell the next hop when so much has `passed`.
    #[must_use]
    pub fn less(self, passed: Duration) -> Left {
        Left {
            grpc: self.grpc.map(|time| write_grpc(time.saturating_sub(passed))),
            own: self.own.map(|time| format!("{}ms", time.saturating_sub(passed).as_millis()).into_bytes()),
        }
    }
}

impl Left {
    /// The fields that are said anew, as (name, value); `own` is the field that the configuration names.
    pub fn fields<'a>(&'a self, own: Option<&'a str>) -> [(&'a str, &'a [u8]); 2] {
        let grpc = self.grpc.as_ref().map_or(NONE, |value| (GRPC, value.as_slice()));
        [grpc, own.zip(self.own.as_ref()).map_or(NONE, |(name, value)| (name, value.as_slice()))]
    }
}

const NONE: (&str, &[u8]) = ("", b"");

/// A value of `grpc-timeout`: one to eight digits and a unit.
fn grpc(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) {
        return None;
    }
    let number = number(digits)?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// `250ms`, `2s`, or plain milliseconds.
fn time(value: &[u8]) -> Option<Duration> {
    if let Some(digits) = value.strip_suffix(b"ms") {
        return number(digits).map(Duration::from_millis);
    }
    match value.strip_suffix(b"s") {
        Some(digits) => number(digits).map(Duration::from_secs),
        None => number(value).map(Duration::from_millis),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let fine = (1..=15).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| fine)?;
    text.parse().ok()
}

/// In the finest unit in which it is eight digits at the most, rounded down: a hop may have less time, never more.
fn write_grpc(time: Duration) -> Vec<u8> {
    let mut text = Vec::with_capacity(9);
    let units = [
        (time.as_nanos(), 'n'),
        (time.as_micros(), 'u'),
        (time.as_millis(), 'm'),
        (time.as_secs().into(), 'S'),
        ((time.as_secs() / 60).into(), 'M'),
    ];
    let fits = units.into_iter().find(|(number, _)| *number < 100_000_000);
    let (number, unit) = fits.unwrap_or(((time.as_secs() / 3600).min(99_999_999).into(), 'H'));
    // Writing to a vector cannot fail.
    let _ = write!(text, "{number}{unit}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_grpc_is_read_and_written_within_eight_digits() {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        for (value, time) in [
            (&b"1H"[..], Some(s(3600))),
            (b"3M", Some(s(180))),
            (b"7S", Some(s(7))),
            (b"250m", Some(ms(250))),
            (b"250u", Some(Duration::from_micros(250))),
            (b"250n", Some(Duration::from_nanos(250))),
            (b"0m", Some(ms(0))),
            (b"99999999H", Some(s(99_999_999 * 3600))),
            (b"999999999S", None),
            (b"S", None),
            (b"", None),
            (b"1", None),
            (b"1s", None),
            (b"-1S", None),
            (b"1.5S", None),
            (b"+1S", None),
        ] {
            assert_eq!(grpc(value), time, "{:?}", String::from_utf8_lossy(value));
        }
        for (time, text) in [
            (ms(0), "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (ms(100), "100000u"),
            (s(99), "99000000u"),
            (s(100), "100000m"),
            (s(100_000), "100000S"),
            (s(100_000_000), "1666666M"),
            (s(6_000_000_000), "1666666H"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(String::from_utf8(write_grpc(time)).unwrap(), text);
            assert!(grpc(text.as_bytes()).unwrap() <= time);
        }
    }

    #[test]
    fn the_own_field_takes_milliseconds_and_seconds() {
        let ms = Duration::from_millis;
        for (value, expected) in [
            (&b"250ms"[..], Some(ms(250))),
            (b"2s", Some(ms(2000))),
            (b"1500", Some(ms(1500))),
            (b"0", Some(ms(0))),
            (b"", None),
            (b"ms", None),
            (b"s", None),
            (b"1m", None),
            (b"-5", None),
            (b"1.5s", None),
            (b"9999999999999999", None),
        ] {
            assert_eq!(time(value), expected, "{:?}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn what_is_left_is_what_was_said_less_what_has_passed() {
        let ms = Duration::from_millis;
        let asked = Asked { grpc: Some(ms(500)), own: Some(ms(300)) };
        assert_eq!(asked.shortest(), Some(ms(300)));
        let left = asked.less(ms(100));
        assert_eq!(left.fields(Some("x-wait")), [(GRPC, &b"400000u"[..]), ("x-wait", b"200ms")]);
        assert_eq!(asked.less(ms(400)).fields(Some("x-wait"))[1], ("x-wait", &b"0ms"[..]));
        assert_eq!(Asked::default().shortest(), None);
        assert_eq!(Asked::default().less(ms(1)).fields(Some("x-wait")), [NONE, NONE]);
    }
}
