//! Two texts line by line: what they share, and where they differ.

/// The most pairs of lines that are compared to find what two texts share; of larger ones only beginning and end.
const MOST_PAIRS: usize = 4 << 20;

/// A line of two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// In both.
    Same(&'a str),
    /// In the first alone.
    Expected(&'a str),
    /// In the second alone.
    Got(&'a str),
}

/// The lines of both texts in order, as many as can be shared. Where a line is in the place of another one, the two
/// follow each other.
pub(crate) fn lines<'a>(expected: &'a str, got: &'a str) -> Vec<Line<'a>> {
    let (expected, got): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), got.lines().collect());
    let start = expected.iter().zip(&got).take_while(|(one, other)| one == other).count();
    let rest = expected[start..].iter().rev().zip(got[start..].iter().rev());
    let end = rest.take_while(|(one, other)| one == other).count();
    let (wanted, came) = (&expected[start..expected.len() - end], &got[start..got.len() - end]);

    let mut lines: Vec<Line<'_>> = expected[..start].iter().map(|line| Line::Same(line)).collect();
    let (mut from_wanted, mut from_came) = (0, 0);
    for (at_wanted, at_came) in shared(wanted, came) {
        replaced(&wanted[from_wanted..at_wanted], &came[from_came..at_came], &mut lines);
        lines.push(Line::Same(wanted[at_wanted]));
        (from_wanted, from_came) = (at_wanted + 1, at_came + 1);
    }
    replaced(&wanted[from_wanted..], &came[from_came..], &mut lines);
    lines.extend(expected[expected.len() - end..].iter().map(|line| Line::Same(line)));
    lines
}

/// Adds lines that are in the place of others.
fn replaced<'a>(wanted: &[&'a str], came: &[&'a str], lines: &mut Vec<Line<'a>>) {
    for index in 0..wanted.len().max(came.len()) {
        lines.extend(wanted.get(index).map(|line| Line::Expected(line)));
        lines.extend(came.get(index).map(|line| Line::Got(line)));
    }
}

/// Where a longest common subsequence of both is, by the usual table of lengths.
fn shared(wanted: &[&str], came: &[&str]) -> Vec<(usize, usize)> {
    if wanted.len().saturating_mul(came.len()) > MOST_PAIRS {
        return Vec::new();
    }
    let width = came.len() + 1;
    // Of the rest from each pair of places on; beyond the ends it is 0.
    let mut lengths = vec![0_u32; (wanted.len() + 1) * width];
    for one in (0..wanted.len()).rev() {
        for other in (0..came.len()).rev() {
            lengths[one * width + other] = if wanted[one] == came[other] {
                lengths[(one + 1) * width + other + 1] + 1
            } else {
                lengths[(one + 1) * width + other].max(lengths[one * width + other + 1])
            };
        }
    }
    let (mut one, mut other, mut pairs) = (0, 0, Vec::new());
    while one < wanted.len() && other < came.len() {
        if wanted[one] == came[other] {
            pairs.push((one, other));
            (one, other) = (one + 1, other + 1);
        } else if lengths[(one + 1) * width + other] >= lengths[one * width + other + 1] {
            one += 1;
        } else {
            other += 1;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::Line::{Expected, Got, Same};
    use super::*;

    #[test]
    fn a_line_in_the_place_of_another_follows_it() {
        assert_eq!(lines("a\nb\nc", "a\nx\nc"), [Same("a"), Expected("b"), Got("x"), Same("c")]);
        assert_eq!(lines("a\nb", "x\ny"), [Expected("a"), Got("x"), Expected("b"), Got("y")]);
    }

    #[test]
    fn what_is_added_or_missing_moves_nothing_else() {
        assert_eq!(lines("a\nb\nc\nd", "b\nc\nx\nd"), [Expected("a"), Same("b"), Same("c"), Got("x"), Same("d")]);
        assert_eq!(lines("", "a"), [Got("a")]);
        assert_eq!(lines("a\na", "a"), [Same("a"), Expected("a")]);
    }

    #[test]
    fn both_texts_are_whole_in_it() {
        let texts = ["", "a", "a\nb\na", "b\na\nb\nc", "c\nc\nb\na\n"];
        for (expected, got) in texts.iter().flat_map(|one| texts.iter().map(move |other| (*one, *other))) {
            let found = lines(expected, got);
            let of = |is: fn(&Line<'_>) -> bool| -> Vec<&str> {
                let text = |line: &Line<'static>| match *line {
                    Same(text) | Expected(text) | Got(text) => text,
                };
                found.iter().filter(|line| is(line)).map(text).collect()
            };
            assert_eq!(of(|line| !matches!(line, Got(_))), expected.lines().collect::<Vec<_>>());
            assert_eq!(of(|line| !matches!(line, Expected(_))), got.lines().collect::<Vec<_>>());
        }
    }
}
