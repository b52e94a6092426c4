//! What the embedding program may set.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::bindings::wasmlx::runner::contexts::GenerateOptions;
use crate::bindings::wasmlx::runner::types::{Error, Tool};

/// The configuration: a JSON object, everything in it optional.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// For the template: `{"enable_thinking": false}`.
    pub(crate) options: Map<String, Value>,
    /// Of each answer.
    max_tokens: Option<u32>,
    /// Strings at which an answer ends.
    stop: Vec<String>,
    seed: Option<u64>,
    /// How many answers a turn may have: a model that calls tools without end is stopped.
    pub(crate) max_rounds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { options: Map::new(), max_tokens: None, stop: Vec::new(), seed: None, max_rounds: 8 }
    }
}

impl Config {
    pub(crate) fn parse(json: &str) -> Result<Self, Error> {
        let json = if json.is_empty() { "{}" } else { json };
        serde_json::from_str(json)
            .map_err(|error| Error::InvalidInput(format!("the chat's configuration cannot be used: {error}")))
    }

    /// What an answer is to be like, to a prompt that offers these tools.
    pub(crate) fn generate_options(&self, tools: Vec<Tool>) -> GenerateOptions {
        GenerateOptions { max_tokens: self.max_tokens, stops: self.stop.clone(), seed: self.seed, tools, grammar: None }
    }
}
