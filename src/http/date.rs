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
        }
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut before = civil(0);
        for day in 1..200_000 {
            let (year, month, date) = civil(day);
            let next = [(before.0, before.1, before.2 + 1), (before.0, before.1 + 1, 1), (before.0 + 1, 1, 1)];
            assert!(next.contains(&(year, month, date)), "{day}: {before:?} {:?}", (year, month, date));
            before = (year, month, date);
        }
    }
}
