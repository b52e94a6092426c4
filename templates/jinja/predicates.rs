//! Jinja's tests: what may stand after `is`.

use crate::arguments::{Arguments, required};
use crate::ast::{Binary, Comparison};
use crate::error::Result;
use crate::filters;
use crate::methods::string;
use crate::operators;
use crate::python::repr;
use crate::value::Value;

/// A test of a value, with what stands in parentheses after its name.
pub(crate) type Predicate = fn(&Value, Arguments) -> Result<bool>;

/// A test by name.
pub(crate) fn find(name: &str) -> Option<Predicate> {
    macro_rules! kinds {
        ($($names:pat => $pattern:pat $(if $guard:expr)?,)*; $($other:pat => $predicate:expr,)*) => {
            match name {
                $($names => |value, arguments| {
                    arguments.none("test")?;
                    Ok(matches!(value, $pattern $(if $guard)?))
                },)*
                $($other => $predicate,)*
                _ => return None,
            }
        };
    }
    Some(kinds! {
        "undefined" => Value::Undefined(_),
        "none" => Value::None,
        "boolean" => Value::Bool(_),
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "integer" => Value::Int(_),
        "float" => Value::Float(_),
        "number" => Value::Bool(_) | Value::Int(_) | Value::Float(_),
        "string" => Value::Str(_),
        "mapping" => Value::Dict(_),
        "callable" => Value::Function(_) | Value::Loop(_) | Value::Undefined(_),;
        "defined" => |value, arguments| {
            arguments.none("defined")?;
            Ok(!matches!(value, Value::Undefined(_)))
        },
        "iterable" => |value, arguments| {
            arguments.none("iterable")?;
            Ok(value.is_iterable())
        },
        "sequence" => |value, arguments| {
            arguments.none("sequence")?;
            Ok(match value {
                Value::View(_) | Value::Loop(_) => false,
                value => value.len().is_some(),
            })
        },
        "escaped" => |value, arguments| {
            arguments.none("escaped")?;
            Ok(matches!(value, Value::Str(text) if text.is_markup()))
        },
        "lower" => |value, arguments| {
            arguments.none("lower")?;
            let text = repr::text(value)?;
            Ok(string::all_are(text.as_str(), "islower"))
        },
        "upper" => |value, arguments| {
            arguments.none("upper")?;
            let text = repr::text(value)?;
            Ok(string::all_are(text.as_str(), "isupper"))
        },
        "odd" => |value, arguments| {
            arguments.none("odd")?;
            remains(value, &Value::Int(2), 1)
        },
        "even" => |value, arguments| {
            arguments.none("even")?;
            remains(value, &Value::Int(2), 0)
        },
        "divisibleby" => |value, arguments| {
            let [divisor] = arguments.bind("divisibleby", ["num"])?;
            remains(value, &required(divisor, "divisibleby", "num")?, 0)
        },
        "filter" => |value, arguments| {
            arguments.none("filter")?;
            Ok(matches!(value, Value::Str(name) if filters::find(name.as_str()).is_some()))
        },
        "test" => |value, arguments| {
            arguments.none("test")?;
            Ok(matches!(value, Value::Str(name) if find(name.as_str()).is_some()))
        },
        "sameas" => |value, arguments| {
            let [other] = arguments.bind("sameas", ["other"])?;
            Ok(value.is_same(&required(other, "sameas", "other")?))
        },
        "in" => |value, arguments| {
            let [container] = arguments.bind("in", ["seq"])?;
            operators::contains(&required(container, "in", "seq")?, value)
        },
        "==" | "eq" | "equalto" => |value, arguments| compare(Comparison::Equal, value, arguments),
        "!=" | "ne" => |value, arguments| compare(Comparison::NotEqual, value, arguments),
        ">" | "gt" | "greaterthan" => |value, arguments| compare(Comparison::Greater, value, arguments),
        ">=" | "ge" => |value, arguments| compare(Comparison::GreaterOrEqual, value, arguments),
        "<" | "lt" | "lessthan" => |value, arguments| compare(Comparison::Less, value, arguments),
        "<=" | "le" => |value, arguments| compare(Comparison::LessOrEqual, value, arguments),
    })
}

fn compare(comparison: Comparison, value: &Value, arguments: Arguments) -> Result<bool> {
    let [other] = arguments.bind("comparison", ["other"])?;
    operators::compare(comparison, value, &required(other, "comparison", "other")?)
}

/// Whether `value % divisor` is a number.
fn remains(value: &Value, divisor: &Value, number: i128) -> Result<bool> {
    Ok(operators::binary(Binary::Remainder, value, divisor)?.equals(&Value::Int(number)))
}
