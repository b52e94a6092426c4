//! `datetime.now().strftime`, by a clock that the host sets.

use wasmlx_template_support::date::{DAY, MONTHS, civil};

/// A moment on the host's clock, in its local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Since 1970-01-01T00:00:00, local time.
    pub seconds: i64,
}

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
struct Moment {
    year: i64,
    /// From 1.
    month: usize,
    /// From 1.
    day: i64,
    /// From 1.
    day_of_year: i64,
    /// From Sunday, 0.
    weekday: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Moment {
    fn new(clock: Clock) -> Moment {
        let (days, seconds) = (clock.seconds.div_euclid(DAY), clock.seconds.rem_euclid(DAY));
        let (year, month, day) = civil(days);
        Moment {
            year,
            month,
            day,
            day_of_year: days - days_before(year) + 1,
            weekday: (days + 4).rem_euclid(7),
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }

    /// The week of the year, whose first begins on the year's first `first` weekday.
    fn week(&self, first: i64) -> i64 {
        (self.day_of_year + 6 - (self.weekday - first).rem_euclid(7)) / 7
    }

    /// The year and the week of ISO 8601.
    fn iso_week(&self) -> (i64, i64) {
        let weekday = (self.weekday + 6) % 7;
        let week = (self.day_of_year - 1 - weekday + 10) / 7;
        let weeks_of = |year: i64| {
            let january_first = (days_before(year) + 4).rem_euclid(7);
            let leap = days_before(year + 1) - days_before(year) == 366;
            if january_first == 4 || (leap && january_first == 3) { 53 } else { 52 }
        };
        match week {
            0 => (self.year - 1, weeks_of(self.year - 1)),
            53 if weeks_of(self.year) == 52 => (self.year + 1, 1),
            week => (self.year, week),
        }
    }
}

/// Days from 1970 to the first of a year.
fn days_before(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) - 719_162
}

/// The moment in a format of `strftime`, with the flags that glibc adds. An unknown code stays as it is.
pub(crate) fn strftime(clock: Clock, format: &str) -> String {
    let moment = Moment::new(clock);
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let flag = after.chars().next().filter(|c| "-_0^#".contains(*c));
        let code = after.chars().nth(usize::from(flag.is_some()));
        let length = 1 + flag.map_or(0, char::len_utf8) + code.map_or(0, char::len_utf8);
        let (directive, next) = rest[at..].split_at(length);
        rest = next;
        match code.and_then(|code| directive_text(clock, &moment, code, flag)) {
            Some(text) if matches!(flag, Some('^' | '#')) => out.push_str(&text.to_uppercase()),
            Some(text) => out.push_str(&text),
            None => out.push_str(directive),
        }
    }
    out.push_str(rest);
    out
}

fn directive_text(clock: Clock, moment: &Moment, code: char, flag: Option<char>) -> Option<String> {
    let number = |value: i64, width: usize| match flag {
        Some('-') => value.to_string(),
        Some('_') => format!("{value:width$}"),
        _ => format!("{value:0width$}"),
    };
    let spaced = |value: i64| match flag {
        None => format!("{value:2}"),
        _ => number(value, 2),
    };
    let weekday = WEEKDAYS[moment.weekday as usize];
    let month = MONTHS[moment.month - 1];
    let hour12 = (moment.hour + 11) % 12 + 1;
    Some(match code {
        'Y' => moment.year.to_string(),
        'C' => number(moment.year / 100, 2),
        'y' => number(moment.year.rem_euclid(100), 2),
        'm' => number(moment.month as i64, 2),
        'd' => number(moment.day, 2),
        'e' => spaced(moment.day),
        'j' => number(moment.day_of_year, 3),
        'B' => month.to_owned(),
        'b' | 'h' => month[..3].to_owned(),
        'A' => weekday.to_owned(),
        'a' => weekday[..3].to_owned(),
        'w' => moment.weekday.to_string(),
        'u' => ((moment.weekday + 6) % 7 + 1).to_string(),
        'H' => number(moment.hour, 2),
        'k' => spaced(moment.hour),
        'I' => number(hour12, 2),
        'l' => spaced(hour12),
        'M' => number(moment.minute, 2),
        'S' => number(moment.second, 2),
        'f' => "000000".to_owned(),
        'p' => if moment.hour < 12 { "AM" } else { "PM" }.to_owned(),
        'P' => if moment.hour < 12 { "am" } else { "pm" }.to_owned(),
        'U' => number(moment.week(0), 2),
        'W' => number(moment.week(1), 2),
        'G' => moment.iso_week().0.to_string(),
        'g' => number(moment.iso_week().0.rem_euclid(100), 2),
        'V' => number(moment.iso_week().1, 2),
        's' => clock.seconds.to_string(),
        // The clock is naive: it names no zone.
        'z' | 'Z' => String::new(),
        'c' => strftime(clock, "%a %b %e %H:%M:%S %Y"),
        'x' | 'D' => strftime(clock, "%m/%d/%y"),
        'X' | 'T' => strftime(clock, "%H:%M:%S"),
        'F' => strftime(clock, "%Y-%m-%d"),
        'R' => strftime(clock, "%H:%M"),
        'r' => strftime(clock, "%I:%M:%S %p"),
        'n' => "\n".to_owned(),
        't' => "\t".to_owned(),
        '%' => "%".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        // 2026-01-01T00:00:00, a Thursday.
        let new_year = Clock { seconds: 1_767_225_600 };
        assert_eq!(strftime(new_year, "%d %b %Y, %A %B %-d %j %I%p %y"), "01 Jan 2026, Thursday January 1 001 12AM 26");
        assert_eq!(
            strftime(new_year, "%F %T %U %W %G-%V %u%w %e|%^a|%%|%Q|%"),
            "2026-01-01 00:00:00 00 00 2026-01 44  1|THU|%|%Q|%"
        );
        // 2024-02-29T13:05:09
        let leap = Clock { seconds: 1_709_211_909 };
        assert_eq!(
            strftime(leap, "%Y-%m-%d %H:%M:%S %l %j %V %c"),
            "2024-02-29 13:05:09  1 060 09 Thu Feb 29 13:05:09 2024"
        );
        assert_eq!(strftime(Clock { seconds: -1 }, "%F %T"), "1969-12-31 23:59:59");
    }
}
