//! Options that several commands share: which model, which components, how to sample.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use wasmlx::{ChatBuilder, ComponentKind, Device, Dtype, ErrorKind, Grant};

use crate::candidates;
use crate::failure::{Failure, Result};

/// The heading of what a command says of its answer. A heading that is set for a flattened group goes on behind it, so
/// each option that follows one names its own.
pub(crate) const ANSWER: &str = "Answer";

/// Which model, and where it runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelOptions {
    /// A name in the store, a Hugging Face id in the store, or a folder; left out, the built-in model
    #[arg(short, long, add = candidates::model())]
    pub(crate) model: Option<String>,
    /// How weights are held in memory; auto: float32 on a CPU, elsewhere as stored
    #[arg(long, value_enum, default_value_t = DtypeName::Auto)]
    pub(crate) dtype: DtypeName,
    /// Where to compute; auto: the GPU if there is one that works
    #[arg(long, value_enum, default_value_t = DeviceName::Auto)]
    pub(crate) device: DeviceName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DtypeName {
    Auto,
    Float32,
    Bfloat16,
    Float16,
}

impl From<DtypeName> for Dtype {
    fn from(name: DtypeName) -> Self {
        match name {
            DtypeName::Auto => Self::Auto,
            DtypeName::Float32 => Self::Float32,
            DtypeName::Bfloat16 => Self::Bfloat16,
            DtypeName::Float16 => Self::Float16,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceName {
    Auto,
    Cpu,
    Gpu,
}

impl From<DeviceName> for Device {
    fn from(name: DeviceName) -> Self {
        match name {
            DeviceName::Auto => Self::Auto,
            DeviceName::Cpu => Self::Cpu,
            DeviceName::Gpu => Self::Gpu,
        }
    }
}

/// How the next token is chosen.
#[derive(Debug, Clone, Default, Args)]
#[command(
    next_help_heading = "Sampling (defaults: the model's generation_config.json, else temperature 0.7, top-p 0.9)"
)]
pub(crate) struct SamplingOptions {
    /// 0 takes the best token each time; higher is more varied
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = at_least_0)]
    pub(crate) temperature: Option<f64>,
    /// Keep the fewest tokens whose probabilities add up to more than P
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = from_0_to_1)]
    pub(crate) top_p: Option<f64>,
    /// Keep the K best tokens; 0 keeps all
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    pub(crate) top_k: Option<u32>,
    /// Keep tokens at least P times as likely as the best
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = from_0_to_1)]
    pub(crate) min_p: Option<f64>,
    /// The same seed gives the same answer
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// More parameters for the sampling policy, a JSON object
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    pub(crate) sampler_params: Option<Map<String, Value>>,
}

impl SamplingOptions {
    /// The parameters that the user gave, by the names that policies know. Those of `--sampler-params` lose to the
    /// options of their own.
    pub(crate) fn parameters(&self) -> Map<String, Value> {
        let mut parameters = self.sampler_params.clone().unwrap_or_default();
        let floats = [("temperature", self.temperature), ("top_p", self.top_p), ("min_p", self.min_p)];
        let given = floats.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
        parameters.extend(given);
        parameters.extend(self.top_k.map(|count| ("top_k".to_owned(), count.into())));
        parameters
    }
}

/// A temperature. Policies compute in float32.
fn at_least_0(text: &str) -> std::result::Result<f64, String> {
    number_in(text, 0.0..=f32::MAX.into(), "a number of at least 0")
}

/// A probability.
fn from_0_to_1(text: &str) -> std::result::Result<f64, String> {
    number_in(text, 0.0..=1.0, "a number from 0 to 1")
}

fn number_in(text: &str, range: RangeInclusive<f64>, wanted: &str) -> std::result::Result<f64, String> {
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| format!("{wanted} is needed"))
}

/// What answers must look like.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GrammarOptions {
    /// Answer with JSON of the JSON Schema in this file, and nothing else. An answer that --max-tokens cuts is
    /// unfinished: its finish_reason is `length`
    #[arg(long, value_name = "FILE")]
    pub(crate) json_schema: Option<PathBuf>,
}

impl GrammarOptions {
    /// The schema that the user gave.
    pub(crate) fn schema(&self) -> Result<Option<Value>> {
        self.json_schema.as_deref().map(read_schema).transpose()
    }
}

/// Reads a JSON Schema.
pub(crate) fn read_schema(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(ErrorKind::Io, format_args!("cannot read {}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(ErrorKind::InvalidInput, format_args!("the JSON Schema {} is not JSON: {error}", path.display()))
    })
}

/// Which components do the work.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Components (a file, a folder, or a name)")]
pub(crate) struct ComponentOptions {
    /// Writes the prompt; left out: the model's own chat template, else ChatML
    #[arg(long, value_name = "COMPONENT", add = candidates::component(ComponentKind::Template))]
    pub(crate) template: Option<String>,
    /// Chooses the tokens; left out: default-policy. One that is named gets the parameters given here and no others
    #[arg(long, value_name = "COMPONENT", add = candidates::component(ComponentKind::Policy))]
    pub(crate) sampler: Option<String>,
    /// Runs the conversation; left out: chat
    #[arg(long, value_name = "COMPONENT", add = candidates::component(ComponentKind::Chat))]
    pub(crate) chat: Option<String>,
    /// Grants the chat or agent what its manifest asks for: model=NAME, http=HOST[:PORT], read=FOLDER, write=FOLDER,
    /// kv=SPACE, env=NAME, store=read, or at most N tokens a minute: tokens=N. May be given more than once
    #[arg(long, value_name = "GRANT")]
    pub(crate) grant: Vec<Grant>,
}

impl ComponentOptions {
    /// Puts the components that were named into their slots.
    pub(crate) fn apply(&self, mut builder: ChatBuilder) -> ChatBuilder {
        if let Some(template) = &self.template {
            builder = builder.template(template.as_str());
        }
        if let Some(sampler) = &self.sampler {
            builder = builder.sampler(sampler.as_str());
        }
        if let Some(chat) = &self.chat {
            builder = builder.chat_component(chat.as_str());
        }
        builder.grants(self.grant.iter().cloned())
    }
}

/// A JSON object from the command line.
pub(crate) fn json_object(text: &str) -> std::result::Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(format!("a JSON object is needed, this is {other}")),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_their_own_win_over_sampler_params() {
        let options = SamplingOptions {
            temperature: Some(0.7),
            top_k: Some(30),
            sampler_params: Some(json_object(r#"{"temperature": 2, "tau": 5}"#).unwrap()),
            ..SamplingOptions::default()
        };
        let parameters = Value::Object(options.parameters());
        assert_eq!(parameters, serde_json::json!({"temperature": 0.7, "tau": 5, "top_k": 30}));
    }

    #[test]
    fn numbers_are_in_their_range() {
        assert_eq!((at_least_0("0"), at_least_0("1.5"), from_0_to_1("1")), (Ok(0.0), Ok(1.5), Ok(1.0)));
        for text in ["-1", "nan", "inf", "1e300", "warm", ""] {
            assert!(at_least_0(text).is_err(), "{text}");
        }
        for text in ["-0.1", "1.1", "NaN"] {
            assert!(from_0_to_1(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_objects_are_parameters() {
        assert!(json_object("[1]").is_err());
        assert!(json_object("{").is_err());
        assert!(json_object("{}").is_ok());
    }
}
