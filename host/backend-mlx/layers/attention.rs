//! Grouped-query attention (arXiv:2305.13245) over a cache of keys and values.

use mlx_rs::Array;
use mlx_rs::error::Result as MlxResult;
use mlx_rs::fast::{self, ScaledDotProductAttentionMask as Mask};
use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::ops::{arange, concatenate};
use wasmlx_backend::BackendError;

use super::linear::Linear;
use super::rope::{Rope, Rotation};
use crate::cache::LayerCache;
use crate::config::ModelConfig;
use crate::error::Doing;
use crate::weights::Weights;

/// One layer's attention.
pub(crate) struct Attention {
    /// Queries, keys and values from one matrix, in this order.
    queries_keys_values: Linear,
    output: Linear,
    /// Weights by which normalised queries and keys are multiplied, `[heads + key_value_heads, head_dimension]`.
    head_norm: Option<Array>,
    epsilon: f32,
    heads: i32,
    key_value_heads: i32,
    head_dimension: i32,
    scale: f32,
    window: Option<i32>,
}

/// What all layers of one pass share.
pub(crate) struct Pass<'a> {
    pub(crate) rope: &'a Rope,
    pub(crate) rotation: Rotation,
    /// How many tokens the cache holds already.
    pub(crate) offset: i32,
    /// How many tokens are read.
    pub(crate) tokens: i32,
}

impl Attention {
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        config: &ModelConfig,
        window: Option<i32>,
    ) -> Result<Self, BackendError> {
        let (queries, keys) = (config.query_size(), config.key_size());
        let parts = [
            (&*format!("{name}.q_proj"), queries),
            (&*format!("{name}.k_proj"), keys),
            (&*format!("{name}.v_proj"), keys),
        ];
        let queries_keys_values =
            Linear::load_joined(weights, &parts, config.hidden_size, config.biases.queries_keys_values)?;
        let output = (&*format!("{name}.o_proj"), config.hidden_size);
        let output = Linear::load(weights, output, queries, config.biases.attention_output)?;
        let head_norm = if config.head_norms { Some(load_head_norm(weights, name, config)?) } else { None };
        Ok(Self {
            queries_keys_values,
            output,
            head_norm,
            epsilon: config.rms_norm_epsilon,
            heads: config.attention_heads,
            key_value_heads: config.key_value_heads,
            head_dimension: config.head_dimension,
            scale: (f64::from(config.head_dimension)).powf(-0.5) as f32,
            window,
        })
    }

    /// Reads the pass's tokens `x` into the cache and gives what they attend to, added to `base`.
    ///
    /// Where `base` has one row and `x` more, only the last token's result is computed.
    pub(crate) fn forward_onto(
        &self,
        x: &Array,
        base: &Array,
        pass: &Pass<'_>,
        cache: &mut LayerCache,
    ) -> MlxResult<Array> {
        let (heads, kv_heads, size) = (self.heads, self.key_value_heads, self.head_dimension);
        let joined = self.queries_keys_values.forward(x)?;
        let joined = joined.reshape(&[1, pass.tokens, heads + 2 * kv_heads, size])?;
        let mut turning_and_values = joined.split_at_indices(&[heads + kv_heads], 2)?.into_iter();
        let (Some(turning), Some(values)) = (turning_and_values.next(), turning_and_values.next()) else {
            return Err("a split gave too few parts".into());
        };
        let turning = match &self.head_norm {
            Some(weight) => fast::rms_norm(&turning, None, self.epsilon)?.multiply(weight)?,
            None if pass.rotation.wants_whole_arrays() => joined,
            None => turning,
        };
        let turned = pass.rope.apply(&turning.transpose_axes(&[0, 2, 1, 3])?, &pass.rotation)?;
        let mut queries_keys = turned.split_at_indices(&[heads, heads + kv_heads], 1)?.into_iter();
        let (Some(mut queries), Some(keys)) = (queries_keys.next(), queries_keys.next()) else {
            return Err("a split gave too few parts".into());
        };
        cache.append(&keys, &values.transpose_axes(&[0, 2, 1, 3])?, pass.offset)?;

        let rows = base.dim(0);
        if rows < pass.tokens {
            queries = queries.try_index((.., .., pass.tokens - rows.., ..))?;
        }
        let attended = self.attend(&queries, rows, pass.offset + pass.tokens, cache)?;
        let attended = attended.transpose_axes(&[0, 2, 1, 3])?.reshape(&[rows, heads * size])?;
        self.output.forward_onto(&attended, base)
    }

    /// Attention of the last `rows` of the `end` tokens in the cache.
    fn attend(&self, queries: &Array, rows: i32, end: i32, cache: &LayerCache) -> MlxResult<Array> {
        let oldest = end - rows + 1; // what the first of the rows sees, without a window
        let begin = self.window.map_or(0, |window| (oldest - window).max(0));
        let (keys, values) = cache.range(begin, end)?;
        let windowed = self.window.filter(|window| rows > 1 && end - begin > *window);
        match windowed {
            _ if rows == 1 => fast::scaled_dot_product_attention(queries, keys, values, self.scale, None, None),
            None => fast::scaled_dot_product_attention(queries, keys, values, self.scale, Mask::Causal, None),
            Some(window) => {
                let mask = window_mask(end - rows - begin, rows, window)?;
                fast::scaled_dot_product_attention(queries, keys, values, self.scale, &mask, None)
            }
        }
    }

    /// Bytes of device memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.queries_keys_values.bytes() + self.output.bytes()
    }
}

/// The weights of `q_norm` and `k_norm`, a row for every head.
fn load_head_norm(weights: &mut Weights, name: &str, config: &ModelConfig) -> Result<Array, BackendError> {
    let size = config.head_dimension;
    let queries = weights.vector(&format!("{name}.q_norm.weight"), size)?;
    let keys = weights.vector(&format!("{name}.k_norm.weight"), size)?;
    let mut rows = vec![queries; config.attention_heads as usize];
    rows.extend(vec![keys; config.key_value_heads as usize]);
    let joined = concatenate(&rows, 0).and_then(|joined| {
        let joined = joined.reshape(&[config.attention_heads + config.key_value_heads, size])?;
        joined.eval()?;
        Ok(joined)
    });
    joined.doing("joining head norms")
}

/// `[tokens, offset + tokens]`: whether a token sees one that is before it and less than `window` away.
fn window_mask(offset: i32, tokens: i32, window: i32) -> MlxResult<Array> {
    let seeing = arange::<i32, i32>(offset, offset + tokens, None)?.expand_dims(1)?;
    let seen = arange::<i32, i32>(0, offset + tokens, None)?.expand_dims(0)?;
    let near = seeing.lt(seen.add(Array::from_int(window))?)?;
    seeing.ge(seen)?.logical_and(near)
}
