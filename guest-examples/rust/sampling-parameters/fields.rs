//! Reading parameters one by one, with errors that name them.

use std::fmt;
use std::ops::RangeBounds;
use std::str::FromStr;

use crate::object;

/// Parameters that cannot be used; the text says which, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidParameters(String);

impl fmt::Display for InvalidParameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for InvalidParameters {}

/// The fields of a JSON object, each to be taken by its name; [`Fields::finish`] refuses what nobody took.
#[derive(Debug)]
pub struct Fields<'a> {
    values: Vec<(&'a str, &'a str)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// Takes an object apart. An empty text is an empty object.
    ///
    /// # Errors
    /// The text is no JSON object.
    pub fn parse(json: &'a str) -> Result<Self, InvalidParameters> {
        let json = if json.is_empty() { "{}" } else { json };
        match object::split(json) {
            Ok(values) => Ok(Self { values, known: Vec::new() }),
            Err(why) => Err(InvalidParameters(format!("the parameters are not a JSON object: {why}"))),
        }
    }

    /// A number, if it is there. `wanted` says in words what `range` says in numbers: the code that prints floats
    /// is large.
    ///
    /// # Errors
    /// It is no number of this type, or out of the range.
    pub fn number<T: FromStr + PartialOrd>(
        &mut self,
        name: &'static str,
        range: impl RangeBounds<T>,
        wanted: &str,
    ) -> Result<Option<T>, InvalidParameters> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match number(text) {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(InvalidParameters(format!("`{name}` must be {wanted}, not {text}"))),
        }
    }

    /// An object from token ids to finite numbers; empty if it is not there.
    ///
    /// # Errors
    /// It is something else.
    pub fn token_numbers(&mut self, name: &'static str) -> Result<Vec<(u32, f32)>, InvalidParameters> {
        let Some(text) = self.take(name) else { return Ok(Vec::new()) };
        let pair = |(id, value)| Some((number(id)?, number(value).filter(|value: &f32| value.is_finite())?));
        let pairs = object::split(text).ok().and_then(|fields| fields.into_iter().map(pair).collect());
        pairs.ok_or_else(|| {
            InvalidParameters(format!("`{name}` must be an object from token ids to numbers, not {text}"))
        })
    }

    /// Refuses fields that nobody took: most are misspelt.
    ///
    /// # Errors
    /// Names the first of them, and what could have stood there.
    pub fn finish(self) -> Result<(), InvalidParameters> {
        match self.values.first() {
            None => Ok(()),
            Some((name, _)) => {
                let known = self.known.join(", ");
                Err(InvalidParameters(format!("`{name}` is not a parameter of this policy; it has {known}")))
            }
        }
    }

    /// Of a name that is given twice the last counts, as JSON libraries have it.
    fn take(&mut self, name: &'static str) -> Option<&'a str> {
        self.known.push(name);
        let value = self.values.iter().rfind(|(other, _)| *other == name).map(|&(_, value)| value);
        self.values.retain(|(other, _)| *other != name);
        value
    }
}

/// Rust reads words as numbers that JSON does not (`inf`).
fn number<T: FromStr>(text: &str) -> Option<T> {
    let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if numeric { text.parse().ok() } else { None }
}
