//! What can be called: global functions, methods of values, and macros.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::arguments::{Arguments, index, integer, required, string};
use crate::ast;
use crate::error::{Error, ErrorKind, Result};
use crate::python::repr;
use crate::python::time::{self, Clock};
use crate::scopes::ScopeId;
use crate::text::{Text, TextBuilder};
use crate::value::{Dict, Key, Range, Value};

/// Something that a template can call.
#[derive(Debug)]
pub(crate) enum Function {
    /// `raise_exception(message)`
    RaiseException,
    /// `strftime_now(format)`
    StrftimeNow(Clock),
    /// `range(start, stop, step)`
    Range,
    /// `namespace(...)`
    Namespace,
    /// `dict(...)`
    Dict,
    /// `joiner(separator)`
    Joiner,
    /// What `joiner` gives: nothing at its first call, the separator from then on.
    Separator {
        /// The separator.
        separator: Value,
        /// Whether it was called.
        called: Cell<bool>,
    },
    /// A method of a value.
    Method {
        /// The value.
        receiver: Value,
        /// One of the names in [`crate::methods`].
        name: &'static str,
    },
    /// A macro, or the body of a `call`.
    Macro {
        /// What it does.
        definition: Rc<ast::Macro>,
        /// Where the names of its body are looked up.
        scope: ScopeId,
    },
}

/// The longest range that Jinja's sandbox allows.
const MAX_RANGE: usize = 100_000;

/// A global function by name. Without a clock there is no `strftime_now`, which templates can test for.
pub(crate) fn global(name: &str, clock: Option<Clock>) -> Option<Value> {
    let function = match name {
        "raise_exception" => Function::RaiseException,
        "strftime_now" => Function::StrftimeNow(clock?),
        "range" => Function::Range,
        "namespace" => Function::Namespace,
        "dict" => Function::Dict,
        "joiner" => Function::Joiner,
        _ => return None,
    };
    Some(Value::Function(Rc::new(function)))
}

impl Function {
    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        match self {
            Function::RaiseException => "raise_exception",
            Function::StrftimeNow(_) => "strftime_now",
            Function::Range => "range",
            Function::Namespace => "namespace",
            Function::Dict => "dict",
            Function::Joiner | Function::Separator { .. } => "joiner",
            Function::Method { name, .. } => name,
            Function::Macro { definition, .. } => &definition.name,
        }
    }
}

/// `raise_exception(message)`: always an error.
pub(crate) fn raise_exception(arguments: Arguments) -> Result<Value> {
    let [message] = arguments.bind("raise_exception", ["message"])?;
    let message = repr::text(&required(message, "raise_exception", "message")?)?;
    Err(Error::new(ErrorKind::Raised, message.as_str()))
}

/// `strftime_now(format)`: what it prints has the origin of its format.
pub(crate) fn strftime_now(clock: Clock, arguments: Arguments) -> Result<Value> {
    let [format] = arguments.bind("strftime_now", ["format"])?;
    let format = string(&required(format, "strftime_now", "format")?)?;
    let mut out = TextBuilder::default();
    for (piece, origin) in format.runs() {
        out.push_str(&time::strftime(clock, piece), origin);
    }
    Ok(Value::Str(out.finish()))
}

/// `range(stop)` and `range(start, stop, step)`.
pub(crate) fn range(arguments: Arguments) -> Result<Value> {
    if !arguments.named.is_empty() {
        return Err(Error::operation("range() takes no keyword arguments"));
    }
    let numbers = arguments.positional.iter().map(integer).collect::<Result<Vec<_>>>()?;
    let (start, stop, step) = match numbers[..] {
        [stop] => (0, stop, 1),
        [start, stop] => (start, stop, 1),
        [start, stop, step] if step != 0 => (start, stop, step),
        [_, _, _] => return Err(Error::operation("range() arg 3 must not be zero")),
        _ => return Err(Error::operation("range() takes 1 to 3 arguments")),
    };
    let distance = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) }.max(0);
    let magnitude = step.saturating_abs();
    let len = distance / magnitude + i128::from(distance % magnitude != 0);
    match usize::try_from(len) {
        Ok(len) if len <= MAX_RANGE => Ok(Value::Range(Range { start, len, step })),
        _ => Err(Error::new(ErrorKind::Limit, format!("a range may not have more than {MAX_RANGE} numbers"))),
    }
}

/// `namespace(...)`, which allows no name that begins with an underscore.
pub(crate) fn namespace(arguments: Arguments) -> Result<Value> {
    let dict = dict(arguments)?;
    for name in dict.keys() {
        check_attribute(name)?;
    }
    Ok(Value::Namespace(Rc::new(RefCell::new(dict))))
}

/// That a namespace may have an attribute of this name.
pub(crate) fn check_attribute(name: &Value) -> Result<()> {
    match name {
        Value::Str(name) if name.as_str().starts_with('_') => {
            Err(Error::operation(format!("a namespace cannot have an attribute named '{}'", name.as_str())))
        }
        _ => Ok(()),
    }
}

/// `dict(...)`: of a dictionary or of pairs, then of named arguments.
pub(crate) fn dict(arguments: Arguments) -> Result<Dict> {
    let mut dict = match &arguments.positional[..] {
        [] => Dict::default(),
        [Value::Dict(dict)] => Dict::clone(dict),
        [Value::Namespace(namespace)] => namespace.borrow().clone(),
        [pairs] => {
            let mut dict = Dict::default();
            for pair in pairs.iterate()? {
                let [key, value] = <[Value; 2]>::try_from(pair.iterate()?)
                    .map_err(|_| Error::operation("dict() needs pairs of a key and a value"))?;
                dict.insert(Key::new(key)?, value);
            }
            dict
        }
        _ => return Err(Error::operation("dict expected at most 1 argument")),
    };
    for (name, value) in arguments.named {
        dict.insert_text(name, value);
    }
    Ok(dict)
}

/// `joiner(separator)`
pub(crate) fn joiner(arguments: Arguments) -> Result<Value> {
    let [separator] = arguments.bind("joiner", ["sep"])?;
    let separator = separator.unwrap_or_else(|| Value::template(", "));
    Ok(Value::Function(Rc::new(Function::Separator { separator, called: Cell::new(false) })))
}

/// `dict.fromkeys(keys, value)`.
pub(crate) fn dict_from_keys(arguments: Arguments) -> Result<Value> {
    let [keys, value] = arguments.bind("fromkeys", ["iterable", "value"])?;
    let value = value.unwrap_or(Value::None);
    let mut dict = Dict::default();
    for key in required(keys, "fromkeys", "iterable")?.iterate()? {
        dict.insert(Key::new(key)?, value.clone());
    }
    Ok(Value::dict(dict))
}

/// `text * times`, within reason.
pub(crate) fn repeat(text: &Text, times: &Value) -> Result<Text> {
    let times = repetitions(text.as_str().len(), times)?;
    let mut out = TextBuilder::default();
    (0..times).for_each(|_| out.push(text));
    Ok(out.finish().with_markup(text.is_markup()))
}

/// How often something of a length may be repeated.
pub(crate) fn repetitions(len: usize, times: &Value) -> Result<usize> {
    const MAX_LEN: usize = 1 << 26;
    let times = usize::try_from(index(times)?).unwrap_or(0);
    if len == 0 {
        return Ok(0);
    }
    match len.checked_mul(times) {
        Some(total) if total <= MAX_LEN => Ok(times),
        _ => Err(Error::new(ErrorKind::Limit, "a repetition is too large")),
    }
}
