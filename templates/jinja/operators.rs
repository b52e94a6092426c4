//! Arithmetic, concatenation, comparison and membership.

use std::cmp::Ordering;

use crate::ast::{Binary, Comparison};
use crate::error::{Error, ErrorKind, Result};
use crate::functions::{repeat, repetitions};
use crate::markup;
use crate::python::printf;
use crate::text::{Text, TextBuilder};
use crate::value::{Key, Value};

/// `left operator right`
pub(crate) fn binary(operator: Binary, left: &Value, right: &Value) -> Result<Value> {
    if let (Value::Str(template), Binary::Remainder) = (left, operator) {
        return printf::printf(template, right).map(Value::Str);
    }
    if let (Value::Undefined(missing), _) | (_, Value::Undefined(missing)) = (left, right) {
        return Err(missing.error());
    }
    match (operator, left, right) {
        (Binary::Add, Value::Str(a), Value::Str(b)) => return Ok(Value::Str(add(a, b))),
        (Binary::Add, Value::List(a), Value::List(b)) => return Ok(Value::list([&a[..], &b[..]].concat())),
        (Binary::Add, Value::Tuple(a), Value::Tuple(b)) => {
            return Ok(Value::tuple([&a.items[..], &b.items[..]].concat()));
        }
        (Binary::Multiply, Value::Str(text), times) | (Binary::Multiply, times, Value::Str(text)) => {
            return Ok(Value::Str(repeat(text, times)?));
        }
        (Binary::Multiply, Value::List(items), times) | (Binary::Multiply, times, Value::List(items)) => {
            return Ok(Value::list(repeat_items(items, times)?));
        }
        (Binary::Multiply, Value::Tuple(tuple), times) | (Binary::Multiply, times, Value::Tuple(tuple)) => {
            return Ok(Value::tuple(repeat_items(&tuple.items, times)?));
        }
        _ => {}
    }
    if let (Some(a), Some(b)) = (left.integer(), right.integer()) {
        return integers(operator, a, b);
    }
    match (left.number(), right.number()) {
        (Some(a), Some(b)) => floats(operator, a, b),
        _ => Err(Error::operation(format!(
            "unsupported operand types: '{}' and '{}'",
            left.type_name(),
            right.type_name()
        ))),
    }
}

fn add(a: &Text, b: &Text) -> Text {
    let is_markup = a.is_markup() || b.is_markup();
    let mut out = TextBuilder::default();
    for text in [a, b] {
        match is_markup {
            true => out.push(&markup::escape(text)),
            false => out.push(text),
        }
    }
    out.finish().with_markup(is_markup)
}

fn repeat_items(items: &[Value], times: &Value) -> Result<Vec<Value>> {
    let times = repetitions(items.len(), times)?;
    Ok(std::iter::repeat_n(items, times).flatten().cloned().collect())
}

fn division_by_zero() -> Error {
    Error::operation("division by zero")
}

fn integers(operator: Binary, a: i128, b: i128) -> Result<Value> {
    let floor = |a: i128, b: i128| {
        let quotient = a.checked_div(b)?;
        Some(quotient - i128::from(a % b != 0 && (a < 0) != (b < 0)))
    };
    let value = match operator {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        Binary::Divide | Binary::FloorDivide | Binary::Remainder if b == 0 => return Err(division_by_zero()),
        Binary::FloorDivide => floor(a, b),
        Binary::Remainder => floor(a, b).map(|quotient| a - quotient * b),
        Binary::Power if b >= 0 => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        Binary::Divide | Binary::Power => return floats(operator, a as f64, b as f64),
    };
    value.map(Value::Int).ok_or_else(|| Error::new(ErrorKind::Limit, "an integer is too large"))
}

fn floats(operator: Binary, a: f64, b: f64) -> Result<Value> {
    Ok(Value::Float(match operator {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide | Binary::FloorDivide | Binary::Remainder if b == 0.0 => return Err(division_by_zero()),
        Binary::Divide => a / b,
        Binary::FloorDivide => (a / b).floor(),
        Binary::Remainder => {
            let remainder = a % b;
            if remainder != 0.0 && (remainder < 0.0) != (b < 0.0) { remainder + b } else { remainder }
        }
        Binary::Power if a == 0.0 && b < 0.0 => return Err(division_by_zero()),
        Binary::Power => a.powf(b),
    }))
}

/// `-value`
pub(crate) fn negate(value: &Value) -> Result<Value> {
    match (value, value.integer()) {
        (Value::Float(value), _) => Ok(Value::Float(-value)),
        (_, Some(value)) => Ok(Value::Int(value.saturating_neg())),
        _ => Err(bad_sign(value)),
    }
}

/// `+value`
pub(crate) fn plus(value: &Value) -> Result<Value> {
    match (value, value.integer()) {
        (Value::Float(_), _) => Ok(value.clone()),
        (_, Some(value)) => Ok(Value::Int(value)),
        _ => Err(bad_sign(value)),
    }
}

fn bad_sign(value: &Value) -> Error {
    match value {
        Value::Undefined(missing) => missing.error(),
        _ => Error::operation(format!("a sign before a value of type '{}'", value.type_name())),
    }
}

/// `left comparison right`
pub(crate) fn compare(comparison: Comparison, left: &Value, right: &Value) -> Result<bool> {
    let ordering = || left.compare(right);
    Ok(match comparison {
        Comparison::Equal => left.equals(right),
        Comparison::NotEqual => !left.equals(right),
        Comparison::Less => ordering()? == Some(Ordering::Less),
        Comparison::LessOrEqual => ordering()?.is_some_and(Ordering::is_le),
        Comparison::Greater => ordering()? == Some(Ordering::Greater),
        Comparison::GreaterOrEqual => ordering()?.is_some_and(Ordering::is_ge),
        Comparison::In => contains(right, left)?,
        Comparison::NotIn => !contains(right, left)?,
    })
}

/// `needle in container`
pub(crate) fn contains(container: &Value, needle: &Value) -> Result<bool> {
    match (container, needle) {
        (Value::Str(text), Value::Str(needle)) => Ok(text.as_str().contains(needle.as_str())),
        (Value::Str(_), _) => {
            let message = format!("'in <string>' requires string as left operand, not {}", needle.type_name());
            Err(Error::operation(message))
        }
        (Value::Dict(dict), Value::Str(name)) => Ok(dict.get_str(name.as_str()).is_some()),
        (Value::Dict(dict), _) => Ok(dict.get(&Key::new(needle.clone())?).is_some()),
        (Value::List(items), _) => Ok(items.iter().any(|item| item.equals(needle))),
        (Value::Iterator(stream), _) => {
            while let Some(item) = stream.borrow_mut().next()? {
                if item.equals(needle) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Ok(container.iterate()?.iter().any(|item| item.equals(needle))),
    }
}
