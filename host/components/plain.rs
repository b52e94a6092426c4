//! Text that a guest wrote, made fit for a person's terminal and for a log.

/// How much longer than its limit a text may be before it is cut: a cut that saves less than it says is none.
const TOLERANCE: usize = 64;

/// The text on one line, of `most` bytes about: characters that move the cursor, change colours, reorder or hide what
/// stands beside them are written out, line breaks among them, so that no line can be forged.
pub(crate) fn line(text: &str, most: usize) -> String {
    written_out(text, most, false)
}

/// The same for a sentence that may have several lines. Those after the first are indented, so that none can pass for
/// a line of the host's.
pub(crate) fn lines(text: &str, most: usize) -> String {
    written_out(text, most, true)
}

fn written_out(text: &str, most: usize, keep_lines: bool) -> String {
    let mut plain = String::with_capacity(text.len().min(most + TOLERANCE));
    // Where it is cut if it becomes too long, which what is written out makes it sooner.
    let mut cut = 0;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' if keep_lines => {
                plain.push('\n');
                if characters.peek().is_some_and(|next| !matches!(next, ' ' | '\n')) {
                    plain.push_str("  ");
                }
            }
            character if is_unfit(character) => plain.extend(character.escape_default()),
            character => plain.push(character),
        }
        // What is said of the cut is no line of its own.
        if plain.len() <= most && !plain.ends_with('\n') {
            cut = plain.len();
        } else if plain.len() > most + TOLERANCE {
            plain.truncate(cut);
            plain.push_str(&format!("... ({} bytes in all)", text.len()));
            break;
        }
    }
    plain
}

/// Whether a character does not stand in a line for what it is.
pub(crate) fn is_unfit(character: char) -> bool {
    character.is_control() || is_deceptive(character)
}

/// Characters that are no controls to Unicode and yet reorder, break or hide text: the bidirectional ones ("Trojan
/// Source", CVE-2021-42574), line and paragraph separators, and such as have no width.
fn is_deceptive(character: char) -> bool {
    matches!(
        character,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_begins_a_line() {
        let text = "a\x1b[2Kb\r\nERROR c\u{9b}d\u{202e}e\u{2028}f\tg";
        assert_eq!(line(text, 100), r"a\u{1b}[2Kb\r\nERROR c\u{9b}d\u{202e}e\u{2028}f\tg");
        assert_eq!(lines("first\nERROR second\n  third", 100), "first\n  ERROR second\n  third");
        assert_eq!(line("grüße, 世界 🙂", 100), "grüße, 世界 🙂");
    }

    #[test]
    fn a_text_that_was_made_plain_stays_as_it_is() {
        for long in [format!("first\nsecond {}\x1b", "x".repeat(300)), "\x1b".repeat(90)] {
            let once = lines(&long, 100);
            assert!(once.len() <= 100 + TOLERANCE, "{once}");
            assert_eq!(lines(&once, 100), once);
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ü".repeat(200);
        let cut = line(&text, 99);
        assert_eq!(cut, format!("{}... (400 bytes in all)", "ü".repeat(49)));
    }
}
