//! A whole model: embedding, blocks, output layer.

use std::ops::ControlFlow;

use mlx_rs::error::Result as MlxResult;
use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::{Array, Dtype};
use wasmlx_backend::BackendError;

use super::attention::{Attention, Pass};
use super::embedding::Embedding;
use super::feed_forward::{Activation, FeedForward};
use super::linear::Linear;
use super::rms_norm::RmsNorm;
use super::rope::Rope;
use crate::cache::LayerCache;
use crate::config::ModelConfig;
use crate::error::{Doing, broken_off};
use crate::weights::Weights;

/// A decoder-only transformer.
pub(crate) struct Decoder {
    embedding: Embedding,
    blocks: Vec<Block>,
    norm: RmsNorm,
    /// None where tokens are scored by the embedding.
    output: Option<Linear>,
    rope: Rope,
}

struct Block {
    attention_norm: RmsNorm,
    attention: Attention,
    feed_forward_norm: RmsNorm,
    feed_forward: FeedForward,
}

impl Decoder {
    /// Builds the layers, each from its tensors, named as Hugging Face names them.
    ///
    /// `go_on` is asked before each block: to unpack and convert one may take a second.
    pub(crate) fn load(
        config: &ModelConfig,
        weights: &mut Weights,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Self, BackendError> {
        let (hidden, vocabulary) = (config.hidden_size, config.vocabulary_size);
        let on_cpu = weights.holding.on_cpu;
        let embedding = Embedding::load(weights, "model.embed_tokens", vocabulary, hidden)?;
        let activation = Activation::new(on_cpu);
        let mut blocks = Vec::new();
        for (index, &window) in config.windows.iter().enumerate() {
            if go_on().is_break() {
                return Err(broken_off());
            }
            blocks.push(Block::load(weights, &format!("model.layers.{index}"), config, window, activation.clone())?);
        }
        let norm = RmsNorm::load(weights, "model.norm", hidden, config.rms_norm_epsilon)?;
        let tied = config.tie_word_embeddings.unwrap_or(!weights.has("lm_head.weight"));
        let output = if tied {
            weights.discard("lm_head");
            None
        } else {
            Some(Linear::load(weights, ("lm_head", vocabulary), hidden, false)?)
        };
        let rope = Rope::new(config, on_cpu, embedding.dtype()).doing("preparing rotary positions")?;
        Ok(Self { embedding, blocks, norm, output, rope })
    }

    /// Reads tokens, `[tokens]`, into the cache and gives the scores that follow the last one, `[vocabulary]`.
    pub(crate) fn forward(&self, tokens: &Array, cache: &mut [LayerCache], offset: i32) -> MlxResult<Array> {
        let last = self.run(tokens, cache, offset)?;
        let normal = self.norm.forward(&last)?;
        let scores = match &self.output {
            Some(output) => output.forward(&normal)?,
            None => self.embedding.score(&normal)?,
        };
        scores.reshape(&[-1])
    }

    /// The last token's state after all blocks, `[1, hidden_size]`.
    fn run(&self, tokens: &Array, cache: &mut [LayerCache], offset: i32) -> MlxResult<Array> {
        let count = tokens.dim(0);
        let rotation = self.rope.prepare(offset, count)?;
        let pass = Pass { rope: &self.rope, rotation, offset, tokens: count };
        let mut state = self.embedding.forward(tokens)?;
        let last = self.blocks.len() - 1;
        for (index, (block, cache)) in self.blocks.iter().zip(cache).enumerate() {
            state = block.forward(&state, index == last, &pass, cache)?;
        }
        Ok(state)
    }

    /// Reads tokens into the cache and nothing more. What only later layers would need of the last one is in MLX's
    /// graph too, and never computed.
    pub(crate) fn fill(&self, tokens: &Array, cache: &mut [LayerCache], offset: i32) -> MlxResult<()> {
        self.run(tokens, cache, offset).map(drop)
    }

    /// The type of activations.
    pub(crate) fn dtype(&self) -> Dtype {
        self.embedding.dtype()
    }

    /// How many layers have a cache.
    pub(crate) fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// Bytes of device memory that the matrices take.
    pub(crate) fn bytes(&self) -> u64 {
        let blocks: u64 = self.blocks.iter().map(|block| block.attention.bytes() + block.feed_forward.bytes()).sum();
        self.embedding.bytes() + blocks + self.output.as_ref().map_or(0, Linear::bytes)
    }
}

impl Block {
    fn load(
        weights: &mut Weights,
        name: &str,
        config: &ModelConfig,
        window: Option<i32>,
        activation: Activation,
    ) -> Result<Self, BackendError> {
        let (hidden, epsilon) = (config.hidden_size, config.rms_norm_epsilon);
        Ok(Self {
            attention_norm: RmsNorm::load(weights, &format!("{name}.input_layernorm"), hidden, epsilon)?,
            attention: Attention::load(weights, &format!("{name}.self_attn"), config, window)?,
            feed_forward_norm: RmsNorm::load(weights, &format!("{name}.post_attention_layernorm"), hidden, epsilon)?,
            feed_forward: FeedForward::load(weights, &format!("{name}.mlp"), config, activation)?,
        })
    }

    /// `last`: of the results only that of the last token is wanted.
    fn forward(&self, state: &Array, last: bool, pass: &Pass<'_>, cache: &mut LayerCache) -> MlxResult<Array> {
        let normal = self.attention_norm.forward(state)?;
        let cut = if last && pass.tokens > 1 { Some(state.try_index(pass.tokens - 1..)?) } else { None };
        let base = cut.as_ref().unwrap_or(state);
        let attended = self.attention.forward_onto(&normal, base, pass, cache)?;
        let normal = self.feed_forward_norm.forward(&attended)?;
        self.feed_forward.forward_onto(&normal, &attended)
    }
}
