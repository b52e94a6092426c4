//! What an inference backend is: traits over a device, a model, its cache and its lazy logits.
//!
//! A backend and everything made by it live on one thread, the device thread, which the engine owns. Caches, logits and
//! tokens are [`Send`] only so that they can lie within a sandbox's
//! state; they are used on that thread alone. All operations but those that say they *read* are lazy: they add to a
//! graph that the device computes later, and wait for nothing. [`fake`] is a deterministic backend for tests, and
//! [`null`] has scores that cost nothing, to measure others by.

#![warn(missing_docs)]

mod error;
pub mod fake;
mod logits;
pub mod null;

use std::any::Any;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub use error::{BackendError, BackendErrorKind};
pub use logits::{Logits, Penalties, SampleKey, Token};

/// A device that can run models.
pub trait Backend {
    /// The device, in words: `cpu`, `gpu (Apple M4 Max)`.
    fn device(&self) -> String;

    /// Loads the model of a folder that follows Hugging Face's conventions: `config.json` and `*.safetensors`.
    ///
    /// `progress` is called file by file, and once more for each layer that is made of them, with the numbers of the
    /// last file. It may break off the load, which then fails with [`BackendErrorKind::Cancelled`] and leaves nothing
    /// behind.
    fn load(
        &mut self,
        folder: &Path,
        options: &LoadOptions,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Box<dyn Model>, BackendError>;

    /// Writes the weights and the `config.json` of a model's folder again, its matrices quantised.
    ///
    /// `progress` is called tensor by tensor with the bytes that were read, and may break it off as a load. What fails
    /// leaves unfinished files in the destination.
    ///
    /// # Errors
    /// [`BackendErrorKind::InvalidInput`] for a packing that is not known or a model that is quantised already, and as
    /// [`Backend::load`]; [`BackendErrorKind::Unsupported`] for a backend that does not quantise.
    fn quantize(
        &mut self,
        request: &QuantizeRequest,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<(), BackendError> {
        let _ = (request, progress);
        let message = format!("the device {} does not quantise models", self.device());
        Err(BackendError::new(BackendErrorKind::Unsupported, message))
    }

    /// What the device has done since it was started.
    fn counters(&self) -> Counters;

    /// Bytes of device memory in use by arrays now, and the most at any time since [`Backend::reset_peak_memory`].
    fn memory(&self) -> Memory;

    /// Lets [`Memory::peak_bytes`] start again from what is in use now.
    fn reset_peak_memory(&mut self);

    /// Gives freed memory that the backend kept for reuse back to the system.
    fn clear_cache(&mut self);
}

/// A model's folder that is to be written again with its matrices quantised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizeRequest {
    /// The folder, by Hugging Face's conventions.
    pub source: PathBuf,
    /// A folder that is there, for `config.json` and `model*.safetensors`; other files are not copied.
    pub destination: PathBuf,
    /// Bits a number.
    pub bits: u32,
    /// How many numbers of a row share a scale and a bias.
    pub group_size: u32,
}

/// How weights are to be held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The floating-point type of weights and activations.
    pub dtype: Dtype,
}

/// A floating-point type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dtype {
    /// What suits the device: on a CPU everything in float32, quantised weights dequantised, where memory allows;
    /// elsewhere as stored.
    #[default]
    Auto,
    /// 32 bits; quantised weights are dequantised.
    Float32,
    /// The upper half of a float32; quantised weights stay quantised.
    Bfloat16,
    /// IEEE 754 half precision; quantised weights stay quantised.
    Float16,
}

/// A file of weights has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadProgress {
    /// The file.
    pub file: PathBuf,
    /// Bytes read so far, this file included.
    pub bytes_done: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
}

/// A loaded model. It has no state of its own between calls: what it has read lies in a [`KvCache`].
pub trait Model {
    /// What it is.
    fn info(&self) -> &ModelInfo;

    /// An empty cache.
    fn new_cache(&self) -> Box<dyn KvCache>;

    /// Reads tokens on top of what the cache holds and returns the logits that follow the last one. Lazy.
    ///
    /// # Errors
    /// [`BackendErrorKind::InvalidInput`] for no tokens, a token outside the vocabulary, or a cache of another model.
    fn forward(&self, input: Input<'_>, cache: &mut dyn KvCache) -> Result<Box<dyn Logits>, BackendError>;

    /// Reads tokens into the cache and waits until the device has done so; no logits are computed.
    fn prefill(&self, tokens: &[u32], cache: &mut dyn KvCache) -> Result<(), BackendError>;
}

/// What [`Model::forward`] reads.
pub enum Input<'a> {
    /// Tokens that are known.
    Ids(&'a [u32]),
    /// One token that the device may not have computed yet.
    Sampled(&'a dyn Token),
}

/// What is known of a loaded model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// `model_type` of its `config.json`: `llama`, `qwen3`.
    pub architecture: String,
    /// Rows of the output layer. It may exceed the tokenizer's vocabulary.
    pub vocabulary_size: u32,
    /// `max_position_embeddings`: the most tokens it was made for.
    pub context_length: u32,
    /// The type of its activations: `float32`.
    pub dtype: String,
    /// How its weights are quantised as held in memory: `8-bit, groups of 64`; none where they are not.
    pub quantization: Option<String>,
    /// How many parameters it has.
    pub parameters: u64,
    /// Bytes its weights take in memory.
    pub weight_bytes: u64,
}

impl ModelInfo {
    /// An architecture with its sizes; the rest is empty and may be filled in.
    pub fn new(architecture: impl Into<String>, vocabulary_size: u32, context_length: u32) -> Self {
        Self {
            architecture: architecture.into(),
            vocabulary_size,
            context_length,
            dtype: "float32".into(),
            quantization: None,
            parameters: 0,
            weight_bytes: 0,
        }
    }
}

/// The keys and values of every token that a sequence has read.
pub trait KvCache: Send {
    /// How many tokens it holds.
    fn len(&self) -> usize;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all but the first `len` tokens; more than it holds changes nothing.
    ///
    /// # Errors
    /// [`BackendErrorKind::InvalidInput`] where the cache no longer has what it would go back to (a rotating one).
    fn truncate(&mut self, len: usize) -> Result<(), BackendError>;

    /// A second cache with the same content; changing one leaves the other as it is.
    fn fork(&self) -> Result<Box<dyn KvCache>, BackendError>;

    /// Bytes of device memory it takes.
    fn bytes(&self) -> u64;

    /// For its own backend, to see its own type again.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// How often the device was asked to do something. Differences of two readings are what a piece of work cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Forward passes built.
    pub forwards: u64,
    /// Times a graph was handed to the device.
    pub evals: u64,
    /// Times the host waited for a value of the device.
    pub reads: u64,
}

/// Device memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// In use by arrays now.
    pub active_bytes: u64,
    /// The most that was in use.
    pub peak_bytes: u64,
}
