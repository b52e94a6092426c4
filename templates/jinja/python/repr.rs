//! `str()` and `repr()`.

use crate::error::{Error, ErrorKind, Result};
use crate::functions::Function;
use crate::text::{Origin, Text, TextBuilder};
use crate::value::{Value, View};

use super::{is_printable, scalar};

/// How deep values may nest where a function goes through all of one.
pub(crate) const MAX_DEPTH: usize = 200;

/// `str(value)`, never `Markup`.
pub(crate) fn text(value: &Value) -> Result<Text> {
    match value {
        Value::Str(text) => Ok(text.clone().with_markup(false)),
        _ => {
            let mut out = TextBuilder::default();
            write(&mut out, value)?;
            Ok(out.finish())
        }
    }
}

/// Jinja's `soft_str`: the string itself, `Markup` or not, or `str` of anything else.
pub(crate) fn soft_text(value: Value) -> Result<Text> {
    match value {
        Value::Str(text) => Ok(text),
        _ => text(&value),
    }
}

/// Appends `str(value)`.
pub(crate) fn write(out: &mut TextBuilder, value: &Value) -> Result<()> {
    match value {
        Value::Str(text) => out.push(text),
        Value::Undefined(_) => {}
        _ => write_repr(out, value, 0)?,
    }
    Ok(())
}

/// `repr(value)`.
pub(crate) fn repr(value: &Value) -> Result<Text> {
    let mut out = TextBuilder::default();
    write_repr(&mut out, value, 0)?;
    Ok(out.finish())
}

fn write_repr(out: &mut TextBuilder, value: &Value, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::new(ErrorKind::Limit, "a value nests too deeply to be printed"));
    }
    if let Some(text) = scalar(value) {
        out.push_template(&text);
        return Ok(());
    }
    let start = out.len();
    match value {
        Value::Str(text) if text.is_markup() => {
            out.push_template("Markup(");
            write_quoted(out, text);
            out.push_template(")");
        }
        Value::Str(text) => write_quoted(out, text),
        Value::List(items) => write_items(out, "[", items, "]", depth)?,
        Value::Tuple(tuple) if tuple.items.len() == 1 => write_items(out, "(", &tuple.items, ",)", depth)?,
        Value::Tuple(tuple) => write_items(out, "(", &tuple.items, ")", depth)?,
        Value::Dict(dict) => write_entries(out, dict.iter(), depth)?,
        Value::Namespace(namespace) => {
            out.push_template("<Namespace ");
            write_entries(out, namespace.borrow().iter(), depth)?;
            out.push_template(">");
        }
        Value::Range(range) => {
            let stop = range.start.saturating_add(range.step.saturating_mul(range.len as i128));
            out.push_template(&match range.step {
                1 => format!("range({}, {stop})", range.start),
                step => format!("range({}, {stop}, {step})", range.start),
            });
        }
        Value::View(view) => write_view(out, value.type_name(), view, depth)?,
        Value::Loop(state) => {
            let index = state.attribute("index").as_ref().and_then(Value::integer).unwrap_or_default();
            out.push_template(&format!("<LoopContext {index}/{}>", state.len()));
        }
        Value::Function(function) => match &**function {
            Function::Macro { definition, .. } => out.push_template(&format!("<Macro '{}'>", definition.name)),
            function => out.push_template(&format!("<function {}>", function.name())),
        },
        Value::Undefined(_) => out.push_template("Undefined"),
        _ => out.push_template("<generator object>"),
    }
    // What the caller supplied is the caller's with the brackets around it.
    if value.is_callers() {
        out.claim(start);
    }
    Ok(())
}

fn write_view(out: &mut TextBuilder, name: &str, view: &View, depth: usize) -> Result<()> {
    out.push_template(name);
    write_items(out, "([", &view.items(), "])", depth)
}

fn write_items(out: &mut TextBuilder, open: &str, items: &[Value], close: &str, depth: usize) -> Result<()> {
    out.push_template(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_template(", ");
        }
        write_repr(out, item, depth + 1)?;
    }
    out.push_template(close);
    Ok(())
}

fn write_entries<'a>(
    out: &mut TextBuilder,
    entries: impl Iterator<Item = (&'a Value, &'a Value)>,
    depth: usize,
) -> Result<()> {
    out.push_template("{");
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.push_template(", ");
        }
        write_repr(out, key, depth + 1)?;
        out.push_template(": ");
        write_repr(out, value, depth + 1)?;
    }
    out.push_template("}");
    Ok(())
}

fn write_quoted(out: &mut TextBuilder, text: &Text) {
    let quote = if text.as_str().contains('\'') && !text.as_str().contains('"') { '"' } else { '\'' };
    out.push_char(quote, Origin::Template);
    out.push(&text.map(|c, out| match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\\' => out.push_str("\\\\"),
        c if c == quote => out.extend(['\\', c]),
        c if is_printable(c) => out.push(c),
        c => out.push_str(&match u32::from(c) {
            code @ 0..=0xff => format!("\\x{code:02x}"),
            code @ 0x100..=0xffff => format!("\\u{code:04x}"),
            code => format!("\\U{code:08x}"),
        }),
    }));
    out.push_char(quote, Origin::Template);
}
