//! What Python's own types do: how they print, format and serialise, and what its string methods count as what.

pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod printf;
pub(crate) mod repr;
pub(crate) mod time;

pub(crate) use wasmlx_template_support::text::is_space;

use crate::text::{Text, TextBuilder};
use crate::value::Value;

/// Whether `repr` shows a character as it is.
pub(crate) fn is_printable(c: char) -> bool {
    // The standard library knows which characters are printable, but tells only by escaping the others; it also
    // escapes a combining mark, unless something stands before it.
    c.is_ascii_graphic()
        || c == ' '
        || (!c.is_ascii() && ['a', c].iter().collect::<String>().escape_debug().count() == 2)
}

/// `str.splitlines`.
pub(crate) fn lines(text: &Text, keep_ends: bool) -> Vec<Text> {
    let chars = text.as_str();
    let mut lines = Vec::new();
    let mut start = 0;
    let mut rest = chars.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let ends = matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
        if !ends {
            continue;
        }
        let mut next = at + c.len_utf8();
        if c == '\r' && rest.next_if(|(_, c)| *c == '\n').is_some() {
            next += 1;
        }
        lines.push(text.slice(start..if keep_ends { next } else { at }));
        start = next;
    }
    if start < chars.len() {
        lines.push(text.slice(start..chars.len()));
    }
    lines
}

/// `int()` of a string.
pub(crate) fn parse_integer(text: &str, base: u32) -> Option<i128> {
    let text = text.trim_matches(is_space);
    let (negative, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let prefixed = |prefix: [&str; 2]| prefix.iter().find_map(|prefix| digits.strip_prefix(prefix));
    let (radix, digits) = match base {
        16 => (16, prefixed(["0x", "0X"]).unwrap_or(digits)),
        8 => (8, prefixed(["0o", "0O"]).unwrap_or(digits)),
        2 => (2, prefixed(["0b", "0B"]).unwrap_or(digits)),
        3..=36 => (base, digits),
        _ => return None,
    };
    let well_formed = !digits.is_empty()
        && digits.split('_').all(|group| !group.is_empty() && group.chars().all(|c| c.is_digit(radix)));
    let value = i128::from_str_radix(&digits.replace('_', ""), radix).ok().filter(|_| well_formed)?;
    Some(if negative { -value } else { value })
}

/// `float()` of a string.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let text = text.trim_matches(is_space);
    let grouped = text
        .split('_')
        .all(|group| group.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) || !text.contains('_'));
    text.replace('_', "").parse().ok().filter(|_| grouped)
}

/// `str()` of a number, boolean or none.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    Some(match value {
        Value::None => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => wasmlx_template_support::json::float(*value),
        _ => return None,
    })
}

/// The text with `fill` before and after it.
pub(crate) fn pad(text: &Text, before: usize, after: usize, fill: &Text) -> Text {
    let mut out = TextBuilder::default();
    (0..before).for_each(|_| out.push(fill));
    out.push(text);
    (0..after).for_each(|_| out.push(fill));
    out.finish().with_markup(text.is_markup())
}
