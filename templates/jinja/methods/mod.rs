//! The methods of Python's types that templates may call.

mod characters;
mod collection;
mod search;
pub(crate) mod string;

use crate::arguments::Arguments;
use crate::error::{Error, Result};
use crate::functions;
use crate::value::Value;

const STRING: [&str; 44] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];
const DICT: [&str; 5] = ["copy", "get", "items", "keys", "values"];
const DICT_MUTATING: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];
const LIST: [&str; 3] = ["copy", "count", "index"];
const LIST_MUTATING: [&str; 8] = ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"];
const SEQUENCE: [&str; 2] = ["count", "index"];
const LOOP: [&str; 2] = ["changed", "cycle"];
const FLOAT: [&str; 1] = ["is_integer"];

/// The method of a value's type that has this name.
pub(crate) fn find(value: &Value, name: &str) -> Option<&'static str> {
    let names: &'static [&'static str] = match value {
        Value::Str(_) => &STRING,
        Value::Dict(_) => &DICT,
        Value::List(_) => &LIST,
        Value::Tuple(_) | Value::Range(_) => &SEQUENCE,
        Value::Loop(_) => &LOOP,
        Value::Float(_) => &FLOAT,
        Value::Function(function) if matches!(**function, functions::Function::Dict) => &["fromkeys"],
        _ => return None,
    };
    names.iter().find(|known| **known == name).copied()
}

/// Whether the type has a method of this name that would change the value.
pub(crate) fn is_mutating(value: &Value, name: &str) -> bool {
    match value {
        Value::Dict(_) => DICT_MUTATING.contains(&name),
        Value::List(_) => LIST_MUTATING.contains(&name),
        _ => false,
    }
}

/// Calls a method that [`find`] gave for the receiver.
pub(crate) fn call(receiver: &Value, name: &str, arguments: Arguments) -> Result<Value> {
    match receiver {
        Value::Str(text) => string::call(text, name, arguments),
        Value::Dict(dict) => collection::dict(dict, name, arguments),
        Value::List(_) | Value::Tuple(_) | Value::Range(_) => collection::sequence(receiver, name, arguments),
        Value::Loop(state) if name == "changed" => Ok(Value::Bool(state.changed(arguments.positional))),
        Value::Loop(state) => {
            let value = state.cycle(&arguments.positional);
            value.ok_or_else(|| Error::operation("no items for cycling given"))
        }
        Value::Float(value) => {
            arguments.none(name)?;
            Ok(Value::Bool(value.fract() == 0.0))
        }
        _ => functions::dict_from_keys(arguments),
    }
}
