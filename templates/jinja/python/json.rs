//! `json.dumps`, as transformers' `tojson` filter calls it.

use wasmlx_template_support::json;

use crate::error::{Error, ErrorKind, Result};
use crate::text::{Text, TextBuilder};
use crate::value::Value;

use super::repr::MAX_DEPTH;

/// The options of `json.dumps` that the filter passes on.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// What each level of nesting is indented by; `None` puts all on one line.
    pub(crate) indent: Option<Text>,
    pub(crate) item_separator: Text,
    pub(crate) key_separator: Text,
    pub(crate) sort_keys: bool,
    pub(crate) ensure_ascii: bool,
}

/// A value as JSON. What the caller supplied is the caller's, with the brackets around it and the backslashes within.
pub(crate) fn dumps(value: &Value, layout: &Layout) -> Result<Text> {
    let mut writer = Writer { out: TextBuilder::default(), layout };
    writer.value(value, 0)?;
    Ok(writer.out.finish())
}

struct Writer<'a> {
    out: TextBuilder,
    layout: &'a Layout,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::Limit, "a value nests too deeply for JSON"));
        }
        let start = self.out.len();
        match value {
            Value::Str(text) => self.string(text),
            Value::List(items) => self.list(items, depth)?,
            Value::Tuple(tuple) => self.list(&tuple.items, depth)?,
            Value::Dict(dict) => {
                let mut entries: Vec<(&Value, &Value)> = dict.iter().collect();
                if self.layout.sort_keys {
                    entries = crate::filters::sorted(entries, |(a, _), (b, _)| a.compare(b))?;
                }
                self.object(&entries, depth)?;
            }
            _ => match scalar(value) {
                Some(text) => self.out.push_template(&text),
                None => {
                    let message = format!("Object of type {} is not JSON serializable", value.type_name());
                    return Err(Error::operation(message));
                }
            },
        }
        if value.is_callers() {
            self.out.claim(start);
        }
        Ok(())
    }

    fn string(&mut self, text: &Text) {
        let ensure_ascii = self.layout.ensure_ascii;
        self.out.push_template("\"");
        self.out.push(&text.map(|c, out| json::escape(c, ensure_ascii, out)));
        self.out.push_template("\"");
    }

    fn list(&mut self, items: &[Value], depth: usize) -> Result<()> {
        if items.is_empty() {
            self.out.push_template("[]");
            return Ok(());
        }
        self.out.push_template("[");
        for (index, item) in items.iter().enumerate() {
            self.separate(index, depth + 1);
            self.value(item, depth + 1)?;
        }
        self.break_line(depth);
        self.out.push_template("]");
        Ok(())
    }

    fn object(&mut self, entries: &[(&Value, &Value)], depth: usize) -> Result<()> {
        if entries.is_empty() {
            self.out.push_template("{}");
            return Ok(());
        }
        self.out.push_template("{");
        for (index, (key, value)) in entries.iter().enumerate() {
            self.separate(index, depth + 1);
            match (key, scalar(key)) {
                (Value::Str(text), _) => self.string(text),
                (_, Some(text)) => self.string(&Text::template(&text)),
                _ => {
                    let message = format!("keys of JSON objects cannot be of type {}", key.type_name());
                    return Err(Error::operation(message));
                }
            }
            self.out.push(&self.layout.key_separator);
            self.value(value, depth + 1)?;
        }
        self.break_line(depth);
        self.out.push_template("}");
        Ok(())
    }

    fn separate(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.out.push(&self.layout.item_separator);
        }
        self.break_line(depth);
    }

    fn break_line(&mut self, depth: usize) {
        if let Some(indent) = &self.layout.indent {
            self.out.push_template("\n");
            (0..depth).for_each(|_| self.out.push(indent));
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    Some(match value {
        Value::None => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) if value.is_nan() => "NaN".to_owned(),
        Value::Float(value) if value.is_infinite() => if *value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        Value::Float(value) => json::float(*value),
        _ => return None,
    })
}
