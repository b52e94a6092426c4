//! Cassettes: runs of chats and agents on a real model, recorded with all that the model, templates, tools and the
//! network answered, and played back without any of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wasmlx_components::{Component, ComponentKind, Divergence, Tape, TapedCall};
use wasmlx_engine::CancelToken;

use super::case_host::{CaseHost, tools};
use super::rewrite;
use super::{Case, CaseOutcome, chat, field, lines, refuse_unknown, runtime};
use crate::embed::error::{Error, ErrorKind, Result};
use crate::embed::model::Model;
use crate::embed::tool::Tool;

/// What the names of cassettes end with.
pub(super) const EXTENSION: &str = ".cassette.json";

/// The version of the form that is read and written.
const VERSION: u32 = 1;

/// The most tokens of a generation, where the run does not say.
const MAX_TOKENS: usize = 256;

/// What both kinds of runs may have, chats, and agents.
const FIELDS: [&str; 6] = ["tools", "results", "sampler_params", "seed", "max_tokens", "now"];
const CHAT_FIELDS: [&str; 3] = ["config", "log", "turns"];
const AGENT_FIELDS: [&str; 7] = ["args", "read", "write", "kv", "env", "http", "store"];

/// A cassette: what is run, and once it was what happened.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cassette {
    cassette: u32,
    pub(super) name: String,
    run: Case,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calls: Option<Vec<TapedCall>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Value>,
}

impl Cassette {
    /// Reads one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for what is none, or one of another version.
    pub(super) fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            cassette: u32,
        }
        let invalid = |why: &dyn std::fmt::Display| {
            Error::new(ErrorKind::InvalidInput, format_args!("{} is no cassette: {why}", path.display()))
        };
        let text = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
        let Versioned { cassette } = serde_json::from_slice(&text).map_err(|error| invalid(&error))?;
        if cassette != VERSION {
            let message = format_args!("{} is a cassette of version {cassette}, not {VERSION}", path.display());
            return Err(Error::new(ErrorKind::InvalidInput, message).with_hint(format_args!(
                "write \"cassette\": {VERSION} with its name and its run, and record it anew: wasmlx test PATH --record"
            )));
        }
        serde_json::from_slice(&text).map_err(|error| invalid(&error))
    }

    /// The same as the JSON object that it is.
    pub(super) fn into_case(self) -> Case {
        // It was JSON before.
        serde_json::to_value(self).ok().and_then(|value| value.as_object().cloned()).unwrap_or_default()
    }

    /// The one that an object is.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn of_case(case: &Case) -> std::result::Result<Self, String> {
        serde_json::from_value(Value::Object(case.clone())).map_err(|error| error.to_string())
    }

    /// Writes it in the place of the file that it was read from.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        rewrite::write(path, &(rewrite::pretty(self) + "\n")).map_err(|error| Error::io("write", path, &error))
    }

    /// Plays it. An outcome that is another one, after the very calls that were recorded, is what is to be kept instead.
    ///
    /// # Errors
    /// What is wrong with the cassette.
    pub(super) fn play(
        &self,
        component: &Component,
        cancel: &CancelToken,
    ) -> std::result::Result<(CaseOutcome, Option<Self>), String> {
        let (Some(calls), Some(expected)) = (&self.calls, &self.outcome) else {
            return Err(
                "it was not recorded yet: `wasmlx test PATH --record` does it, on the built-in model".to_owned()
            );
        };
        let tape = Tape::playing(calls.clone());
        let host = CaseHost::played(component, &self.run, Arc::clone(&tape))?;
        let outcome = self.perform(component, host, cancel)?;
        if let Some(divergence) = tape.divergence() {
            return Ok((diverged(&divergence, calls.len()), None));
        }
        let compared = CaseOutcome::of(lines(expected), lines(&outcome));
        let mended = (compared != CaseOutcome::Passed).then(|| Self {
            name: self.name.clone(),
            run: self.run.clone(),
            calls: self.calls.clone(),
            outcome: Some(outcome),
            ..*self
        });
        Ok((compared, mended))
    }

    /// Runs it on a model, and keeps what happens. A run that fails does not take the place of one that did not: what it
    /// needed besides the model, a server say, may only be missing.
    ///
    /// # Errors
    /// What is wrong with the cassette; what the model or the component cannot be run for, or the run failed for.
    pub(super) fn record(
        &mut self,
        component: &Component,
        model: &Model,
        cancel: &CancelToken,
    ) -> std::result::Result<(), String> {
        let params = field::<Map<String, Value>>(&self.run, "sampler_params")?;
        let params = params.unwrap_or_else(|| Map::from_iter([("temperature".to_owned(), json!(0))]));
        let max_tokens = field(&self.run, "max_tokens")?.unwrap_or(MAX_TOKENS);
        let seed = field(&self.run, "seed")?.unwrap_or(0);
        let mut builder = model.chat().sampler_params(params).max_tokens(max_tokens).seed(seed);
        // The case calls them; that there are some decides which template a model has.
        for offered in tools(&self.run)? {
            let tool = offered.tool;
            builder = builder.tool(Tool::declared(tool.name, tool.description, tool.parameters));
        }
        let server = runtime()?.block_on(builder.serve()).map_err(|error| error.to_string())?;
        let tape = Tape::recording();
        let host = CaseHost::recorded(component, &self.run, Arc::clone(&tape), server)?;
        let outcome = self.perform(component, host, cancel)?;
        if let Some(error) = failure(&outcome)
            && self.outcome.as_ref().is_some_and(|before| failure(before).is_none())
        {
            return Err(format!(
                "the run fails now, and what was recorded before is kept: {error}. Where that is what it is to do, take \
                 `calls` and `outcome` out of the file first"
            ));
        }
        (self.calls, self.outcome) = (Some(tape.calls()), Some(outcome));
        Ok(())
    }

    /// Runs what it says.
    fn perform(
        &self,
        component: &Component,
        host: CaseHost,
        cancel: &CancelToken,
    ) -> std::result::Result<Value, String> {
        let own = match component.kind() {
            ComponentKind::Chat => &CHAT_FIELDS[..],
            ComponentKind::Agent => &AGENT_FIELDS[..],
            kind => return Err(format!("cassettes are of chats and agents; this component is a {kind}")),
        };
        refuse_unknown("`run`", &self.run, &[own, &FIELDS].concat())?;
        match component.kind() {
            #[cfg(feature = "agents")]
            ComponentKind::Agent => super::agent::perform(component, &self.run, host, cancel),
            _ => chat::perform(component, &self.run, &Arc::new(host), cancel),
        }
    }
}

/// The error that a run ended with, a chat's in its last turn.
fn failure(outcome: &Value) -> Option<&str> {
    let last = outcome.get("turns").and_then(|turns| turns.as_array()?.last());
    last.unwrap_or(outcome).get("error")?.as_str()
}

/// A divergence for a person.
fn diverged(Divergence { number, expected, got }: &Divergence, count: usize) -> CaseOutcome {
    let told = |call: &Option<(String, Map<String, Value>)>, none: &str| match call {
        Some((call, arguments)) => format!("call {number} of the {count} recorded: {call}\n{}", lines(arguments)),
        None => format!("call {number} of the {count} recorded: {none}"),
    };
    CaseOutcome::Failed { expected: told(expected, "none, the recording has ended"), got: told(got, "none was made") }
}
