//! Methods of dictionaries, lists, tuples and ranges.

use std::rc::Rc;

use crate::arguments::{Arguments, index, required};
use crate::error::{Error, Result};
use crate::value::{Dict, Key, Show, Value, View};

pub(super) fn dict(dict: &Rc<Dict>, name: &str, arguments: Arguments) -> Result<Value> {
    let show = match name {
        "get" => {
            if !arguments.named.is_empty() {
                return Err(Error::operation("dict.get() takes no keyword arguments"));
            }
            let [key, default] = arguments.bind("get", ["key", "default"])?;
            let key = Key::new(required(key, "get", "key")?)?;
            return Ok(dict.get(&key).cloned().or(default).unwrap_or(Value::None));
        }
        "items" => Show::Items,
        "keys" => Show::Keys,
        "values" => Show::Values,
        _ => {
            arguments.none("copy")?;
            return Ok(Value::dict(Dict::clone(dict)));
        }
    };
    arguments.none(name)?;
    Ok(Value::View(Rc::new(View { show, dict: dict.clone() })))
}

pub(super) fn sequence(receiver: &Value, name: &str, arguments: Arguments) -> Result<Value> {
    let items = receiver.iterate()?;
    match name {
        "copy" => {
            arguments.none("copy")?;
            Ok(Value::list(items))
        }
        "count" => {
            let [value] = arguments.bind("count", ["value"])?;
            let value = required(value, "count", "value")?;
            Ok(Value::Int(items.iter().filter(|item| item.equals(&value)).count() as i128))
        }
        _ => {
            let [value, start, stop] = arguments.bind("index", ["value", "start", "stop"])?;
            let value = required(value, "index", "value")?;
            let bound = |bound: Option<Value>, default: usize| match bound {
                Some(bound) => {
                    let bound = index(&bound)?;
                    let bound = if bound < 0 { bound.saturating_add_unsigned(items.len()) } else { bound };
                    Ok(usize::try_from(bound).unwrap_or(0).min(items.len()))
                }
                None => Ok(default),
            };
            let (start, stop) = (bound(start, 0)?, bound(stop, items.len())?);
            let found = (start..stop).find(|at| items[*at].equals(&value));
            found.map(|at| Value::Int(at as i128)).ok_or_else(|| Error::operation("the value is not in the list"))
        }
    }
}
