//! `config.json`: what a model is made of, checked before anything is built by it.
//!
//! The keys are those of Hugging Face's transformers; where one is absent its default is mlx-lm's, and those that
//! differ between architectures lie in [`models`](crate::models). Numbers come from strangers: each is held against
//! a bound, and what they describe is allocated only once the tensors in the files have the shapes they promise.

mod quantization;
mod rope;

use serde::Deserialize;
use serde_json::{Map, Value};
use wasmlx_backend::BackendError;

use crate::error::{invalid_model, unsupported};
use crate::models;

pub use quantization::{Packing, Quantization};
pub use rope::{RopeConfig, RopeScaling};

/// The longest dimension that is believed: more than any published model's vocabulary.
const MAXIMUM_DIMENSION: u64 = 1 << 24;
/// The most layers that are believed.
const MAXIMUM_LAYERS: u64 = 1 << 14;

/// A checked description of a decoder-only transformer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelConfig {
    /// `model_type`, as written: `mistral`.
    pub model_type: String,
    /// Numbers in a token's vector.
    pub hidden_size: i32,
    /// Numbers in the middle of a feed-forward layer.
    pub intermediate_size: i32,
    /// Heads of queries.
    pub attention_heads: i32,
    /// Heads of keys and of values; divides [`attention_heads`](Self::attention_heads).
    pub key_value_heads: i32,
    /// Numbers in a head; even.
    pub head_dimension: i32,
    /// Rows of the embedding and of the output layer.
    pub vocabulary_size: i32,
    /// The most tokens it was made for: `max_position_embeddings`, or farther where its positions are stretched.
    pub context_length: u32,
    /// What RMSNorm adds under its root.
    pub rms_norm_epsilon: f32,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// Whether the output layer is the embedding; none where the file does not say, and the weights decide.
    pub tie_word_embeddings: Option<bool>,
    /// Which projections add a bias.
    pub biases: Biases,
    /// Whether queries and keys are normalised head by head, as in Qwen3.
    pub head_norms: bool,
    /// One a layer: how many tokens it looks back at, itself included; none is all of them.
    pub windows: Vec<Option<i32>>,
    /// How its weights are quantised, where they are.
    pub quantization: Option<Quantization>,
}

/// Which projections add a bias.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Biases {
    /// Those of queries, keys and values.
    pub queries_keys_values: bool,
    /// The one after attention.
    pub attention_output: bool,
    /// Those of the feed-forward layer.
    pub feed_forward: bool,
}

impl ModelConfig {
    /// Reads the content of a `config.json`.
    ///
    /// # Errors
    /// `Unsupported` names the architecture or the feature that is not known here; `InvalidModel` names the key that
    /// is missing or cannot be true.
    pub fn parse(json: &[u8]) -> Result<Self, BackendError> {
        let written: Written = serde_json::from_slice(json)
            .map_err(|error| invalid_model(format!("config.json is not what it should be: {error}")))?;
        models::config(&written)
    }

    /// Numbers in all heads of queries.
    pub(crate) fn query_size(&self) -> i32 {
        self.attention_heads * self.head_dimension
    }

    /// Numbers in all heads of keys.
    pub(crate) fn key_size(&self) -> i32 {
        self.key_value_heads * self.head_dimension
    }
}

/// The file as it is written: nothing is required, nothing is checked.
#[derive(Debug, Deserialize)]
pub(crate) struct Written {
    pub(crate) model_type: Option<String>,
    pub(crate) hidden_size: Option<u64>,
    pub(crate) intermediate_size: Option<u64>,
    pub(crate) num_hidden_layers: Option<u64>,
    pub(crate) num_attention_heads: Option<u64>,
    pub(crate) num_key_value_heads: Option<u64>,
    pub(crate) head_dim: Option<u64>,
    pub(crate) vocab_size: Option<u64>,
    pub(crate) max_position_embeddings: Option<u64>,
    pub(crate) rms_norm_eps: Option<f64>,
    pub(crate) hidden_act: Option<String>,
    pub(crate) rope_theta: Option<f64>,
    pub(crate) rope_traditional: Option<bool>,
    pub(crate) rope_scaling: Option<Map<String, Value>>,
    pub(crate) rope_parameters: Option<Map<String, Value>>,
    pub(crate) partial_rotary_factor: Option<f64>,
    pub(crate) tie_word_embeddings: Option<bool>,
    pub(crate) attention_bias: Option<bool>,
    pub(crate) mlp_bias: Option<bool>,
    pub(crate) layer_types: Option<Vec<String>>,
    pub(crate) sliding_window: Option<u64>,
    pub(crate) quantization: Option<Map<String, Value>>,
    pub(crate) quantization_config: Option<Map<String, Value>>,
}

/// What an architecture assumes where the file is silent.
pub(crate) struct Defaults {
    pub(crate) context_length: u64,
    pub(crate) rope_theta: Option<f64>,
}

impl Written {
    /// Checks what all architectures share. The rest is left as most have it: no bias, no head norms, no windows, and
    /// heads that divide the hidden size.
    pub(crate) fn check(&self, defaults: &Defaults) -> Result<ModelConfig, BackendError> {
        if let Some(activation) = self.hidden_act.as_deref()
            && !matches!(activation, "silu" | "swish")
        {
            return Err(unsupported(format!(
                "config.json asks for the activation `{activation}`; only `silu` is known"
            )));
        }
        if self.partial_rotary_factor.is_some_and(|factor| factor != 1.0) {
            return Err(unsupported("config.json asks for a `partial_rotary_factor`, which is not known here"));
        }
        let hidden_size = dimension("hidden_size", self.hidden_size)?;
        let attention_heads = dimension("num_attention_heads", self.num_attention_heads)?;
        let key_value_heads = match self.num_key_value_heads {
            None => attention_heads,
            written => dimension("num_key_value_heads", written)?,
        };
        if attention_heads % key_value_heads != 0 {
            return Err(invalid_model(format!(
                "config.json has {attention_heads} attention heads, which {key_value_heads} key-value heads do not divide"
            )));
        }
        let layers = within("num_hidden_layers", self.num_hidden_layers, MAXIMUM_LAYERS)?;
        let written = self.max_position_embeddings.unwrap_or(defaults.context_length);
        let context = u32::try_from(written).ok().filter(|&context| context > 0);
        let context = context.ok_or_else(|| cannot_be("max_position_embeddings", written))?;
        let rope = RopeConfig::read(self, defaults, context)?;
        let rms_norm_epsilon = self.rms_norm_eps.ok_or_else(|| missing("rms_norm_eps"))?;
        if !(0.0..=1.0).contains(&rms_norm_epsilon) {
            return Err(cannot_be("rms_norm_eps", rms_norm_epsilon));
        }
        Ok(ModelConfig {
            model_type: self.model_type.clone().unwrap_or_default(),
            hidden_size,
            intermediate_size: dimension("intermediate_size", self.intermediate_size)?,
            attention_heads,
            key_value_heads,
            // Zero where they do not divide; `finish` refuses it unless the file gave a size of its own.
            head_dimension: if hidden_size % attention_heads == 0 { hidden_size / attention_heads } else { 0 },
            vocabulary_size: dimension("vocab_size", self.vocab_size)?,
            context_length: rope.scaling.reach(context),
            rms_norm_epsilon: rms_norm_epsilon as f32,
            rope,
            tie_word_embeddings: self.tie_word_embeddings,
            biases: Biases::default(),
            head_norms: false,
            windows: vec![None; layers as usize],
            quantization: Quantization::read(self)?,
        })
    }
}

impl ModelConfig {
    /// Takes the size of a head from the file.
    pub(crate) fn with_head_dimension(mut self, written: Option<u64>) -> Result<Self, BackendError> {
        self.head_dimension = dimension("head_dim", written)?;
        Ok(self)
    }

    /// The last check, when an architecture has said what is special about it.
    pub(crate) fn finish(self) -> Result<Self, BackendError> {
        let heads = i64::from(self.attention_heads) + 2 * i64::from(self.key_value_heads);
        if heads * i64::from(self.head_dimension) > MAXIMUM_DIMENSION as i64 {
            return Err(invalid_model(format!(
                "config.json has {} heads of {} numbers, more than any machine holds",
                self.attention_heads, self.head_dimension
            )));
        }
        if self.head_dimension % 2 != 0 || self.head_dimension == 0 {
            return Err(invalid_model(format!(
                "config.json has heads that rotary positions cannot pair: `head_dim`, or `hidden_size` ({}) divided by \
                 `num_attention_heads` ({}), must be an even number",
                self.hidden_size, self.attention_heads
            )));
        }
        Ok(self)
    }
}

/// A dimension of an array.
pub(crate) fn dimension(key: &str, written: Option<u64>) -> Result<i32, BackendError> {
    // The bound fits an i32.
    within(key, written, MAXIMUM_DIMENSION).map(|size| size as i32)
}

fn within(key: &str, written: Option<u64>, most: u64) -> Result<u64, BackendError> {
    let size = written.ok_or_else(|| missing(key))?;
    if (1..=most).contains(&size) { Ok(size) } else { Err(cannot_be(key, size)) }
}

pub(crate) fn missing(key: &str) -> BackendError {
    invalid_model(format!("config.json lacks `{key}`"))
}

pub(crate) fn cannot_be(key: &str, value: impl std::fmt::Display) -> BackendError {
    invalid_model(format!("config.json has `{key}`: {value}, which cannot be"))
}
