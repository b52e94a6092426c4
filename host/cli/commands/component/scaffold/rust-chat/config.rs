//! What the user may set.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::bindings::wasmlx::runner::contexts::GenerateOptions;
use crate::bindings::wasmlx::runner::types::Error;

pub(crate) struct Config {
    /// For the template: a JSON object such as `{"enable_thinking": false}`.
    pub(crate) options: String,
    pub(crate) generate: GenerateOptions,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    options: Map<String, Value>,
    max_tokens: Option<u32>,
    stop: Vec<String>,
    seed: Option<u64>,
}

impl Config {
    /// Reads a JSON object, everything in it optional.
    pub(crate) fn parse(json: &str) -> Result<Self, Error> {
        let fields: Fields = serde_json::from_str(json)
            .map_err(|error| Error::InvalidInput(format!("the chat's configuration cannot be used: {error}")))?;
        let Fields { options, max_tokens, stop: stops, seed } = fields;
        let generate = GenerateOptions { max_tokens, stops, seed, tools: Vec::new(), grammar: None };
        Ok(Self { options: Value::Object(options).to_string(), generate })
    }
}
