//! Dates as a hub writes them.

/// Seconds since 1970 of a date in UTC: `2025-04-28T17:05:33.000Z`, the fraction left out. None of what is no such date,
/// or one before 1970.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| text.as_bytes().get(at) != Some(&mark)) || !text.ends_with('Z') {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    u64::try_from(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second).ok()
}

/// Days since 1970-01-01 of a date of the Gregorian calendar: years begin in March, so that the day that leap years add
/// is a year's last (Howard Hinnant, `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::seconds;

    /// As `date -d` says.
    #[test]
    fn dates_are_seconds() {
        let dates = [
            ("1970-01-01T00:00:00.000Z", Some(0)),
            ("2025-04-28T17:05:33.000Z", Some(1_745_859_933)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199)),
            ("2000-03-01T00:00:00Z", Some(951_868_800)),
            ("1969-12-31T23:59:59Z", None),
            ("2025-13-01T00:00:00Z", None),
            ("2025-04-28 17:05:33Z", None),
            ("2025-04-28T17:05:33+02:00", None),
            ("2025-04-28T1é:05:33Z", None),
            ("", None),
        ];
        for (text, expected) in dates {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
