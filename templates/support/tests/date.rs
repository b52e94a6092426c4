//! The calendar, day by day.

use wasmlx_template_support::date::civil;

#[test]
fn each_day_follows_the_one_before() {
    let length = |year: i64, month: usize| match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    };
    let (mut year, mut month, mut day) = (1970, 1, 1);
    for days in 0..200_000 {
        assert_eq!(civil(days), (year, month, day));
        day += 1;
        if day > length(year, month) {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
    assert_eq!(civil(-1), (1969, 12, 31));
}
