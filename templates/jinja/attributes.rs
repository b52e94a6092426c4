//! Attributes, items and slices: `value.name`, `value[key]`, `value[start:stop:step]`.
//!
//! As in Jinja2 over Python, an attribute is looked for among the type's methods first, and then among the items;
//! with brackets it is the other way round. What is not found is undefined, not an error.

use std::rc::Rc;

use crate::arguments::index;
use crate::error::{Error, Result};
use crate::functions::Function;
use crate::methods;
use crate::python::repr;
use crate::text::{Text, TextBuilder};
use crate::value::{Key, Missing, Value};

/// `value.name`
pub(crate) fn attribute(value: &Value, name: &Rc<str>) -> Result<Value> {
    if let Some(found) = own_attribute(value, name)? {
        return Ok(found);
    }
    let item = match value {
        Value::Dict(dict) => dict.get_str(name).cloned(),
        _ => None,
    };
    Ok(item.unwrap_or_else(|| no_attribute(value, name.clone())))
}

/// `value[key]`
pub(crate) fn item(value: &Value, key: &Value) -> Result<Value> {
    if let Some(found) = own_item(value, key)? {
        return Ok(found);
    }
    if let Value::Str(name) = key {
        let name = name.as_str();
        return Ok(own_attribute(value, name)?.unwrap_or_else(|| no_attribute(value, name.into())));
    }
    let key = repr::repr(key)?.as_str().to_owned();
    Ok(Value::undefined(Missing::Element(value.type_name(), key)))
}

fn no_attribute(value: &Value, name: Rc<str>) -> Value {
    Value::undefined(Missing::Attribute(value.type_name(), name))
}

/// What Python's `getattr` finds.
fn own_attribute(value: &Value, name: &str) -> Result<Option<Value>> {
    let found = match value {
        Value::Undefined(missing) => return Err(missing.error()),
        Value::Namespace(namespace) => return Ok(namespace.borrow().get_str(name).cloned()),
        Value::Loop(state) => state.attribute(name),
        Value::Tuple(tuple) => {
            tuple.fields.iter().zip(&tuple.items).find(|(field, _)| **field == name).map(|(_, item)| item.clone())
        }
        Value::Function(function) => match (&**function, name) {
            (Function::Macro { definition, .. }, "name") => Some(Value::template(&definition.name)),
            _ => None,
        },
        _ => None,
    };
    if found.is_some() {
        return Ok(found);
    }
    if methods::is_mutating(value, name) {
        // The sandbox of transformers hands out no method that changes its receiver.
        return Ok(Some(Value::undefined(Missing::Because("a chat template cannot change a list or a dictionary"))));
    }
    let method = methods::find(value, name);
    Ok(method.map(|name| Value::Function(Rc::new(Function::Method { receiver: value.clone(), name }))))
}

/// What Python's `value[key]` finds.
fn own_item(value: &Value, key: &Value) -> Result<Option<Value>> {
    // An index of a sequence of `len` items, counted from the end if it is negative.
    let position = |len: usize| {
        let index = key.integer()?;
        let index = if index < 0 { index + len as i128 } else { index };
        usize::try_from(index).ok().filter(|index| *index < len)
    };
    Ok(match value {
        Value::Undefined(missing) => return Err(missing.error()),
        Value::Dict(dict) => match key {
            Value::Str(name) => dict.get_str(name.as_str()).cloned(),
            _ => Key::new(key.clone()).ok().and_then(|key| dict.get(&key).cloned()),
        },
        Value::List(items) => position(items.len()).map(|at| items[at].clone()),
        Value::Tuple(tuple) => position(tuple.items.len()).map(|at| tuple.items[at].clone()),
        Value::Range(range) => position(range.len).map(|at| range.at(at)),
        Value::Str(text) => {
            let borders = text.borders();
            position(borders.len() - 1).map(|at| Value::Str(text.slice(borders[at]..borders[at + 1])))
        }
        _ => None,
    })
}

/// `value[start:stop:step]`; unlike an item, what cannot be sliced is an error.
pub(crate) fn slice(value: &Value, parts: [Option<Value>; 3]) -> Result<Value> {
    let mut bounds = [None; 3];
    for (bound, part) in bounds.iter_mut().zip(&parts) {
        *bound = match part {
            None | Some(Value::None) => None,
            Some(part) => Some(index(part)?),
        };
    }
    let positions = |len: usize| positions(len, bounds);
    let of =
        |items: &[Value]| -> Option<Vec<Value>> { Some(positions(items.len())?.map(|at| items[at].clone()).collect()) };
    let sliced = match value {
        Value::Undefined(missing) => return Err(missing.error()),
        Value::Str(text) => slice_text(text, bounds).map(Value::Str),
        Value::List(items) => of(items).map(Value::list),
        Value::Tuple(tuple) => of(&tuple.items).map(Value::tuple),
        Value::Range(range) => positions(range.len).map(|at| Value::list(at.map(|at| range.at(at)).collect())),
        _ => return Err(Error::operation(format!("a value of type '{}' has no slices", value.type_name()))),
    };
    sliced.ok_or_else(|| Error::operation("slice step cannot be zero"))
}

fn slice_text(text: &Text, bounds: [Option<isize>; 3]) -> Option<Text> {
    let borders = text.borders();
    let mut positions = positions(borders.len() - 1, bounds)?;
    if bounds[2].unwrap_or(1) == 1 {
        let first = positions.next();
        let last = positions.last().or(first);
        return Some(match (first, last) {
            (Some(first), Some(last)) => text.slice(borders[first]..borders[last + 1]),
            _ => Text::template("").with_markup(text.is_markup()),
        });
    }
    let mut out = TextBuilder::default();
    positions.for_each(|at| out.push_slice(text, borders[at]..borders[at + 1]));
    Some(out.finish().with_markup(text.is_markup()))
}

/// The positions that a slice selects of `len`; `None` for a step of zero.
fn positions(len: usize, [start, stop, step]: [Option<isize>; 3]) -> Option<impl Iterator<Item = usize>> {
    let len = isize::try_from(len).unwrap_or(isize::MAX);
    let step = step.unwrap_or(1);
    if step == 0 {
        return None;
    }
    let (lowest, highest) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let clamp = |bound: Option<isize>, default: isize| match bound {
        Some(bound) if bound < 0 => bound.saturating_add(len).max(lowest),
        Some(bound) => bound.min(highest),
        None => default,
    };
    let (start, stop) = match step > 0 {
        true => (clamp(start, lowest), clamp(stop, highest)),
        false => (clamp(start, highest), clamp(stop, lowest)),
    };
    let mut next = Some(start);
    Some(std::iter::from_fn(move || {
        let at = next.filter(|at| if step > 0 { *at < stop } else { *at > stop })?;
        next = at.checked_add(step);
        usize::try_from(at).ok()
    }))
}
