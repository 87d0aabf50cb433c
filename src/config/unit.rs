//! Numbers with units: "250ms", "16KiB". Exact, without floating point. It refuses to know what is measured.

use std::time::Duration;

use super::report::quote;

/// Why a text is no number with a unit; the help, where there is better than the usual.
pub(super) struct Refusal {
    pub(super) help: Option<String>,
}

/// The duration, in whole nanoseconds.
///
/// # Errors
/// No number, no unit, an unknown unit, or less than a nanosecond of precision lost.
pub(super) fn duration(text: &str) -> Result<Duration, Refusal> {
    let nanoseconds = measure(text, &DURATIONS)?;
    Ok(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)))
}

/// The size, in whole bytes; saturated.
///
/// # Errors
/// No number, no unit, an unknown unit, or a fraction of a byte.
pub(super) fn bytes(text: &str) -> Result<u64, Refusal> {
    Ok(u64::try_from(measure(text, &SIZES)?).unwrap_or(u64::MAX))
}

/// The shortest text that [`duration`] reads as `value`.
pub(super) fn show_duration(value: Duration) -> String {
    let nanoseconds = value.as_nanos();
    if nanoseconds == 0 {
        return "0s".into();
    }
    match DURATIONS.iter().rev().find(|(_, size)| nanoseconds.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", nanoseconds / size),
        None => format!("{}.{:03}us", nanoseconds / 1000, nanoseconds % 1000),
    }
}

/// The shortest text in powers of two that [`bytes`] reads as `value`.
pub(super) fn show_bytes(value: u64) -> String {
    let binary = SIZES.iter().rev().filter(|(unit, _)| unit.ends_with("iB"));
    match binary.clone().find(|(_, size)| value != 0 && u128::from(value) % size == 0) {
        Some((unit, size)) => format!("{}{unit}", u128::from(value) / size),
        None => format!("{value}B"),
    }
}

/// `text` in the smallest unit of the list; saturated.
fn measure(text: &str, units: &[(&str, u128)]) -> Result<u128, Refusal> {
    let number_ends = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_ends);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > FRACTION_DIGITS {
        return Err(Refusal { help: None });
    }
    let Some((_, size)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(Refusal { help: Some(advice(number, unit, units)) });
    };
    let whole: u128 = whole.parse().unwrap_or(u128::MAX);
    let part = fraction.parse::<u128>().unwrap_or(0) * size;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    if part % scale != 0 {
        return Err(Refusal { help: Some("this is finer than the smallest unit can say".into()) });
    }
    Ok(whole.saturating_mul(*size).saturating_add(part / scale))
}

fn advice(number: &str, unit: &str, units: &[(&str, u128)]) -> String {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    let list = names.join(", ");
    // A rate is written as the size that it is in a second.
    let trimmed = unit.trim().trim_end_matches("/s");
    if trimmed.is_empty() {
        let example = if units.len() == DURATIONS.len() { "s" } else { "KiB" };
        return format!("the unit is missing: \"{number}{example}\"; units are {list}");
    }
    let spelled = SPELLINGS.iter().find(|(other, _)| other.eq_ignore_ascii_case(trimmed)).map(|(_, name)| *name);
    let same = |name: &&str| name.eq_ignore_ascii_case(trimmed);
    let known = spelled.filter(|name| names.contains(name));
    match known.or_else(|| names.iter().copied().find(same)) {
        Some(name) => format!("write \"{number}{name}\"; units are {list}"),
        None => format!("{} is not a unit; units are {list}", quote(trimmed)),
    }
}

/// In nanoseconds, ascending.
const DURATIONS: [(&str, u128); 5] =
    [("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
/// In bytes, binary units ascending among themselves.
const SIZES: [(&str, u128); 7] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];
/// What people write instead.
const SPELLINGS: [(&str, &str); 14] = [
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("min", "m"),
    ("mins", "m"),
    ("minutes", "m"),
    ("hour", "h"),
    ("hours", "h"),
    ("msec", "ms"),
    ("k", "KiB"),
    ("m", "MiB"),
    ("g", "GiB"),
    ("bytes", "B"),
];
/// Digits after the point: nanoseconds of a second, with room.
const FRACTION_DIGITS: usize = 12;
