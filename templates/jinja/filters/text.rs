//! Filters that make or change text.

use crate::arguments::{Arguments, index, required, string as expect_string};
use crate::error::{Error, Result};
use crate::markup;
use crate::methods;
use crate::methods::string as string_methods;
use crate::python::json::{self, Layout};
use crate::python::{self, printf, repr};
use crate::text::{Text, TextBuilder};
use crate::value::{Dict, Value};

use super::{Path, flag};

/// A filter without arguments that changes the text of a value.
macro_rules! simple {
    ($($(#[$doc:meta])* $name:ident: $change:expr;)*) => {
        $($(#[$doc])*
        pub(super) fn $name(value: Value, arguments: Arguments) -> Result<Value> {
            arguments.none(stringify!($name))?;
            let change: fn(&Text) -> Text = $change;
            Ok(Value::Str(change(&repr::soft_text(value)?)))
        })*
    };
}

simple! {
    capitalize: string_methods::capitalize;
    escape: markup::escape;
    force_escape: |text| markup::force_escape(&text.clone().with_markup(false));
    lower: string_methods::lower;
    safe: |text| text.clone().with_markup(true);
    string: Text::clone;
    /// Unlike the method, the filter takes a word to begin only after a space, a dash or an opening bracket.
    title: |text| {
        let begins = |before: Option<char>| before.is_none_or(|c| python::is_space(c) || "-({[<".contains(c));
        let upper = |c: char, out: &mut String| out.extend(c.to_uppercase());
        string_methods::initial_upper(text, upper, |_, before| begins(before)).with_markup(false)
    };
    upper: string_methods::upper;
}

pub(super) fn trim(value: Value, arguments: Arguments) -> Result<Value> {
    let [set] = arguments.bind("trim", ["chars"])?;
    string_methods::strip(&repr::soft_text(value)?, "strip", set).map(Value::Str)
}

pub(super) fn center(value: Value, arguments: Arguments) -> Result<Value> {
    let [width] = arguments.bind("center", ["width"])?;
    let width = width.unwrap_or(Value::Int(80));
    let arguments = Arguments { positional: vec![width], named: Vec::new() };
    methods::call(&Value::Str(repr::soft_text(value)?), "center", arguments)
}

pub(super) fn replace(value: Value, arguments: Arguments) -> Result<Value> {
    let [old, new, count] = arguments.bind("replace", ["old", "new", "count"])?;
    let count = match count {
        None | Some(Value::None) => None,
        Some(count) => Some(index(&count)?),
    };
    let old = repr::text(&required(old, "replace", "old")?)?;
    let new = repr::text(&required(new, "replace", "new")?)?;
    Ok(Value::Str(string_methods::replace(&repr::text(&value)?, &old, &new, count)))
}

pub(super) fn join(value: Value, arguments: Arguments) -> Result<Value> {
    let [separator, attribute] = arguments.bind("join", ["d", "attribute"])?;
    let separator = separator.as_ref().map(repr::text).transpose()?;
    let path = Path::new(attribute, false)?;
    let mut out = TextBuilder::default();
    for (at, item) in value.iterate()?.iter().enumerate() {
        if let (Some(separator), true) = (&separator, at > 0) {
            out.push(separator);
        }
        repr::write(&mut out, &path.get(item)?)?;
    }
    Ok(Value::Str(out.finish()))
}

pub(super) fn format(value: Value, arguments: Arguments) -> Result<Value> {
    let template = repr::soft_text(value)?;
    let Arguments { positional, named } = arguments;
    let values = match (positional.is_empty(), named.is_empty()) {
        (false, false) => {
            return Err(Error::operation("format() takes positional or keyword arguments, not both"));
        }
        (_, true) => Value::tuple(positional),
        (true, false) => {
            let mut dict = Dict::default();
            named.into_iter().for_each(|(name, value)| dict.insert_text(name, value));
            Value::dict(dict)
        }
    };
    printf::printf(&template, &values).map(Value::Str)
}

pub(super) fn indent(value: Value, arguments: Arguments) -> Result<Value> {
    let [width, first, blank] = arguments.bind("indent", ["width", "first", "blank"])?;
    let (first, blank) = (flag(first), flag(blank));
    let text = expect_string(&value)?;
    let indentation = match width {
        Some(Value::Str(indentation)) => indentation,
        Some(width) => crate::functions::repeat(&Text::template(" "), &width)?,
        None => Text::template("    "),
    };
    let indentation = if text.is_markup() { markup::escape(&indentation) } else { indentation };
    // A newline is added and the lines split, so that one at the end of the text survives.
    let mut terminated = TextBuilder::default();
    terminated.push(&text);
    terminated.push_template("\n");
    let mut out = TextBuilder::default();
    for (at, line) in python::lines(&terminated.finish(), false).iter().enumerate() {
        if at > 0 {
            out.push_template("\n");
        }
        let indented = if at == 0 { first } else { blank || !line.as_str().is_empty() };
        if indented {
            out.push(&indentation);
        }
        out.push(line);
    }
    Ok(Value::Str(out.finish().with_markup(text.is_markup())))
}

pub(super) fn truncate(value: Value, arguments: Arguments) -> Result<Value> {
    let [length, kill_words, end, leeway] = arguments.bind("truncate", ["length", "killwords", "end", "leeway"])?;
    let end = end.as_ref().map(expect_string).transpose()?.unwrap_or_else(|| Text::template("..."));
    let length = length.as_ref().map_or(Ok(255), index)?;
    let leeway = match leeway {
        None | Some(Value::None) => 5,
        Some(leeway) => index(&leeway)?,
    };
    let kept = usize::try_from(length).ok().and_then(|length| length.checked_sub(end.as_str().chars().count()));
    let (Some(kept), 0..) = (kept, leeway) else {
        return Err(Error::operation("truncate() needs a length that its end fits into, and no negative leeway"));
    };
    // Whatever has a length may be short enough, but only text can be cut.
    if value.len().is_some_and(|len| len <= usize::try_from(length.saturating_add(leeway)).unwrap_or(usize::MAX)) {
        return Ok(value);
    }
    let text = expect_string(&value)?;
    let mut cut = text.borders()[kept];
    if !flag(kill_words) {
        cut = text.as_str()[..cut].rfind(' ').unwrap_or(cut);
    }
    let mut out = TextBuilder::default();
    out.push_slice(&text, 0..cut);
    out.push(&end);
    Ok(Value::Str(out.finish()))
}

pub(super) fn tojson(value: Value, arguments: Arguments) -> Result<Value> {
    let parameters = ["ensure_ascii", "indent", "separators", "sort_keys"];
    let [ensure_ascii, indent, separators, sort_keys] = arguments.bind("tojson", parameters)?;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Str(indent)) => Some(indent),
        Some(width) => Some(crate::functions::repeat(&Text::template(" "), &width)?),
    };
    let (item_separator, key_separator) = match separators {
        None | Some(Value::None) => (Text::template(if indent.is_some() { "," } else { ", " }), Text::template(": ")),
        Some(separators) => match &separators.iterate()?[..] {
            [item, key] => (expect_string(item)?, expect_string(key)?),
            _ => return Err(Error::operation("separators must be a pair of strings")),
        },
    };
    let layout =
        Layout { indent, item_separator, key_separator, sort_keys: flag(sort_keys), ensure_ascii: flag(ensure_ascii) };
    json::dumps(&value, &layout).map(Value::Str)
}

pub(super) fn striptags(value: Value, arguments: Arguments) -> Result<Value> {
    arguments.none("striptags")?;
    let text = repr::text(&value)?;
    let chars = text.as_str();
    let mut kept = TextBuilder::default();
    let mut position = 0;
    while let Some(found) = chars[position..].find('<') {
        let start = position + found;
        let closing = if chars[start..].starts_with("<!--") { "-->" } else { ">" };
        let Some(end) = chars[start..].find(closing) else { break };
        kept.push_slice(&text, position..start);
        position = start + end + closing.len();
    }
    kept.push_slice(&text, position..chars.len());
    let words = methods::call(&Value::Str(kept.finish()), "split", Arguments::default())?;
    let join = Arguments { positional: vec![words], named: Vec::new() };
    let spaced = expect_string(&methods::call(&Value::template(" "), "join", join)?)?;
    let unescaped = [("&lt;", "<"), ("&gt;", ">"), ("&#34;", "\""), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(spaced, |text, (entity, c)| replace_keeping_origin(&text, entity, c));
    Ok(Value::Str(unescaped))
}

/// Replaces a string, giving what is put in the origin of what it replaces.
fn replace_keeping_origin(text: &Text, old: &str, new: &str) -> Text {
    let mut out = TextBuilder::default();
    let mut start = 0;
    for (at, _) in text.as_str().match_indices(old) {
        out.push_slice(text, start..at);
        if let Some((_, origin)) = text.slice(at..at + 1).runs().next() {
            out.push_str(new, origin);
        }
        start = at + old.len();
    }
    out.push_slice(text, start..text.as_str().len());
    out.finish()
}

pub(super) fn urlencode(value: Value, arguments: Arguments) -> Result<Value> {
    arguments.none("urlencode")?;
    let quote = |value: &Value, is_query: bool| -> Result<Text> {
        Ok(repr::text(value)?.map(|c, out| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '~' => out.push(c),
            '/' if !is_query => out.push(c),
            ' ' if is_query => out.push('+'),
            c => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}"))),
        }))
    };
    let pairs = match &value {
        Value::Dict(dict) => dict.iter().map(|(key, value)| vec![key.clone(), value.clone()]).collect(),
        Value::List(_) | Value::Tuple(_) | Value::View(_) | Value::Iterator(_) => {
            value.iterate()?.iter().map(Value::iterate).collect::<Result<Vec<_>>>()?
        }
        _ => return Ok(Value::Str(quote(&value, false)?)),
    };
    let mut out = TextBuilder::default();
    for (at, pair) in pairs.iter().enumerate() {
        let [key, value] = &pair[..] else {
            return Err(Error::operation("urlencode needs pairs of a key and a value"));
        };
        out.push_template(if at > 0 { "&" } else { "" });
        out.push(&quote(key, true)?);
        out.push_template("=");
        out.push(&quote(value, true)?);
    }
    Ok(Value::Str(out.finish()))
}

pub(super) fn wordcount(value: Value, arguments: Arguments) -> Result<Value> {
    arguments.none("wordcount")?;
    let text = repr::soft_text(value)?;
    let words = text.as_str().split(|c: char| !(c.is_alphanumeric() || c == '_'));
    Ok(Value::Int(words.filter(|word| !word.is_empty()).count() as i128))
}
