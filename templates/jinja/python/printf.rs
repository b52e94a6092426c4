//! The `%` operator of strings.

use crate::error::{Error, Result};
use crate::markup;
use crate::text::{Origin, Text, TextBuilder};
use crate::value::Value;

use super::format::float_digits;
use super::{pad, repr};

/// Widths and precisions beyond this serve no prompt.
const MAX_WIDTH: usize = 1 << 16;

/// What stands between `%` and its code.
struct Flags {
    /// Who wrote it, and with it the characters that it adds to a value.
    origin: Origin,
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// `template % values`.
pub(crate) fn printf(template: &Text, values: &Value) -> Result<Text> {
    let single = std::slice::from_ref(values);
    let (mapping, arguments) = match values {
        Value::Tuple(tuple) => (None, tuple.items.as_slice()),
        Value::Dict(dict) => (Some(dict), single),
        _ => (None, single),
    };
    // Python takes whatever has subscripts, but for tuples and strings, to be a mapping, which may stay unused.
    let may_stay_unused = matches!(values, Value::Dict(_) | Value::List(_) | Value::Range(_) | Value::Undefined(_));
    let mut arguments = arguments.iter();
    let mut out = TextBuilder::default();
    let chars = template.as_str();
    let mut position = 0;
    while let Some(found) = chars[position..].find('%') {
        out.push_slice(template, position..position + found);
        let mut rest = &chars[position + found + 1..];
        let mut named = None;
        if let Some(after) = rest.strip_prefix('(') {
            let (name, after) = after.split_once(')').ok_or_else(|| Error::operation("incomplete format key"))?;
            let mapping = mapping.ok_or_else(|| Error::operation("format requires a mapping"))?;
            let value = mapping.get_str(name).ok_or_else(|| Error::operation(format!("KeyError: '{name}'")))?;
            named = Some(value);
            rest = after;
        }
        let mut next = || {
            let argument = named.or_else(|| arguments.next());
            argument.ok_or_else(|| Error::operation("not enough arguments for format string"))
        };
        let (mut flags, after) = flags(rest, &mut next)?;
        let code = after.chars().next().ok_or_else(|| Error::operation("incomplete format"))?;
        let start = position + found;
        position = chars.len() - after.len() + code.len_utf8();
        flags.origin = template.slice(start..position).origin();
        match code {
            '%' => out.push_str("%", flags.origin),
            _ => {
                let value = next()?;
                out.push(&convert(code, &flags, value, template.is_markup())?);
            }
        }
    }
    if !may_stay_unused && arguments.next().is_some() {
        return Err(Error::operation("not all arguments converted during string formatting"));
    }
    out.push_slice(template, position..chars.len());
    Ok(out.finish().with_markup(template.is_markup()))
}

/// The flags at the start of `rest`, and what follows them.
fn flags<'a, 'v>(rest: &'a str, next: &mut impl FnMut() -> Result<&'v Value>) -> Result<(Flags, &'a str)> {
    let mut flags = Flags {
        origin: Origin::Caller,
        left: false,
        zero: false,
        plus: false,
        space: false,
        alternate: false,
        width: 0,
        precision: None,
    };
    let mut rest = rest.trim_start_matches(|c| {
        match c {
            '-' => flags.left = true,
            '0' => flags.zero = true,
            '+' => flags.plus = true,
            ' ' => flags.space = true,
            '#' => flags.alternate = true,
            _ => return false,
        }
        true
    });
    let mut number = |rest: &mut &str| -> Result<Option<usize>> {
        let number = match rest.strip_prefix('*') {
            Some(after) => {
                *rest = after;
                let value = next()?.integer().ok_or_else(|| Error::operation("* wants int"))?;
                usize::try_from(value).unwrap_or_default()
            }
            None => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let (digits, after) = rest.split_at(end);
                *rest = after;
                match digits.is_empty() {
                    true => return Ok(None),
                    false => digits.parse().unwrap_or(usize::MAX),
                }
            }
        };
        match number > MAX_WIDTH {
            true => Err(Error::operation("width or precision too big")),
            false => Ok(Some(number)),
        }
    };
    flags.width = number(&mut rest)?.unwrap_or(0);
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        flags.precision = Some(number(&mut rest)?.unwrap_or(0));
    }
    Ok((flags, rest.trim_start_matches(['h', 'l', 'L'])))
}

fn convert(code: char, flags: &Flags, value: &Value, escaped: bool) -> Result<Text> {
    let wanted =
        |what: &str| Error::operation(format!("%{code} format: {what} is required, not {}", value.type_name()));
    let text = match code {
        's' | 'r' | 'a' => {
            let text = match (code, value) {
                ('s', Value::Str(text)) => text.clone(),
                ('s', _) => repr::text(value)?,
                _ => repr::repr(value)?,
            };
            let text = if escaped { markup::escape(&text) } else { text.with_markup(false) };
            match flags.precision {
                Some(precision) if precision < text.as_str().chars().count() => {
                    text.slice(0..text.borders()[precision])
                }
                _ => text,
            }
        }
        'c' => match value {
            Value::Str(text) if text.as_str().chars().count() == 1 => text.clone(),
            _ => {
                let code = value.integer().and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32);
                // Whoever gives the number chooses the character.
                Text::new(&code.ok_or_else(|| wanted("a character"))?.to_string(), Origin::Caller)
            }
        },
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
            let number = match value {
                Value::Float(number) if "diu".contains(code) && number.is_finite() => number.trunc() as i128,
                _ => value.integer().ok_or_else(|| wanted("a number"))?,
            };
            let magnitude = number.unsigned_abs();
            let (prefix, digits) = match code {
                'x' => ("0x", format!("{magnitude:x}")),
                'X' => ("0X", format!("{magnitude:X}")),
                'o' => ("0o", format!("{magnitude:o}")),
                _ => ("", magnitude.to_string()),
            };
            let prefix = if flags.alternate { prefix } else { "" };
            let digits = format!("{digits:0>width$}", width = flags.precision.unwrap_or(0));
            return Ok(number_text(flags, number < 0, prefix, &digits));
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            let number = value.number().ok_or_else(|| wanted("a real number"))?;
            let precision = flags.precision.or(Some(6));
            let digits = float_digits(number.abs(), Some(code), precision, flags.alternate)
                .ok_or_else(|| wanted("a real number"))?;
            return Ok(number_text(flags, number.is_sign_negative() && !number.is_nan(), "", &digits));
        }
        _ => return Err(Error::operation(format!("unsupported format character '{code}'"))),
    };
    let missing = flags.width.saturating_sub(text.as_str().chars().count());
    let (before, after) = if flags.left { (0, missing) } else { (missing, 0) };
    Ok(pad(&text, before, after, &Text::new(" ", flags.origin)))
}

fn number_text(flags: &Flags, negative: bool, prefix: &str, digits: &str) -> Text {
    let sign = match negative {
        true => "-",
        false if flags.plus => "+",
        false if flags.space => " ",
        false => "",
    };
    let missing = flags.width.saturating_sub(sign.len() + prefix.len() + digits.len());
    let fill = |c: &str| c.repeat(missing);
    let text = match (flags.left, flags.zero) {
        (true, _) => format!("{sign}{prefix}{digits}{}", fill(" ")),
        (false, true) => format!("{sign}{prefix}{}{digits}", fill("0")),
        (false, false) => format!("{}{sign}{prefix}{digits}", fill(" ")),
    };
    Text::new(&text, flags.origin)
}
