//! What kind of characters a string is made of, and the change of case.

use crate::python::{is_printable, is_space};
use crate::text::{Origin, Text, TextBuilder};

/// The `is...` methods. Digits and decimals are ASCII's here; the other classes are Unicode's.
pub(crate) fn all_are(chars: &str, name: &str) -> bool {
    let all = |class: fn(char) -> bool| !chars.is_empty() && chars.chars().all(class);
    match name {
        "isalnum" => all(char::is_alphanumeric),
        "isalpha" => all(char::is_alphabetic),
        "isascii" => chars.is_ascii(),
        "isdecimal" | "isdigit" => all(|c| c.is_ascii_digit()),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "isprintable" => chars.chars().all(is_printable),
        "isidentifier" => {
            let starts_well = chars.starts_with(|c: char| c == '_' || c.is_alphabetic());
            starts_well && chars.chars().all(|c| c == '_' || c.is_alphanumeric())
        }
        "islower" => chars.chars().any(char::is_lowercase) && !chars.chars().any(char::is_uppercase),
        "isupper" => chars.chars().any(char::is_uppercase) && !chars.chars().any(char::is_lowercase),
        _ => is_title(chars),
    }
}

/// `istitle`: each word begins with its only capital.
fn is_title(chars: &str) -> bool {
    let (mut in_word, mut any) = (false, false);
    for c in chars.chars() {
        if c.is_uppercase() && in_word || c.is_lowercase() && !in_word {
            return false;
        }
        in_word = c.is_uppercase() || c.is_lowercase();
        any |= in_word;
    }
    any
}

/// `str.lower`
pub(crate) fn lower(text: &Text) -> Text {
    let chars = text.as_str();
    // A capital sigma is a final one at the end of a word. Only then do a character's neighbours matter.
    if !chars.contains('Σ') {
        return text.map(|c, out| out.extend(c.to_lowercase()));
    }
    let mut out = TextBuilder::default();
    let mut at = 0;
    for (c, origin) in text.chars() {
        let (before, after) = (&chars[..at], &chars[at + c.len_utf8()..]);
        at += c.len_utf8();
        let is_final = c == 'Σ' && before.ends_with(char::is_alphabetic) && !after.starts_with(char::is_alphabetic);
        match is_final {
            true => out.push_char('ς', origin),
            false => c.to_lowercase().for_each(|c| out.push_char(c, origin)),
        }
    }
    out.finish().with_markup(text.is_markup())
}

/// `str.upper`
pub(crate) fn upper(text: &Text) -> Text {
    text.map(|c, out| out.extend(c.to_uppercase()))
}

/// `str.swapcase`
pub(super) fn swap_case(text: &Text) -> Text {
    text.map(|c, out| match c.is_uppercase() {
        true => out.extend(c.to_lowercase()),
        false => out.extend(c.to_uppercase()),
    })
}

/// `str.capitalize`: the first character in upper case, the others in lower case.
pub(crate) fn capitalize(text: &Text) -> Text {
    initial_upper(text, |at, _| at == 0)
}

/// `str.title`: the first letter of each word in upper case.
pub(super) fn title(text: &Text) -> Text {
    let is_cased = |c: char| c.is_lowercase() || c.is_uppercase();
    initial_upper(text, |_, before| !before.is_some_and(is_cased))
}

/// The text in lower case, but where `is_initial` says so of an index and the character before.
pub(crate) fn initial_upper(text: &Text, is_initial: impl Fn(usize, Option<char>) -> bool) -> Text {
    let lowered = lower(text);
    let mut out = TextBuilder::default();
    let mut before = None;
    let mut push = |c: char, origin: Origin| out.push_char(c, origin);
    // Lower case may be longer than the original, so characters are lowered one by one where they correspond.
    let same_length = lowered.as_str().chars().count() == text.as_str().chars().count();
    let mut lowered_chars = lowered.as_str().chars();
    for (at, (c, origin)) in text.chars().enumerate() {
        let contextual = lowered_chars.next().filter(|_| same_length);
        match is_initial(at, before) {
            true => c.to_uppercase().for_each(|c| push(c, origin)),
            false => match contextual {
                Some(c) => push(c, origin),
                None => c.to_lowercase().for_each(|c| push(c, origin)),
            },
        }
        before = Some(c);
    }
    out.finish().with_markup(text.is_markup())
}
