//! Filters that select, order and regroup.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::arguments::{Arguments, index, required, string};
use crate::attributes;
use crate::error::{Error, Result};
use crate::predicates;
use crate::value::{Key, Tuple, Value};

use super::{Path, callee_name, empty, find, flag, ignoring_case, sorted_by_key};

pub(super) fn attr(value: Value, arguments: Arguments) -> Result<Value> {
    let [name] = arguments.bind("attr", ["name"])?;
    let name = string(&required(name, "attr", "name")?)?;
    match value {
        // Unlike a dot, this finds no items.
        Value::Dict(_) => attributes::attribute(&Value::dict(Default::default()), &name.as_str().into()),
        value => attributes::attribute(&value, &name.as_str().into()),
    }
}

pub(super) fn length(value: Value, arguments: Arguments) -> Result<Value> {
    arguments.none("length")?;
    let length = value.len();
    let length = length.ok_or_else(|| Error::operation(format!("object of type '{}' has no len()", value.type_name())));
    Ok(Value::Int(length? as i128))
}

pub(super) fn default(value: Value, arguments: Arguments) -> Result<Value> {
    let [default, boolean] = arguments.bind("default", ["default_value", "boolean"])?;
    let replaced = matches!(value, Value::Undefined(_)) || (flag(boolean) && !value.is_true());
    Ok(if replaced { default.unwrap_or_else(|| Value::template("")) } else { value })
}

pub(super) fn list(value: Value, arguments: Arguments) -> Result<Value> {
    arguments.none("list")?;
    value.iterate().map(Value::list)
}

pub(super) fn items(value: Value, arguments: Arguments) -> Result<Value> {
    arguments.none("items")?;
    match &value {
        Value::Undefined(_) => Ok(Value::iterator(Vec::new())),
        Value::Dict(dict) => {
            let pairs = dict.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()]));
            Ok(Value::iterator(pairs.collect()))
        }
        _ => Err(Error::operation("Can only get item pairs from a mapping.")),
    }
}

pub(super) fn first(value: Value, arguments: Arguments) -> Result<Value> {
    arguments.none("first")?;
    let first = match &value {
        Value::Iterator(stream) => stream.borrow_mut().next()?,
        _ => value.iterate()?.into_iter().next(),
    };
    Ok(first.unwrap_or_else(|| empty("No first item, sequence was empty.")))
}

pub(super) fn last(value: Value, arguments: Arguments) -> Result<Value> {
    arguments.none("last")?;
    let last = reversible(&value)?.pop();
    Ok(last.unwrap_or_else(|| empty("No last item, sequence was empty.")))
}

/// The items of something that Python can walk backwards.
fn reversible(value: &Value) -> Result<Vec<Value>> {
    match value {
        Value::Iterator(_) => Err(Error::operation(format!("'{}' object is not reversible", value.type_name()))),
        _ => value.iterate(),
    }
}

pub(super) fn reverse(value: Value, arguments: Arguments) -> Result<Value> {
    arguments.none("reverse")?;
    if let Value::Str(_) = value {
        return attributes::slice(&value, [None, None, Some(Value::Int(-1))]);
    }
    let mut items = value.iterate()?;
    items.reverse();
    Ok(match value {
        Value::Iterator(_) => Value::list(items),
        _ => Value::iterator(items),
    })
}

pub(super) fn batch(value: Value, arguments: Arguments) -> Result<Value> {
    let [size, fill] = arguments.bind("batch", ["linecount", "fill_with"])?;
    let size = usize::try_from(index(&required(size, "batch", "linecount")?)?).unwrap_or(0).max(1);
    let fill = fill.filter(|fill| !matches!(fill, Value::None));
    let items = value.iterate()?;
    let batches = items.chunks(size).map(|batch| {
        let mut batch = batch.to_vec();
        if let Some(fill) = &fill {
            // A batch far larger than its items would only be fill.
            batch.resize(size.min(items.len().max(batch.len()) + (1 << 16)), fill.clone());
        }
        Value::list(batch)
    });
    Ok(Value::iterator(batches.collect()))
}

pub(super) fn slice(value: Value, arguments: Arguments) -> Result<Value> {
    let [slices, fill] = arguments.bind("slice", ["slices", "fill_with"])?;
    let slices = index(&required(slices, "slice", "slices")?)?;
    let items = value.iterate()?;
    let count = match usize::try_from(slices) {
        Ok(0) => return Err(Error::operation("integer division or modulo by zero")),
        Ok(count) => crate::functions::repetitions(1, &Value::Int(count as i128))?,
        Err(_) => 0,
    };
    let (each, longer) = (items.len() / count.max(1), items.len() % count.max(1));
    let mut rest = &items[..];
    let slices = (0..count).map(|at| {
        let (slice, after) = rest.split_at(each + usize::from(at < longer));
        rest = after;
        let mut slice = slice.to_vec();
        slice.extend(fill.clone().filter(|fill| at >= longer && !matches!(fill, Value::None)));
        Value::list(slice)
    });
    Ok(Value::iterator(slices.collect()))
}

pub(super) fn dictsort(value: Value, arguments: Arguments) -> Result<Value> {
    let [case_sensitive, by, reverse] = arguments.bind("dictsort", ["case_sensitive", "by", "reverse"])?;
    let by_value = match by {
        Some(by) => match string(&by)?.as_str() {
            "key" => false,
            "value" => true,
            _ => return Err(Error::operation("You can only sort by either \"key\" or \"value\"")),
        },
        None => false,
    };
    let Value::Dict(dict) = &value else {
        return Err(Error::operation(format!("'{}' object has no attribute 'items'", value.type_name())));
    };
    let case_sensitive = flag(case_sensitive);
    let pairs = dict.iter().map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()])).collect();
    let sorted = sorted_by_key(pairs, flag(reverse), |pair| {
        let part = attributes::item(pair, &Value::Int(i128::from(by_value)))?;
        Ok(if case_sensitive { part } else { ignoring_case(part) })
    });
    Ok(Value::list(sorted?.into_iter().map(|(_, pair)| pair).collect()))
}

pub(super) fn sort(value: Value, arguments: Arguments) -> Result<Value> {
    let [reverse, case_sensitive, attribute] = arguments.bind("sort", ["reverse", "case_sensitive", "attribute"])?;
    let ignore_case = !flag(case_sensitive);
    let paths = match &attribute {
        Some(Value::Str(paths)) => {
            let each = |path: &str| Path::new(Some(Value::template(path)), ignore_case);
            paths.as_str().split(',').map(each).collect::<Result<Vec<_>>>()?
        }
        _ => vec![Path::new(attribute, ignore_case)?],
    };
    let key = |item: &Value| Ok(Value::list(paths.iter().map(|path| path.get(item)).collect::<Result<_>>()?));
    let sorted = sorted_by_key(value.iterate()?, flag(reverse), key)?;
    Ok(Value::list(sorted.into_iter().map(|(_, item)| item).collect()))
}

pub(super) fn unique(value: Value, arguments: Arguments) -> Result<Value> {
    let [case_sensitive, attribute] = arguments.bind("unique", ["case_sensitive", "attribute"])?;
    let path = Path::new(attribute, !flag(case_sensitive))?;
    let mut seen = indexmap::IndexSet::new();
    Ok(Value::lazy(value.iterate()?, |item, out| {
        if seen.insert(Key::new(path.get(&item)?)?) {
            out.push(item);
        }
        Ok(())
    }))
}

pub(super) fn min(value: Value, arguments: Arguments) -> Result<Value> {
    extreme(value, arguments, "min", Ordering::Less)
}

pub(super) fn max(value: Value, arguments: Arguments) -> Result<Value> {
    extreme(value, arguments, "max", Ordering::Greater)
}

/// The first item that no other exceeds in the wanted direction.
fn extreme(value: Value, arguments: Arguments, name: &str, wanted: Ordering) -> Result<Value> {
    let [case_sensitive, attribute] = arguments.bind(name, ["case_sensitive", "attribute"])?;
    let path = Path::new(attribute, !flag(case_sensitive))?;
    let mut best: Option<(Value, Value)> = None;
    for item in value.iterate()? {
        let key = path.get(&item)?;
        let better = match &best {
            Some((best, _)) => key.compare(best)? == Some(wanted),
            None => true,
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or_else(|| empty("No aggregated item, sequence was empty."), |(_, item)| item))
}

pub(super) fn groupby(value: Value, arguments: Arguments) -> Result<Value> {
    let [attribute, default, case_sensitive] = arguments.bind("groupby", ["attribute", "default", "case_sensitive"])?;
    let attribute = required(attribute, "groupby", "attribute")?;
    let default = default.filter(|default| !matches!(default, Value::None));
    let path = |ignore_case| -> Result<Path> {
        Ok(Path { default: default.clone(), ..Path::new(Some(attribute.clone()), ignore_case)? })
    };
    let (compared, shown) = (path(!flag(case_sensitive))?, path(false)?);
    let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
    for (key, item) in sorted_by_key(value.iterate()?, false, |item| compared.get(item))? {
        match groups.last_mut() {
            Some((last, items)) if last.equals(&key) => items.push(item),
            _ => groups.push((key, vec![item])),
        }
    }
    let groups = groups.into_iter().map(|(_, items)| {
        let items = vec![shown.get(&items[0])?, Value::list(items)];
        Ok(Value::Tuple(Rc::new(Tuple { items, fields: &["grouper", "list"] })))
    });
    groups.collect::<Result<_>>().map(Value::list)
}

pub(super) fn map(value: Value, mut arguments: Arguments) -> Result<Value> {
    // Jinja asks first whether there is anything to walk, so that nothing is as good as an empty list.
    if !value.is_true() {
        return Ok(Value::iterator(Vec::new()));
    }
    if arguments.positional.is_empty() {
        let [attribute, default] = arguments.bind("map", ["attribute", "default"])?;
        let attribute = required(attribute, "map", "attribute")?;
        let default = default.filter(|default| !matches!(default, Value::None));
        let path = Path { default, ..Path::new(Some(attribute), false)? };
        return Ok(Value::lazy(value.iterate()?, |item, out| {
            out.push(path.get(&item)?);
            Ok(())
        }));
    }
    let name = callee_name(&arguments.positional.remove(0))?;
    let filter = find(&name).ok_or_else(|| Error::operation(format!("No filter named '{name}'.")))?;
    Ok(Value::lazy(value.iterate()?, |item, out| {
        out.push(filter(item, arguments.clone())?);
        Ok(())
    }))
}

pub(super) fn select(value: Value, arguments: Arguments) -> Result<Value> {
    selected(value, arguments, false, true)
}

pub(super) fn reject(value: Value, arguments: Arguments) -> Result<Value> {
    selected(value, arguments, false, false)
}

pub(super) fn selectattr(value: Value, arguments: Arguments) -> Result<Value> {
    selected(value, arguments, true, true)
}

pub(super) fn rejectattr(value: Value, arguments: Arguments) -> Result<Value> {
    selected(value, arguments, true, false)
}

/// The items, or those whose attribute, a test finds to be as wanted; without a test, their truth does.
fn selected(value: Value, mut arguments: Arguments, by_attribute: bool, wanted: bool) -> Result<Value> {
    if !value.is_true() {
        return Ok(Value::iterator(Vec::new()));
    }
    let path = match by_attribute {
        true if arguments.positional.is_empty() => {
            return Err(Error::operation("Missing parameter for attribute name"));
        }
        true => Path::new(Some(arguments.positional.remove(0)), false)?,
        false => Path::new(None, false)?,
    };
    let predicate = match arguments.positional.is_empty() {
        true => None,
        false => {
            let name = callee_name(&arguments.positional.remove(0))?;
            let predicate = predicates::find(&name);
            Some(predicate.ok_or_else(|| Error::operation(format!("No test named '{name}'.")))?)
        }
    };
    Ok(Value::lazy(value.iterate()?, |item, out| {
        let subject = path.get(&item)?;
        let holds = match predicate {
            Some(predicate) => predicate(&subject, arguments.clone())?,
            None => subject.is_true(),
        };
        if holds == wanted {
            out.push(item);
        }
        Ok(())
    }))
}
