//! `str.format` and the format specifications that it shares with nothing else in Jinja.

use crate::arguments::Arguments;
use crate::attributes;
use crate::error::{Error, Result};
use crate::text::{Origin, Text, TextBuilder};
use crate::value::{Dict, Value};

use super::repr;

/// Widths and precisions beyond this serve no prompt.
const MAX_WIDTH: usize = 1 << 16;

/// `template.format(*arguments)`. The literal parts keep their origin, and so does each value.
pub(crate) fn format(template: &Text, arguments: &Arguments) -> Result<Text> {
    let mut formatter = Formatter { arguments, next: Some(0) };
    let text = formatter.fields(template, 2)?;
    Ok(text.with_markup(template.is_markup()))
}

/// `template.format_map(mapping)`.
pub(crate) fn format_map(template: &Text, mapping: &Dict) -> Result<Text> {
    let named = mapping.iter().filter_map(|(key, value)| match key {
        Value::Str(name) => Some((name.clone(), value.clone())),
        _ => None,
    });
    format(template, &Arguments { positional: Vec::new(), named: named.collect() })
}

struct Formatter<'a> {
    arguments: &'a Arguments,
    /// The argument that `{}` takes next; `None` once one was numbered.
    next: Option<usize>,
}

fn malformed(why: &str) -> Error {
    Error::operation(format!("malformed format string: {why}"))
}

impl Formatter<'_> {
    /// Replaces the fields of a template; specifications may hold fields themselves, `depth` levels of them.
    fn fields(&mut self, template: &Text, depth: usize) -> Result<Text> {
        let chars = template.as_str();
        let mut out = TextBuilder::default();
        let mut position = 0;
        while let Some(found) = chars[position..].find(['{', '}']) {
            let at = position + found;
            out.push_slice(template, position..at);
            let brace = &chars[at..at + 1];
            if chars[at + 1..].starts_with(brace) {
                out.push_slice(template, at..at + 1);
                position = at + 2;
                continue;
            }
            if brace == "}" {
                return Err(malformed("a single '}'"));
            }
            let end = closing(chars, at).ok_or_else(|| malformed("expected '}'"))?;
            let depth = depth.checked_sub(1).ok_or_else(|| malformed("fields nest too deeply"))?;
            let field = self.field(&template.slice(at + 1..end), depth)?;
            match template.is_markup() && !field.is_markup() {
                true => out.push(&crate::markup::escape(&field)),
                false => out.push(&field),
            }
            position = end + 1;
        }
        out.push_slice(template, position..chars.len());
        Ok(out.finish())
    }

    /// One field: `name!conversion:specification`.
    fn field(&mut self, field: &Text, depth: usize) -> Result<Text> {
        let chars = field.as_str();
        let name_end = chars.find(['!', ':']).unwrap_or(chars.len());
        let mut rest = &chars[name_end..];
        let mut value = self.value(&chars[..name_end])?;
        if let Some(conversion) = rest.strip_prefix('!') {
            value = Value::Str(match conversion.chars().next() {
                Some('s') => repr::text(&value)?,
                Some('r' | 'a') => repr::repr(&value)?,
                _ => return Err(malformed("expected a conversion after '!'")),
            });
            rest = &conversion[1..];
        }
        let specification = match rest.strip_prefix(':') {
            Some(specification) => {
                let start = chars.len() - specification.len();
                self.fields(&field.slice(start..chars.len()), depth)?
            }
            None if rest.is_empty() => Text::template(""),
            None => return Err(malformed("expected ':' after a conversion")),
        };
        format_value(&value, &specification)
    }

    fn value(&mut self, path: &str) -> Result<Value> {
        let first_end = path.find(['.', '[']).unwrap_or(path.len());
        let (first, mut rest) = path.split_at(first_end);
        let positional = |index: usize| {
            let value = self.arguments.positional.get(index).cloned();
            value.ok_or_else(|| Error::operation("replacement index out of range for positional arguments"))
        };
        let mut value = if path.is_empty() {
            let index = self.next.ok_or_else(|| malformed("numbered and unnumbered fields"))?;
            self.next = Some(index + 1);
            positional(index)?
        } else if let Ok(index) = first.parse() {
            self.next = None;
            positional(index)?
        } else {
            let named = self.arguments.named.iter().find(|(name, _)| name.as_str() == first);
            named.map(|(_, value)| value.clone()).ok_or_else(|| Error::operation(format!("KeyError: '{first}'")))?
        };
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                value = attributes::attribute(&value, &after[..end].into())?;
                rest = &after[end..];
            } else {
                let after = rest.strip_prefix('[').ok_or_else(|| malformed("expected '.' or '['"))?;
                let (key, after) = after.split_once(']').ok_or_else(|| malformed("expected ']'"))?;
                let key = key.parse().map_or_else(|_| Value::template(key), Value::Int);
                value = attributes::item(&value, &key)?;
                rest = after;
            }
        }
        Ok(value)
    }
}

/// Where the field that opens at `open` closes.
fn closing(chars: &str, open: usize) -> Option<usize> {
    let mut depth = 0;
    chars[open..].char_indices().find_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(open + at)
    })
}

/// What `format(value, specification)` reads out of a specification.
struct Specification {
    /// Who wrote it, and with it the characters that it adds to a value: it may name any that fills.
    origin: Origin,
    fill: char,
    align: Option<char>,
    sign: char,
    alternate: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Specification {
    fn parse(text: &Text) -> Result<Specification> {
        let chars: Vec<char> = text.as_str().chars().collect();
        let mut at = 0;
        let is_align = |c: Option<&char>| matches!(c, Some('<' | '>' | '^' | '='));
        let mut specification = Specification {
            origin: text.origin(),
            fill: ' ',
            align: None,
            sign: '-',
            alternate: false,
            width: 0,
            grouping: None,
            precision: None,
            kind: None,
        };
        if is_align(chars.get(1)) {
            (specification.fill, specification.align) = (chars[0], Some(chars[1]));
            at = 2;
        } else if is_align(chars.first()) {
            specification.align = Some(chars[0]);
            at = 1;
        }
        if let Some(sign @ ('+' | '-' | ' ')) = chars.get(at) {
            specification.sign = *sign;
            at += 1;
        }
        if chars.get(at) == Some(&'#') {
            specification.alternate = true;
            at += 1;
        }
        if chars.get(at) == Some(&'0') {
            if specification.align.is_none() {
                (specification.fill, specification.align) = ('0', Some('='));
            }
            at += 1;
        }
        let number = |at: &mut usize| -> Result<Option<usize>> {
            let digits: String = chars[*at..].iter().take_while(|c| c.is_ascii_digit()).collect();
            *at += digits.len();
            match digits.parse() {
                Ok(number) if number <= MAX_WIDTH => Ok(Some(number)),
                Ok(_) => Err(malformed("a width or precision is too large")),
                Err(_) if digits.is_empty() => Ok(None),
                Err(_) => Err(malformed("a width or precision is too large")),
            }
        };
        specification.width = number(&mut at)?.unwrap_or(0);
        if let Some(grouping @ (',' | '_')) = chars.get(at) {
            specification.grouping = Some(*grouping);
            at += 1;
        }
        if chars.get(at) == Some(&'.') {
            at += 1;
            let precision = number(&mut at)?;
            specification.precision = Some(precision.ok_or_else(|| malformed("a precision is missing"))?);
        }
        specification.kind = chars.get(at).copied();
        match chars.len() > at + 1 {
            true => Err(malformed("unknown format specification")),
            false => Ok(specification),
        }
    }

    /// The text in its width; numbers stand to the right, all else to the left.
    fn align(&self, text: Text, is_number: bool) -> Text {
        let missing = self.width.saturating_sub(text.as_str().chars().count());
        let before = match self.align {
            Some('<') => 0,
            Some('^') => missing / 2,
            Some(_) => missing,
            None if is_number => missing,
            None => 0,
        };
        super::pad(&text, before, missing - before, &Text::new(&self.fill.to_string(), self.origin))
    }

    /// A number's sign and digits, in its width.
    fn number(&self, negative: bool, prefix: &str, digits: &str) -> Text {
        let digits = match self.grouping {
            Some(separator) => group(digits, separator, if prefix.is_empty() { 3 } else { 4 }),
            None => digits.to_owned(),
        };
        let sign = match (negative, self.sign) {
            (true, _) => "-",
            (false, '+') => "+",
            (false, ' ') => " ",
            _ => "",
        };
        let missing = self.width.saturating_sub(sign.len() + prefix.len() + digits.len());
        match self.align {
            Some('=') => {
                let fill = self.fill.to_string().repeat(missing);
                Text::new(&format!("{sign}{prefix}{fill}{digits}"), self.origin)
            }
            _ => self.align(Text::new(&format!("{sign}{prefix}{digits}"), self.origin), true),
        }
    }
}

/// Digits with a separator between groups; what follows the point stays as it is.
fn group(digits: &str, separator: char, size: usize) -> String {
    let whole = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    let mut out = String::new();
    for (index, digit) in digits[..whole].chars().enumerate() {
        if index > 0 && (whole - index) % size == 0 {
            out.push(separator);
        }
        out.push(digit);
    }
    out + &digits[whole..]
}

/// `format(value, specification)`.
fn format_value(value: &Value, specification: &Text) -> Result<Text> {
    if specification.as_str().is_empty() {
        return match value {
            Value::Str(text) => Ok(text.clone()),
            _ => repr::text(value),
        };
    }
    let specification = Specification::parse(specification)?;
    let unknown = |kind: char| {
        Error::operation(format!("unknown format code '{kind}' for object of type '{}'", value.type_name()))
    };
    match (value, specification.kind) {
        (Value::Str(text), None | Some('s')) if specification.align != Some('=') => {
            let chars = text.as_str().chars().count();
            let cut = specification.precision.filter(|precision| *precision < chars);
            let text = match cut {
                Some(precision) => text.slice(0..text.borders()[precision]),
                None => text.clone(),
            };
            Ok(specification.align(text, false))
        }
        (Value::Int(_) | Value::Bool(_), None | Some('d' | 'n' | 'x' | 'X' | 'o' | 'b' | 'c')) => {
            let number = value.integer().unwrap_or_default();
            let magnitude = number.unsigned_abs();
            let (prefix, digits) = match specification.kind {
                Some('x') => ("0x", format!("{magnitude:x}")),
                Some('X') => ("0X", format!("{magnitude:X}")),
                Some('o') => ("0o", format!("{magnitude:o}")),
                Some('b') => ("0b", format!("{magnitude:b}")),
                Some('c') => {
                    let c = u32::try_from(number).ok().and_then(char::from_u32);
                    let c = c.ok_or_else(|| Error::operation("%c arg not in range(0x110000)"))?;
                    return Ok(specification.align(Text::new(&c.to_string(), Origin::Caller), true));
                }
                _ => ("", magnitude.to_string()),
            };
            let prefix = if specification.alternate { prefix } else { "" };
            Ok(specification.number(number < 0, prefix, &digits))
        }
        (Value::Int(_) | Value::Bool(_) | Value::Float(_), kind) => {
            let number = value.number().unwrap_or_default();
            let digits = float_digits(number.abs(), kind, specification.precision, specification.alternate)
                .ok_or_else(|| unknown(kind.unwrap_or(' ')))?;
            Ok(specification.number(number.is_sign_negative() && !number.is_nan(), "", &digits))
        }
        (_, Some(kind)) => Err(unknown(kind)),
        _ => Err(Error::operation(format!("unsupported format string for '{}'", value.type_name()))),
    }
}

/// A number that is not negative, formatted by one of the codes that floats know; `None` for another code.
pub(crate) fn float_digits(
    value: f64,
    kind: Option<char>,
    precision: Option<usize>,
    alternate: bool,
) -> Option<String> {
    if !value.is_finite() && kind.is_none_or(|kind| "eEfFgGn%".contains(kind)) {
        return Some(if value.is_nan() { "nan" } else { "inf" }.to_owned());
    }
    let places = precision.unwrap_or(6);
    Some(match kind {
        None if precision.is_none() => wasmlx_template_support::json::float(value),
        Some('f' | 'F') => format!("{value:.places$}"),
        Some('%') => format!("{:.places$}%", value * 100.0),
        Some('e') => scientific(value, places),
        Some('E') => scientific(value, places).to_uppercase(),
        None | Some('g' | 'n') => general(value, places, alternate),
        Some('G') => general(value, places, alternate).to_uppercase(),
        Some(_) => return None,
    })
}

fn scientific(value: f64, places: usize) -> String {
    let text = format!("{value:.places$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

fn general(value: f64, precision: usize, alternate: bool) -> String {
    let precision = precision.max(1);
    let text = scientific(value, precision - 1);
    let exponent = text.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or_default();
    let strip = |digits: &str| match digits.contains('.') && !alternate {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if exponent < -4 || exponent >= precision as i32 {
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "+00"));
        return format!("{}e{exponent}", strip(digits));
    }
    let places = (precision as i32 - 1 - exponent).max(0) as usize;
    strip(&format!("{value:.places$}"))
}
