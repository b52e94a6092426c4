//! What kind of characters a string is made of, and the change of case.

use crate::python::{is_printable, is_space};
use crate::text::Text;

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
    let mut before = None;
    let mut rest = text.as_str();
    text.map(|c, out| {
        rest = &rest[c.len_utf8()..];
        lower_char(c, before, rest, out);
        before = Some(c);
    })
}

/// Appends a character in lower case, as it stands between `before` and `after`.
fn lower_char(c: char, before: Option<char>, after: &str, out: &mut String) {
    // A capital sigma is a final one at the end of a word; no other letter minds its neighbours.
    match c == 'Σ' && before.is_some_and(char::is_alphabetic) && !after.starts_with(char::is_alphabetic) {
        true => out.push('ς'),
        false => out.extend(c.to_lowercase()),
    }
}

/// `str.casefold`; of the few letters that fold otherwise than to lower case, the common one.
pub(super) fn case_fold(text: &Text) -> Text {
    text.map(|c, out| match c {
        'ß' | 'ẞ' => out.push_str("ss"),
        c => out.extend(c.to_lowercase()),
    })
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

/// `str.capitalize`: the first character in title case, the others in lower case.
pub(crate) fn capitalize(text: &Text) -> Text {
    initial_upper(text, title_case, |at, _| at == 0)
}

/// `str.title`: the first letter of each word in title case, the others in lower case.
pub(super) fn title(text: &Text) -> Text {
    let is_cased = |c: char| c.is_lowercase() || c.is_uppercase();
    initial_upper(text, title_case, |_, before| !before.is_some_and(is_cased))
}

/// Appends a character as it stands at the start of a capitalised word.
fn title_case(c: char, out: &mut String) {
    match c {
        // Unicode's four letters that are two, of which only the first is a capital in title case.
        'Ǆ'..='ǆ' => out.push('ǅ'),
        'Ǉ'..='ǉ' => out.push('ǈ'),
        'Ǌ'..='ǌ' => out.push('ǋ'),
        'Ǳ'..='ǳ' => out.push('ǲ'),
        _ => {
            let mut capitals = c.to_uppercase();
            out.extend(capitals.next());
            out.extend(capitals.flat_map(char::to_lowercase));
        }
    }
}

/// The text in lower case, but for those characters that `is_initial` picks by index and the character before:
/// what `initial` appends for each.
pub(crate) fn initial_upper(
    text: &Text,
    initial: impl Fn(char, &mut String),
    is_initial: impl Fn(usize, Option<char>) -> bool,
) -> Text {
    let mut at = 0;
    let mut before = None;
    let mut rest = text.as_str();
    text.map(|c, out| {
        rest = &rest[c.len_utf8()..];
        match is_initial(at, before) {
            true => initial(c, out),
            false => lower_char(c, before, rest, out),
        }
        at += 1;
        before = Some(c);
    })
}
