//! Finding, splitting, replacing and trimming within strings.

use crate::arguments::{Arguments, index, required, string};
use crate::error::{Error, Result};
use crate::python::is_space;
use crate::text::{Text, TextBuilder};
use crate::value::Value;

/// The byte range that `start` and `stop`, counted in characters, select of a string.
fn window(text: &Text, start: Option<Value>, stop: Option<Value>) -> Result<Option<(usize, usize)>> {
    if start.is_none() && stop.is_none() {
        return Ok(Some((0, text.as_str().len())));
    }
    let borders = text.borders();
    let len = borders.len() - 1;
    let bound = |bound: Option<Value>, default: usize| match bound {
        None | Some(Value::None) => Ok(default),
        Some(bound) => {
            let bound = index(&bound)?;
            let bound = if bound < 0 { bound.saturating_add_unsigned(len) } else { bound };
            Ok(usize::try_from(bound).unwrap_or(0))
        }
    };
    let (start, stop) = (bound(start, 0)?, bound(stop, len)?.min(len));
    Ok((start <= stop).then(|| (borders[start], borders[stop])))
}

/// `find`, `rfind`, `index`, `rindex`: the character at which a string begins in another.
pub(super) fn find(text: &Text, name: &str, arguments: Arguments) -> Result<Value> {
    let [needle, start, stop] = arguments.bind(name, ["sub", "start", "end"])?;
    let needle = string(&required(needle, name, "sub")?)?;
    let found = window(text, start, stop)?.and_then(|(start, stop)| {
        let chars = &text.as_str()[start..stop];
        let at = if name.starts_with('r') { chars.rfind(needle.as_str()) } else { chars.find(needle.as_str()) };
        at.map(|at| text.as_str()[..start + at].chars().count() as i128)
    });
    match found {
        Some(at) => Ok(Value::Int(at)),
        None if name.ends_with("find") => Ok(Value::Int(-1)),
        None => Err(Error::operation("substring not found")),
    }
}

/// `count`
pub(super) fn count(text: &Text, arguments: Arguments) -> Result<Value> {
    let [needle, start, stop] = arguments.bind("count", ["sub", "start", "end"])?;
    let needle = string(&required(needle, "count", "sub")?)?;
    let count = window(text, start, stop)?.map_or(0, |(start, stop)| {
        // An empty string is found before each character and at the end, here as in Python.
        text.as_str()[start..stop].matches(needle.as_str()).count()
    });
    Ok(Value::Int(count as i128))
}

/// `startswith` and `endswith`, of one string or of any in a tuple.
pub(super) fn has_affix(text: &Text, name: &str, arguments: Arguments) -> Result<Value> {
    let [affix, start, stop] = arguments.bind(name, ["prefix", "start", "end"])?;
    let affix = required(affix, name, "prefix")?;
    let affixes = match &affix {
        Value::Tuple(tuple) => tuple.items.iter().map(string).collect::<Result<Vec<_>>>()?,
        _ => vec![string(&affix)?],
    };
    let chars = window(text, start, stop)?.map(|(start, stop)| &text.as_str()[start..stop]);
    Ok(Value::Bool(chars.is_some_and(|chars| {
        affixes.iter().any(|affix| match name {
            "startswith" => chars.starts_with(affix.as_str()),
            _ => chars.ends_with(affix.as_str()),
        })
    })))
}

/// `strip`, `lstrip`, `rstrip`: without the characters of a set, by default white space, at one end or both.
pub(crate) fn strip(text: &Text, name: &str, set: Option<Value>) -> Result<Text> {
    let set = match set {
        None | Some(Value::None) => None,
        Some(set) => Some(string(&set)?),
    };
    let in_set = |c: char| match &set {
        Some(set) => set.as_str().contains(c),
        None => is_space(c),
    };
    let chars = text.as_str();
    let start = match name {
        "rstrip" => 0,
        _ => chars.len() - chars.trim_start_matches(in_set).len(),
    };
    let end = match name {
        "lstrip" => chars.len(),
        _ => chars.trim_end_matches(in_set).len().max(start),
    };
    Ok(text.slice(start..end))
}

/// `split` and `rsplit`.
pub(super) fn split(text: &Text, name: &str, arguments: Arguments) -> Result<Value> {
    let [separator, limit] = arguments.bind(name, ["sep", "maxsplit"])?;
    let limit = match limit {
        Some(limit) => usize::try_from(index(&limit)?).unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    let from_right = name == "rsplit";
    let ranges = match separator {
        None | Some(Value::None) => split_whitespace(text.as_str(), limit, from_right),
        Some(separator) => {
            let separator = string(&separator)?;
            if separator.as_str().is_empty() {
                return Err(Error::operation("empty separator"));
            }
            split_at(text.as_str(), separator.as_str(), limit, from_right)
        }
    };
    Ok(Value::list(ranges.into_iter().map(|(start, end)| Value::Str(text.slice(start..end))).collect()))
}

fn split_at(chars: &str, separator: &str, limit: usize, from_right: bool) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    let mut found: Vec<usize> = match from_right {
        true => chars.rmatch_indices(separator).take(limit).map(|(at, _)| at).collect(),
        false => chars.match_indices(separator).take(limit).map(|(at, _)| at).collect(),
    };
    found.sort_unstable();
    let mut start = 0;
    for at in found {
        pieces.push((start, at));
        start = at + separator.len();
    }
    pieces.push((start, chars.len()));
    pieces
}

/// Words; once the limit is reached the rest stays whole, but for the white space around it.
fn split_whitespace(chars: &str, limit: usize, from_right: bool) -> Vec<(usize, usize)> {
    let mut words = Vec::new();
    let (mut start, mut end) = (0, chars.len());
    loop {
        let rest = &chars[start..end];
        start += rest.len() - rest.trim_start_matches(is_space).len();
        let rest = &chars[start..end];
        end = start + rest.trim_end_matches(is_space).len();
        let rest = &chars[start..end];
        if rest.is_empty() {
            break;
        }
        if words.len() >= limit {
            // The limit leaves the space at the far end of the rest in place.
            words.push(if from_right { (0, end) } else { (start, chars.len()) });
            break;
        }
        match if from_right { rest.rfind(is_space) } else { rest.find(is_space) } {
            Some(at) if from_right => {
                let word = start + at + rest[at..].chars().next().map_or(0, char::len_utf8);
                words.push((word, end));
                end = start + at;
            }
            Some(at) => {
                words.push((start, start + at));
                start += at;
            }
            None => {
                words.push((start, end));
                break;
            }
        }
    }
    if from_right {
        words.reverse();
    }
    words
}

/// `partition` and `rpartition`.
pub(super) fn partition(text: &Text, name: &str, arguments: Arguments) -> Result<Value> {
    let [separator] = arguments.bind(name, ["sep"])?;
    let separator = string(&required(separator, name, "sep")?)?;
    if separator.as_str().is_empty() {
        return Err(Error::operation("empty separator"));
    }
    let (chars, empty) = (text.as_str(), text.slice(0..0));
    let from_right = name == "rpartition";
    let found = if from_right { chars.rfind(separator.as_str()) } else { chars.find(separator.as_str()) };
    let parts = match found {
        Some(at) => {
            let end = at + separator.as_str().len();
            [text.slice(0..at), text.slice(at..end), text.slice(end..chars.len())]
        }
        None if from_right => [empty.clone(), empty, text.clone()],
        None => [text.clone(), empty.clone(), empty],
    };
    Ok(Value::tuple(parts.map(Value::Str).to_vec()))
}

/// `text.replace(old, new, count)`; what is put in keeps its own origin.
pub(crate) fn replace(text: &Text, old: &Text, new: &Text, count: Option<isize>) -> Text {
    let limit = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let mut out = TextBuilder::default();
    let mut start = 0;
    for (at, _) in text.as_str().match_indices(old.as_str()).take(limit) {
        out.push_slice(text, start..at);
        out.push(new);
        start = at + old.as_str().len();
    }
    out.push_slice(text, start..text.as_str().len());
    out.finish().with_markup(text.is_markup())
}
