//! What is known of a model without loading it: from its `config.json`, the headers of its weights, its name.
//!
//! Every fact is optional, and what cannot be read, or cannot be true, is not known: facts are shown, searched and
//! estimated by, while what loads a model checks its files anew. Texts among them are plain names, so that they can be
//! printed as they are wherever they came from.

mod config;
mod header;
mod layers;
mod name;
mod quantization;
mod task;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

pub use layers::{CacheShape, LayerCounts};
pub use quantization::Quantization;
pub use task::Task;

/// A `config.json` longer than this is not read.
const CONFIG_BYTES: u64 = 1 << 20;

/// What is known of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ModelFacts {
    /// The architecture, as `config.json` names it: `qwen3`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "plain_name")]
    pub model_type: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known_task")]
    pub task: Option<Task>,
    /// Numbers that were learned; those of quantised matrices count as what they stand for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Of a mixture of experts, those that one token meets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_parameters: Option<u64>,
    /// How most weights are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
    /// How many numbers share a scale, where weights are quantised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_size: Option<u32>,
    /// The type of numbers that it computes with, as `config.json` names it: `bfloat16`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "plain_name")]
    pub dtype: Option<String>,
    /// The longest text that it was made for, in tokens, positions stretched where the configuration says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// Layers of the language model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<u64>,
    /// How many layers look back in which way, where they differ or do not look at everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer_counts: Option<LayerCounts>,
    /// Numbers in a token's vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden_size: Option<u64>,
    /// Numbers in the middle of a feed-forward layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intermediate_size: Option<u64>,
    /// Heads of queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<u64>,
    /// Heads of keys and of values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_value_heads: Option<u64>,
    /// Numbers in a head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_dimension: Option<u64>,
    /// How many tokens the layers with a window look back at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sliding_window: Option<u64>,
    /// Tokens that it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<u64>,
    /// What a token takes of the KV cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheShape>,
}

/// A model's size by its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SizeClass {
    /// Below 100 million.
    Tiny,
    /// To 1 billion.
    Small,
    /// To 7 billion.
    Medium,
    /// To 13 billion.
    Large,
    /// More.
    Xlarge,
}

/// Whether a build can run a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "runs")]
pub enum Runnable {
    /// As far as its facts tell.
    Yes,
    /// Not.
    No {
        /// What of it does not run here, in a word: `gemma3`, `GGUF`.
        what: String,
        /// Why, in a sentence.
        why: String,
    },
    /// Its architecture is not known.
    Unknown,
}

impl ModelFacts {
    /// What a `config.json` says.
    pub fn of_config(json: &[u8]) -> Self {
        match serde_json::from_slice(json) {
            Ok(serde_json::Value::Object(written)) => config::read(&written),
            _ => Self::default(),
        }
    }

    /// What a name tells, with the hub's tags where there are any: `Qwen3-30B-A3B-4bit`.
    pub fn of_id(id: &str, tags: &[&str]) -> Self {
        name::read(id, tags)
    }

    /// What a model's files say: its `config.json` and the headers of its weights. Each is the path that the file has
    /// in the model, and where it lies.
    pub fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Self {
        let mut facts = Self::default();
        let mut tensors = BTreeMap::new();
        let mut has_weights = false;
        let mut whole = true;
        for (name, path) in files {
            if name == "config.json" {
                facts = read_bounded(path).map(|json| Self::of_config(&json)).unwrap_or_default();
            } else if name.ends_with(".safetensors") && !name.contains('/') {
                has_weights = true;
                whole &= header::read(path, &mut tensors);
            }
        }
        // A file that cannot be read would make the count too small, which is worse than none.
        if has_weights && whole {
            facts.parameters = Some(header::parameters(&tensors, &facts)).filter(|&count| count > 0);
            // What is packed is said by the config alone.
            let floats = [None, Some(Quantization::Float32), Some(Quantization::Float16), Some(Quantization::Bfloat16)];
            if floats.contains(&facts.quantization) {
                facts.quantization = header::floats(&tensors).or(facts.quantization);
            }
        }
        facts
    }

    /// What a model's folder says.
    pub fn of_folder(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files: Vec<_> =
            entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect();
        Self::of_files(files.iter().map(|(name, path)| (name.as_str(), path.as_path())))
    }

    /// These facts, and of those that are not known here the other's.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            model_type: self.model_type.or(other.model_type),
            task: self.task.or(other.task),
            parameters: self.parameters.or(other.parameters),
            active_parameters: self.active_parameters.or(other.active_parameters),
            // A group belongs to its quantisation.
            group_size: if self.quantization.is_some() { self.group_size } else { other.group_size },
            quantization: self.quantization.or(other.quantization),
            dtype: self.dtype.or(other.dtype),
            context: self.context.or(other.context),
            layers: self.layers.or(other.layers),
            layer_counts: self.layer_counts.or(other.layer_counts),
            hidden_size: self.hidden_size.or(other.hidden_size),
            intermediate_size: self.intermediate_size.or(other.intermediate_size),
            heads: self.heads.or(other.heads),
            key_value_heads: self.key_value_heads.or(other.key_value_heads),
            head_dimension: self.head_dimension.or(other.head_dimension),
            sliding_window: self.sliding_window.or(other.sliding_window),
            vocabulary: self.vocabulary.or(other.vocabulary),
            cache: self.cache.or(other.cache),
        }
    }

    /// The class of its size.
    pub fn size_class(&self) -> Option<SizeClass> {
        self.parameters.map(SizeClass::of)
    }

    /// Whether a build runs it that knows these architectures, and MLX's affine quantisation.
    pub fn runnable(&self, architectures: &[&str]) -> Runnable {
        if let Some(quantization) = &self.quantization
            && let Some(why) = quantization.not_runnable()
        {
            return Runnable::No { what: quantization.to_string(), why };
        }
        if let Some(task) = self.task
            && task != Task::TextGeneration
        {
            let why = format!("it is for {task}; models for {} run here", Task::TextGeneration);
            return Runnable::No { what: task.to_string(), why };
        }
        match &self.model_type {
            None => Runnable::Unknown,
            Some(model_type) if architectures.contains(&model_type.as_str()) => Runnable::Yes,
            Some(model_type) => Runnable::No {
                what: model_type.clone(),
                why: format!("the architecture {model_type} is not known here; known are {}", architectures.join(", ")),
            },
        }
    }
}

impl SizeClass {
    /// All of them, the smallest first.
    pub const ALL: [Self; 5] = [Self::Tiny, Self::Small, Self::Medium, Self::Large, Self::Xlarge];

    /// The class of a number of parameters.
    pub fn of(parameters: u64) -> Self {
        match parameters {
            ..100_000_000 => Self::Tiny,
            100_000_000..=1_000_000_000 => Self::Small,
            1_000_000_001..=7_000_000_000 => Self::Medium,
            7_000_000_001..=13_000_000_000 => Self::Large,
            _ => Self::Xlarge,
        }
    }

    /// The class of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Its name: `small`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
            Self::Xlarge => "xlarge",
        }
    }
}

/// Whether a text is a name that can be shown and compared as it is: ASCII, at most 64 bytes.
pub(crate) fn is_plain_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b':');
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

fn plain_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| is_plain_name(text)))
}

/// A later version may know more.
fn known_task<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Task>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|name| Task::of_name(&name)))
}

fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    BufReader::new(File::open(path).ok()?).take(CONFIG_BYTES + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= CONFIG_BYTES).then_some(bytes)
}
