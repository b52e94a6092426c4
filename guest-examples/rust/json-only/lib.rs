//! Answers that are JSON and nothing else, of a schema where one is given.
//!
//! The grammar is the host's: made once, where the request begins, and then laid over the scores of every token. The
//! host knows which tokens the answer has, so there is nothing here to advance. Should this policy fail in the middle,
//! so does the answer: what was streamed by then is the beginning of a JSON text, and no other policy goes on from there.

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::JsonOnly;
    wit_bindgen::generate!({ world: "sampling-policy", path: "../../../wit" });
    export!(JsonOnly with_types_in self);
}

use bindings::exports::wasmlx::runner::policy::{Choice, Guest, GuestPolicy, Op, Policy, StepInfo};
use bindings::wasmlx::runner::grammars::Grammar;
use bindings::wasmlx::runner::logits::Logits;
use bindings::wasmlx::runner::types::{Error, Saved};
use serde::Deserialize;
use serde_json::Value;

struct JsonOnly;

/// The parameters: a JSON object, everything in it optional.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    /// A JSON Schema; any JSON object without it.
    schema: Value,
    temperature: f32,
    /// Traps in place of choosing this many tokens, and one. It shows what becomes of an answer whose policy dies.
    dies_after: Option<u32>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { schema: serde_json::json!({"type": "object"}), temperature: 0.7, dies_after: None }
    }
}

/// One request's policy.
struct Request {
    parameters: Parameters,
    grammar: Grammar,
}

impl Guest for JsonOnly {
    type Policy = Request;

    fn plan(_: String) -> Result<Option<Vec<Op>>, Error> {
        Ok(None)
    }
}

impl GuestPolicy for Request {
    fn open(params: String) -> Result<Policy, Error> {
        let parameters: Parameters = serde_json::from_str(&params)
            .map_err(|error| Error::InvalidInput(format!("the parameters of json-only cannot be used: {error}")))?;
        if !(0.0..=f32::MAX).contains(&parameters.temperature) {
            return Err(Error::InvalidInput("`temperature` must be a number of at least 0".into()));
        }
        let grammar = Grammar::from_json_schema(&parameters.schema.to_string())?;
        Ok(Policy::new(Self { parameters, grammar }))
    }

    fn max_backtrack(&self) -> u32 {
        0
    }

    fn step(&self, info: StepInfo, logits: Logits) -> Result<Choice, Error> {
        if self.parameters.dies_after == Some(info.generated) {
            std::process::abort();
        }
        if self.grammar.is_complete()? {
            return Ok(Choice::Stop);
        }
        logits.constrain(&self.grammar)?;
        if self.parameters.temperature == 0.0 {
            return logits.argmax().map(Choice::Token);
        }
        logits.scale(1.0 / self.parameters.temperature)?;
        logits.sample().map(Choice::Token)
    }

    /// There is nothing to save: the host knows where the answer is in its grammar.
    fn save(&self) -> Saved {
        Saved { version: 1, bytes: Vec::new() }
    }

    fn restore(params: String, saved: Saved) -> Result<Policy, Error> {
        match saved.version {
            1 => Self::open(params),
            other => Err(Error::InvalidInput(format!("json-only reads saved states of version 1, not {other}"))),
        }
    }
}
