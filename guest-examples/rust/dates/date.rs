//! The automaton: dates of the Gregorian calendar's shape, `0000-01-01` to `9999-12-31`, byte by byte.

/// The beginning of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Date {
    bytes: [u8; LENGTH],
    length: usize,
}

const LENGTH: usize = "2026-11-21".len();

/// Whether every byte is one that dates are made of.
pub(crate) fn is_part(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-'))
}

impl Date {
    /// The date with these bytes behind it, if one begins so.
    pub(crate) fn after(mut self, bytes: &[u8]) -> Option<Self> {
        for &byte in bytes {
            if !self.allows(byte) {
                return None;
            }
            self.bytes[self.length] = byte;
            self.length += 1;
        }
        Some(self)
    }

    pub(crate) fn is_whole(self) -> bool {
        self.length == LENGTH
    }

    pub(crate) fn written(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Whether a byte may come next. Months have 31 days each: which have fewer is arithmetic, no shape.
    fn allows(&self, byte: u8) -> bool {
        let last = self.length.checked_sub(1).map_or(0, |last| self.bytes[last]);
        match self.length {
            0..4 => byte.is_ascii_digit(),
            4 | 7 => byte == b'-',
            5 => matches!(byte, b'0' | b'1'),
            6 => matches!((last, byte), (b'0', b'1'..=b'9') | (b'1', b'0'..=b'2')),
            8 => matches!(byte, b'0'..=b'3'),
            9 => matches!((last, byte), (b'0', b'1'..=b'9') | (b'1' | b'2', b'0'..=b'9') | (b'3', b'0' | b'1')),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_dates_however_they_are_cut() {
        for (text, is_date) in [
            ("2026-11-21", true),
            ("0000-01-31", true),
            ("9999-12-30", true),
            ("2026-00-21", false),
            ("2026-13-21", false),
            ("2026-11-00", false),
            ("2026-11-32", false),
            ("20261-1-21", false),
            ("2026-11-211", false),
            ("2026-11-2", false),
        ] {
            for cut in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(cut);
                let date = Date::default().after(first).and_then(|date| date.after(second));
                assert_eq!(date.is_some_and(Date::is_whole), is_date, "{text} cut at {cut}");
            }
        }
        assert_eq!(Date::default().after(b"2026-1").unwrap().written(), b"2026-1");
    }
}
