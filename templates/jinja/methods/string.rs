//! Methods of strings.

use crate::arguments::{Arguments, index, required, string};
use crate::error::{Error, Result};
use crate::markup;
use crate::python::{self, format, repr};
use crate::text::{Text, TextBuilder};
use crate::value::Value;

use super::{characters, search};

pub(crate) use super::characters::{all_are, capitalize, initial_upper, lower, upper};
pub(crate) use super::search::{replace, strip};

/// Calls a method of a string.
pub(super) fn call(text: &Text, name: &str, arguments: Arguments) -> Result<Value> {
    let simple: Option<fn(&Text) -> Text> = match name {
        "capitalize" => Some(characters::capitalize),
        "casefold" => Some(characters::case_fold),
        "lower" => Some(characters::lower),
        "swapcase" => Some(characters::swap_case),
        "title" => Some(characters::title),
        "upper" => Some(characters::upper),
        _ => None,
    };
    if let Some(change) = simple {
        arguments.none(name)?;
        return Ok(Value::Str(change(text)));
    }
    match name {
        "strip" | "lstrip" | "rstrip" => {
            let [set] = arguments.bind(name, ["chars"])?;
            search::strip(text, name, set).map(Value::Str)
        }
        "split" | "rsplit" => search::split(text, name, arguments),
        "partition" | "rpartition" => search::partition(text, name, arguments),
        "find" | "rfind" | "index" | "rindex" => search::find(text, name, arguments),
        "count" => search::count(text, arguments),
        "startswith" | "endswith" => search::has_affix(text, name, arguments),
        "replace" => {
            let [old, new, count] = arguments.bind(name, ["old", "new", "count"])?;
            let old = string(&required(old, name, "old")?)?;
            let new = string(&required(new, name, "new")?)?;
            let new = if text.is_markup() { markup::escape(&new) } else { new };
            Ok(Value::Str(search::replace(text, &old, &new, count.as_ref().map(index).transpose()?)))
        }
        "removeprefix" | "removesuffix" => {
            let [affix] = arguments.bind(name, ["affix"])?;
            let affix = string(&required(affix, name, "affix")?)?;
            let chars = text.as_str();
            let rest = match name {
                "removeprefix" => chars.strip_prefix(affix.as_str()).map(|rest| chars.len() - rest.len()..chars.len()),
                _ => chars.strip_suffix(affix.as_str()).map(|rest| 0..rest.len()),
            };
            Ok(Value::Str(rest.map_or_else(|| text.clone(), |rest| text.slice(rest))))
        }
        "join" => {
            let [items] = arguments.bind(name, ["iterable"])?;
            join(text, &required(items, name, "iterable")?)
        }
        "splitlines" => {
            let [keep_ends] = arguments.bind(name, ["keepends"])?;
            let lines = python::lines(text, keep_ends.is_some_and(|keep| keep.is_true()));
            Ok(Value::list(lines.into_iter().map(Value::Str).collect()))
        }
        "center" | "ljust" | "rjust" | "zfill" => align(text, name, arguments),
        "expandtabs" => expand_tabs(text, arguments),
        "format" => format::format(text, &arguments).map(Value::Str),
        "format_map" => {
            let [mapping] = arguments.bind(name, ["mapping"])?;
            match required(mapping, name, "mapping")? {
                Value::Dict(dict) => format::format_map(text, &dict).map(Value::Str),
                _ => Err(Error::operation("format_map() needs a dictionary")),
            }
        }
        _ => {
            arguments.none(name)?;
            Ok(Value::Bool(characters::all_are(text.as_str(), name)))
        }
    }
}

fn join(separator: &Text, items: &Value) -> Result<Value> {
    let escaped = |text: &Text| if separator.is_markup() { markup::escape(text) } else { text.clone() };
    let mut out = TextBuilder::default();
    for (at, item) in items.iterate()?.iter().enumerate() {
        if at > 0 {
            out.push(separator);
        }
        match item {
            Value::Str(text) => out.push(&escaped(text)),
            _ if separator.is_markup() => out.push(&escaped(&repr::text(item)?)),
            _ => {
                let message = format!("sequence item {at}: expected str instance, {} found", item.type_name());
                return Err(Error::operation(message));
            }
        }
    }
    Ok(Value::Str(out.finish().with_markup(separator.is_markup())))
}

fn align(text: &Text, name: &str, arguments: Arguments) -> Result<Value> {
    let [width, fill] = arguments.bind(name, ["width", "fillchar"])?;
    let width = required(width, name, "width")?;
    let len = text.as_str().chars().count();
    let missing = usize::try_from(index(&width)?).unwrap_or(0).saturating_sub(len);
    // Refuses a width that no prompt needs.
    crate::functions::repetitions(1, &Value::Int(missing as i128))?;
    let fill = match fill {
        Some(fill) => string(&fill)?,
        None => Text::template(if name == "zfill" { "0" } else { " " }),
    };
    if fill.as_str().chars().count() != 1 {
        return Err(Error::operation("the fill character must be exactly one character long"));
    }
    let fill = if text.is_markup() { markup::escape(&fill) } else { fill };
    Ok(Value::Str(match name {
        "ljust" => python::pad(text, 0, missing, &fill),
        "rjust" => python::pad(text, missing, 0, &fill),
        "zfill" => {
            let sign = usize::from(text.as_str().starts_with(['+', '-']));
            let mut out = TextBuilder::default();
            out.push_slice(text, 0..sign);
            out.push(&python::pad(&text.slice(sign..text.as_str().len()), missing, 0, &fill));
            out.finish().with_markup(text.is_markup())
        }
        // CPython puts the odd one to the left where the width is odd.
        _ => {
            let left = missing / 2 + (missing & (missing + len) & 1);
            python::pad(text, left, missing - left, &fill)
        }
    }))
}

fn expand_tabs(text: &Text, arguments: Arguments) -> Result<Value> {
    let [size] = arguments.bind("expandtabs", ["tabsize"])?;
    let size = size.as_ref().map_or(Ok(8), index)?.clamp(0, 1 << 10) as usize;
    let mut column = 0;
    Ok(Value::Str(text.map(|c, out| match c {
        '\t' => {
            let spaces = if size == 0 { 0 } else { size - column % size };
            column += spaces;
            out.extend(std::iter::repeat_n(' ', spaces));
        }
        _ => {
            column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
            out.push(c);
        }
    })))
}
