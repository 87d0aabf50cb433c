//! The value of a `Date` field (RFC 9110 §5.6.7): `Tue, 24 Nov 2026 22:50:06 GMT`. Made anew once a second at most, by
//! whoever has a clock.

/// Bytes of a date.
pub const DATE_BYTES: usize = 29;

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// The date of a second of Unix time; years past 9999 show their last four digits.
#[must_use]
pub fn line(unix_seconds: u64) -> [u8; DATE_BYTES] {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut line = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    put(&mut line, 0, pick(&DAYS, days % 7));
    digits(&mut line, 5, day);
    put(&mut line, 8, pick(&MONTHS, month - 1));
    digits(&mut line, 12, year / 100 % 100);
    digits(&mut line, 14, year % 100);
    digits(&mut line, 17, second / 3600);
    digits(&mut line, 20, second / 60 % 60);
    digits(&mut line, 23, second % 60);
    line
}

/// Year, month (1 to 12) and day of a day counted from 1970-01-01, in the Gregorian calendar: years are counted from
/// March, so that the leap day is the last.
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// The second of Unix time of a date as a `Date` field has it (IMF-fixdate alone: the two obsolete forms are for no field
/// that is read here). The day of the week is not compared.
#[must_use]
pub fn read(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok().filter(|text| text.len() == DATE_BYTES && text.is_ascii())?;
    let number = |at: std::ops::Range<usize>| {
        let digits = text.get(at)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    let month = text.get(8..11)?;
    let month = MONTHS.iter().zip(1_u64..).find(|(name, _)| name.as_slice() == month.as_bytes())?.1;
    let (day, year) = (number(5..7)?, number(12..16)?);
    let (hour, minute, second) = (number(17..19)?, number(20..22)?, number(23..25)?);
    let punctuated =
        [(3..5, ", "), (7..8, " "), (11..12, " "), (16..17, " "), (19..20, ":"), (22..23, ":"), (25..29, " GMT")];
    let fine = (1..=31).contains(&day) && year >= 1970 && hour < 24 && minute < 60 && second <= 60;
    if !fine || punctuated.into_iter().any(|(at, mark)| text.get(at) != Some(mark)) {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// The day of a date from 1970 on, counted from 1970-01-01: the reverse of [`civil`].
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

fn pick(names: &[&'static [u8; 3]], index: u64) -> &'static [u8] {
    let name = usize::try_from(index).ok().and_then(|index| names.get(index));
    name.map_or(b"???", |name| name.as_slice())
}

fn put(line: &mut [u8; DATE_BYTES], at: usize, text: &[u8]) {
    for (place, byte) in line.iter_mut().skip(at).zip(text) {
        *place = *byte;
    }
}

fn digits(line: &mut [u8; DATE_BYTES], at: usize, number: u64) {
    let digit = |n: u64| u8::try_from(n % 10).unwrap_or(0) + b'0';
    put(line, at, &[digit(number / 10), digit(number)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (1_795_560_606, "Tue, 24 Nov 2026 22:50:06 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&line(seconds)).unwrap(), text);
            assert_eq!(read(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut before = civil(0);
        for day in 1..200_000 {
            let (year, month, date) = civil(day);
            let next = [(before.0, before.1, before.2 + 1), (before.0, before.1 + 1, 1), (before.0 + 1, 1, 1)];
            assert!(next.contains(&(year, month, date)), "{day}: {before:?} {:?}", (year, month, date));
            assert_eq!(days(year, month, date), day);
            before = (year, month, date);
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nob 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08-49-37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Thu, 01 Jan 1969 00:00:00 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
