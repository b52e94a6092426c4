//! Jinja's filters: what may stand after `|`.

mod number;
mod sequence;
mod text;

use std::cmp::Ordering;

use crate::arguments::{Arguments, string};
use crate::attributes;
use crate::error::{Error, ErrorKind, Result};
use crate::methods::string as string_methods;
use crate::value::{Missing, Value};

/// A filter: what stands before `|`, and what stands in parentheses after its name.
pub(crate) type Filter = fn(Value, Arguments) -> Result<Value>;

/// A filter by name.
pub(crate) fn find(name: &str) -> Option<Filter> {
    Some(match name {
        "abs" => number::abs,
        "attr" => sequence::attr,
        "batch" => sequence::batch,
        "capitalize" => text::capitalize,
        "center" => text::center,
        "count" | "length" => sequence::length,
        "d" | "default" => sequence::default,
        "dictsort" => sequence::dictsort,
        "e" | "escape" => text::escape,
        "first" => sequence::first,
        "float" => number::float,
        "forceescape" => text::force_escape,
        "format" => text::format,
        "groupby" => sequence::groupby,
        "indent" => text::indent,
        "int" => number::int,
        "items" => sequence::items,
        "join" => text::join,
        "last" => sequence::last,
        "list" => sequence::list,
        "lower" => text::lower,
        "map" => sequence::map,
        "max" => sequence::max,
        "min" => sequence::min,
        "reject" => sequence::reject,
        "rejectattr" => sequence::rejectattr,
        "replace" => text::replace,
        "reverse" => sequence::reverse,
        "round" => number::round,
        "safe" => text::safe,
        "select" => sequence::select,
        "selectattr" => sequence::selectattr,
        "slice" => sequence::slice,
        "sort" => sequence::sort,
        "string" => text::string,
        "striptags" => text::striptags,
        "sum" => number::sum,
        "title" => text::title,
        "tojson" => text::tojson,
        "trim" => text::trim,
        "truncate" => text::truncate,
        "unique" => sequence::unique,
        "upper" => text::upper,
        "urlencode" => text::urlencode,
        "wordcount" => text::wordcount,
        "filesizeformat" | "pprint" | "random" | "urlize" | "wordwrap" | "xmlattr" => left_out,
        _ => return None,
    })
}

/// Filters of Jinja's that write web pages, or that print differently each time.
fn left_out(_: Value, _: Arguments) -> Result<Value> {
    Err(Error::new(ErrorKind::Unsupported, "this filter of Jinja's is left out: it is not for prompts"))
}

/// A stable sort by a comparison that may fail, and that need not be consistent.
pub(crate) fn sorted<T>(
    mut items: Vec<T>,
    compare: impl Copy + Fn(&T, &T) -> Result<Option<Ordering>>,
) -> Result<Vec<T>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let right = sorted(items.split_off(items.len() / 2), compare)?;
    let left = sorted(items, compare)?;
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let from_right = compare(b, a)? == Some(Ordering::Less);
        merged.extend(if from_right { right.next() } else { left.next() });
    }
    merged.extend(left.chain(right));
    Ok(merged)
}

/// Values sorted by a key of each.
fn sorted_by_key(
    items: Vec<Value>,
    reverse: bool,
    key: impl Fn(&Value) -> Result<Value>,
) -> Result<Vec<(Value, Value)>> {
    let keyed = items.into_iter().map(|item| Ok((key(&item)?, item))).collect::<Result<Vec<_>>>()?;
    sorted(keyed, |(a, _), (b, _)| if reverse { b.compare(a) } else { a.compare(b) })
}

/// Strings in lower case, all else as it is: what Jinja compares by unless told otherwise.
fn ignoring_case(value: Value) -> Value {
    match value {
        Value::Str(text) => Value::Str(string_methods::lower(&text)),
        value => value,
    }
}

/// A path of attributes such as `function.name`, as many filters take it.
struct Path {
    parts: Vec<Value>,
    default: Option<Value>,
    ignore_case: bool,
}

impl Path {
    fn new(attribute: Option<Value>, ignore_case: bool) -> Result<Path> {
        let parts = match attribute {
            None | Some(Value::None) => Vec::new(),
            Some(Value::Str(path)) => path.as_str().split('.').map(Path::part).collect(),
            Some(Value::Undefined(missing)) => return Err(missing.error()),
            Some(other) => vec![other],
        };
        Ok(Path { parts, default: None, ignore_case })
    }

    fn part(part: &str) -> Value {
        match part.parse() {
            Ok(index) if part.chars().all(|c| c.is_ascii_digit()) => Value::Int(index),
            _ => Value::template(part),
        }
    }

    fn get(&self, value: &Value) -> Result<Value> {
        let mut value = value.clone();
        for part in &self.parts {
            value = attributes::item(&value, part)?;
            if let (Value::Undefined(_), Some(default)) = (&value, &self.default) {
                value = default.clone();
            }
        }
        Ok(if self.ignore_case { ignoring_case(value) } else { value })
    }
}

/// A flag, which any value may stand for.
fn flag(value: Option<Value>) -> bool {
    value.is_some_and(|value| value.is_true())
}

fn empty(why: &'static str) -> Value {
    Value::undefined(Missing::Because(why))
}

/// The filter or test that another filter applies, by name.
fn callee_name(name: &Value) -> Result<String> {
    string(name).map(|name| name.as_str().to_owned())
}
