//! The arguments of a call, matched to the parameters of what is called.

use crate::error::{Error, Result};
use crate::text::Text;
use crate::value::Value;

/// The arguments of a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) positional: Vec<Value>,
    /// By the names they were given; `**` takes names from values, so a name has an origin too.
    pub(crate) named: Vec<(Text, Value)>,
}

impl Arguments {
    /// Takes a named argument out.
    pub(crate) fn take_named(&mut self, name: &str) -> Option<Value> {
        let at = self.named.iter().position(|(named, _)| named.as_str() == name)?;
        Some(self.named.remove(at).1)
    }

    /// The value of each parameter, where it was given; anything beyond the parameters is an error.
    pub(crate) fn bind<const N: usize>(mut self, function: &str, parameters: [&str; N]) -> Result<[Option<Value>; N]> {
        if self.positional.len() > N {
            let message = format!("{function}() takes at most {N} arguments ({} given)", self.positional.len());
            return Err(Error::operation(message));
        }
        let mut positional = std::mem::take(&mut self.positional).into_iter();
        let mut twice = None;
        let values = parameters.map(|parameter| {
            let (by_place, by_name) = (positional.next(), self.take_named(parameter));
            if by_place.is_some() && by_name.is_some() {
                twice = Some(parameter);
            }
            by_place.or(by_name)
        });
        if let Some(parameter) = twice {
            return Err(Error::operation(format!("{function}() got multiple values for argument '{parameter}'")));
        }
        match self.named.first() {
            Some((name, _)) => {
                Err(Error::operation(format!("{function}() got an unexpected keyword argument '{}'", name.as_str())))
            }
            None => Ok(values),
        }
    }

    /// That there are no arguments.
    pub(crate) fn none(self, function: &str) -> Result<()> {
        self.bind(function, []).map(|_: [_; 0]| ())
    }
}

/// A parameter that must be given.
pub(crate) fn required(value: Option<Value>, function: &str, parameter: &str) -> Result<Value> {
    value.ok_or_else(|| Error::operation(format!("{function}() missing argument '{parameter}'")))
}

/// An integer.
pub(crate) fn integer(value: &Value) -> Result<i128> {
    match value {
        Value::Undefined(missing) => Err(missing.error()),
        _ => value.integer().ok_or_else(|| {
            Error::operation(format!("'{}' object cannot be interpreted as an integer", value.type_name()))
        }),
    }
}

/// An integer of the platform's size; one beyond it counts as the nearest.
pub(crate) fn index(value: &Value) -> Result<isize> {
    let value = integer(value)?;
    Ok(isize::try_from(value).unwrap_or(if value < 0 { isize::MIN } else { isize::MAX }))
}

/// A string, and nothing else.
pub(crate) fn string(value: &Value) -> Result<Text> {
    match value {
        Value::Str(text) => Ok(text.clone()),
        Value::Undefined(missing) => Err(missing.error()),
        _ => Err(Error::operation(format!("expected a string, not {}", value.type_name()))),
    }
}
