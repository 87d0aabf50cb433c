//! A point of Unix time as text, in UTC. It refuses to know zones, leap seconds and the present time.

use crate::observe::line::text::digits;

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const DAY_S: u64 = 24 * 60 * 60;
/// Days of 400 years: after that many, the calendar repeats itself.
const ERA_DAYS: u64 = 146_097;
/// From 1 March of the year 0 to 1 January 1970.
const EPOCH_DAYS: u64 = 719_468;

/// `2026-11-24T22:50:06.000001Z`, from microseconds of Unix time (RFC 3339).
pub(super) fn rfc3339(out: &mut Vec<u8>, time_us: u64) {
    let seconds = time_us / 1_000_000;
    let (year, month, day) = date(seconds / DAY_S);
    digits(out, year, 4);
    out.push(b'-');
    digits(out, month, 2);
    out.push(b'-');
    digits(out, day, 2);
    out.push(b'T');
    clock(out, seconds);
    out.push(b'.');
    digits(out, time_us % 1_000_000, 6);
    out.push(b'Z');
}

/// `24/Nov/2026:22:50:06 +0000`, from microseconds of Unix time.
pub(super) fn combined(out: &mut Vec<u8>, time_us: u64) {
    let seconds = time_us / 1_000_000;
    let (year, month, day) = date(seconds / DAY_S);
    digits(out, day, 2);
    out.push(b'/');
    let month = MONTHS.iter().zip(1..).find_map(|(name, number)| (number == month).then_some(*name));
    out.extend_from_slice(month.unwrap_or(b"???"));
    out.push(b'/');
    digits(out, year, 4);
    out.push(b':');
    clock(out, seconds);
    out.extend_from_slice(b" +0000");
}

fn clock(out: &mut Vec<u8>, seconds: u64) {
    digits(out, seconds / 3600 % 24, 2);
    out.push(b':');
    digits(out, seconds / 60 % 60, 2);
    out.push(b':');
    digits(out, seconds % 60, 2);
}

/// Year, month and day from days since 1970. Years are counted from March, so that the leap day is the last of its year
/// and every month before it has its fixed place.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH_DAYS;
    let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    // The leap days passed: one each 4 years (1,460 days before the first), not each 100, but the last of the era.
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Five months from March take 153 days, and so do the next five.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: fn(&mut Vec<u8>, u64), time_us: u64) -> String {
        let mut out = Vec::new();
        write(&mut out, time_us);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_moments() {
        for (time_us, rfc, httpd) in [
            (0, "1970-01-01T00:00:00.000000Z", "01/Jan/1970:00:00:00 +0000"),
            (951_782_399_999_999, "2000-02-28T23:59:59.999999Z", "28/Feb/2000:23:59:59 +0000"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z", "29/Feb/2000:00:00:00 +0000"),
            (951_868_800_000_000, "2000-03-01T00:00:00.000000Z", "01/Mar/2000:00:00:00 +0000"),
            (1_795_560_606_000_001, "2026-11-24T22:50:06.000001Z", "24/Nov/2026:22:50:06 +0000"),
            (1_709_164_800_000_000, "2024-02-29T00:00:00.000000Z", "29/Feb/2024:00:00:00 +0000"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z", "01/Mar/2100:00:00:00 +0000"),
            (253_402_300_799_000_000, "9999-12-31T23:59:59.000000Z", "31/Dec/9999:23:59:59 +0000"),
        ] {
            assert_eq!(text(rfc3339, time_us), rfc);
            assert_eq!(text(combined, time_us), httpd);
        }
    }

    #[test]
    fn every_day_of_five_centuries_follows_the_day_before() {
        let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let length = |year, month| match month {
            2 => 28 + u64::from(leap(year)),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..365 * 500 {
            assert_eq!(date(days), (year, month, day), "{days} days");
            day += 1;
            if day > length(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn the_last_moment_is_no_fault() {
        assert!(text(rfc3339, u64::MAX).ends_with('Z'));
        assert!(text(combined, u64::MAX).ends_with("+0000"));
    }
}
