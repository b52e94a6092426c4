//! What the policy can be told.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// The parameters of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameters {
    /// A token stays if it is at least so many times as likely as the best: 0 to 1.
    pub(crate) min_p: f32,
    /// The scores of those that stay are divided by it; 0 takes the best token.
    pub(crate) temperature: f32,
}

impl Parameters {
    /// Reads a JSON object such as `{"min_p": 0.1, "temperature": 0.8}`.
    ///
    /// # Errors
    /// A sentence that names the parameter that is wrong.
    pub(crate) fn parse(json: &str) -> Result<Self, String> {
        let fields: Map<String, Value> =
            serde_json::from_str(json).map_err(|error| format!("the parameters must be a JSON object: {error}"))?;
        let mut parameters = Self { min_p: 0.1, temperature: 1.0 };
        for (name, value) in &fields {
            match name.as_str() {
                "min_p" => parameters.min_p = number(name, value, 0.0..=1.0)?,
                "temperature" => parameters.temperature = number(name, value, 0.0..=100.0)?,
                _ => return Err(format!("`{name}` is not a parameter of this policy; it has min_p and temperature")),
            }
        }
        Ok(parameters)
    }
}

fn number(name: &str, value: &Value, range: RangeInclusive<f64>) -> Result<f32, String> {
    match value.as_f64() {
        Some(number) if range.contains(&number) => Ok(number as f32),
        _ => Err(format!("`{name}` must be a number from {} to {}, not {value}", range.start(), range.end())),
    }
}
