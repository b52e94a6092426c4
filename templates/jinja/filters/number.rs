//! Filters that make or change numbers.

use crate::arguments::{Arguments, index, integer};
use crate::ast::Binary;
use crate::error::{Error, Result};
use crate::operators;
use crate::python;
use crate::value::Value;

use super::Path;

pub(super) fn abs(value: Value, arguments: Arguments) -> Result<Value> {
    arguments.none("abs")?;
    match (&value, value.integer()) {
        (Value::Float(value), _) => Ok(Value::Float(value.abs())),
        (_, Some(value)) => Ok(Value::Int(value.saturating_abs())),
        _ => Err(no_number(&value)),
    }
}

fn no_number(value: &Value) -> Error {
    match value {
        Value::Undefined(missing) => missing.error(),
        _ => Error::operation(format!("a number is needed, not a value of type '{}'", value.type_name())),
    }
}

/// Python's `int(float)`, where the float has an integer part.
fn truncate(value: f64) -> Option<i128> {
    value.is_finite().then_some(value.trunc() as i128)
}

pub(super) fn int(value: Value, arguments: Arguments) -> Result<Value> {
    let [default, base] = arguments.bind("int", ["default", "base"])?;
    let base = base.as_ref().map_or(Ok(10), integer)?;
    let number = match &value {
        Value::Undefined(missing) => return Err(missing.error()),
        Value::Float(value) if value.is_infinite() => {
            return Err(Error::operation("cannot convert float infinity to integer"));
        }
        Value::Float(value) => truncate(*value),
        Value::Str(text) => {
            let base = u32::try_from(base).unwrap_or(0);
            let float = || python::parse_float(text.as_str()).and_then(truncate);
            python::parse_integer(text.as_str(), base).or_else(float)
        }
        _ => value.integer(),
    };
    Ok(number.map(Value::Int).or(default).unwrap_or(Value::Int(0)))
}

pub(super) fn float(value: Value, arguments: Arguments) -> Result<Value> {
    let [default] = arguments.bind("float", ["default"])?;
    let number = match &value {
        Value::Undefined(missing) => return Err(missing.error()),
        Value::Str(text) => python::parse_float(text.as_str()),
        _ => value.number(),
    };
    Ok(number.map(Value::Float).or(default).unwrap_or(Value::Float(0.0)))
}

pub(super) fn round(value: Value, arguments: Arguments) -> Result<Value> {
    let [precision, method] = arguments.bind("round", ["precision", "method"])?;
    let precision = precision.as_ref().map_or(Ok(0), index)?.clamp(-400, 400) as i32;
    let method = match method {
        Some(method) => crate::arguments::string(&method)?.as_str().to_owned(),
        None => "common".to_owned(),
    };
    let number = value.number().ok_or_else(|| no_number(&value))?;
    let scale = 10_f64.powi(precision);
    match method.as_str() {
        "common" => match value.integer() {
            Some(whole) if precision >= 0 => Ok(Value::Int(whole)),
            Some(_) => Ok(Value::Int(round_half_even(number, precision) as i128)),
            None => Ok(Value::Float(round_half_even(number, precision))),
        },
        "ceil" => Ok(Value::Float((number * scale).ceil() / scale)),
        "floor" => Ok(Value::Float((number * scale).floor() / scale)),
        _ => Err(Error::operation("method must be common, ceil or floor")),
    }
}

/// Python's `round`: to the nearest decimal number, and to the even digit from the exact middle.
fn round_half_even(number: f64, precision: i32) -> f64 {
    match usize::try_from(precision) {
        // Formatting rounds the exact binary value, to even where it lies in the middle.
        Ok(places) => format!("{number:.places$}").parse().unwrap_or(number),
        Err(_) => {
            let scale = 10_f64.powi(-precision);
            (number / scale).round_ties_even() * scale
        }
    }
}

pub(super) fn sum(value: Value, arguments: Arguments) -> Result<Value> {
    let [attribute, start] = arguments.bind("sum", ["attribute", "start"])?;
    let path = Path::new(attribute, false)?;
    let start = start.unwrap_or(Value::Int(0));
    if matches!(start, Value::Str(_)) {
        return Err(Error::operation("sum() can't sum strings"));
    }
    value.iterate()?.iter().try_fold(start, |sum, item| operators::binary(Binary::Add, &sum, &path.get(item)?))
}
