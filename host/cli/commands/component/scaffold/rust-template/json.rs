//! JSON with `, ` and `: ` between its elements, as Python spells it and models know it.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::ser::Formatter;
use serde_json::{Serializer, Value};

/// A value; an empty text is an empty object.
pub(crate) fn parse(text: &str) -> serde_json::Result<Value> {
    if text.trim().is_empty() { Ok(Value::Object(Default::default())) } else { serde_json::from_str(text) }
}

/// A value on one line.
pub(crate) fn dumps(value: &Value) -> String {
    let mut bytes = Vec::new();
    // Writing to memory does not fail, and what was parsed can be written.
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Spaced)).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
