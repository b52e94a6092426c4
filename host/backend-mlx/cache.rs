//! Keys and values of the tokens that a sequence has read.

use std::any::Any;

use mlx_rs::Array;
use mlx_rs::error::{Exception, Result as MlxResult};
use mlx_rs::ops::indexing::{TryIndexOp, TryIndexUpdateOp, UpdateMode};
use mlx_rs::ops::{concatenate, zeros_dtype};
use wasmlx_backend::{BackendError, KvCache};

/// Room grows by so many tokens at once.
const STEP: i32 = 256;

/// A sequence's cache: one [`LayerCache`] for every layer.
///
/// Arrays of MLX are values: a fork shares them, and the first of the two to be written makes a copy.
pub(crate) struct MlxCache {
    /// The model that it belongs to.
    pub(crate) model: u64,
    pub(crate) layers: Vec<LayerCache>,
    pub(crate) tokens: usize,
}

/// One layer's keys and values, with room for more tokens than they hold.
#[derive(Clone, Default)]
pub(crate) struct LayerCache(Option<KeysValues>);

/// Each `[1, key_value_heads, room, head_dimension]`.
#[derive(Clone)]
struct KeysValues {
    keys: Array,
    values: Array,
}

impl MlxCache {
    pub(crate) fn new(model: u64, depth: usize) -> Self {
        Self { model, layers: vec![LayerCache::default(); depth], tokens: 0 }
    }

    /// All arrays, to be computed together.
    pub(crate) fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.layers.iter().filter_map(|layer| layer.0.as_ref()).flat_map(|both| [&both.keys, &both.values])
    }
}

impl LayerCache {
    /// Writes the keys and values of tokens that follow the first `offset`, `[1, key_value_heads, tokens,
    /// head_dimension]` each. MLX writes in place where nobody else holds the array.
    pub(crate) fn append(&mut self, keys: &Array, values: &Array, offset: i32) -> MlxResult<()> {
        let end = offset + keys.dim(2);
        let held = self.0.as_ref();
        let written = match held {
            Some(both) if both.keys.dim(2) >= end => KeysValues {
                keys: write(&both.keys, keys, offset, end)?,
                values: write(&both.values, values, offset, end)?,
            },
            _ => KeysValues {
                keys: write(&enlarge(held.map(|both| &both.keys), keys, offset, end)?, keys, offset, end)?,
                values: write(&enlarge(held.map(|both| &both.values), values, offset, end)?, values, offset, end)?,
            },
        };
        self.0 = Some(written);
        Ok(())
    }

    /// Keys and values of the tokens `begin..end`.
    pub(crate) fn range(&self, begin: i32, end: i32) -> MlxResult<(Array, Array)> {
        let both = self.0.as_ref().ok_or_else(|| Exception::custom("the cache is empty"))?;
        let part = |array: &Array| {
            if begin == 0 && end == array.dim(2) {
                Ok(array.clone())
            } else {
                array.try_index((.., .., begin..end, ..))
            }
        };
        Ok((part(&both.keys)?, part(&both.values)?))
    }

    fn bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |both| (both.keys.nbytes() + both.values.nbytes()) as u64)
    }
}

/// An array like `new` with room for `end` tokens and more, that begins with the first `offset` of `old`.
fn enlarge(old: Option<&Array>, new: &Array, offset: i32, end: i32) -> MlxResult<Array> {
    let room = (end + STEP - 1) / STEP * STEP;
    let empty = |tokens| zeros_dtype(&[1, new.dim(1), tokens, new.dim(3)], new.dtype());
    match old {
        Some(old) if offset > 0 => concatenate(&[old.try_index((.., .., 0..offset, ..))?, empty(room - offset)?], 2),
        _ => empty(room),
    }
}

fn write(array: &Array, update: &Array, begin: i32, end: i32) -> MlxResult<Array> {
    let written = array.try_index_update((.., .., begin..end, ..), update, UpdateMode::Replace);
    written.map_err(|error| Exception::custom(error.to_string()))
}

impl KvCache for MlxCache {
    fn len(&self) -> usize {
        self.tokens
    }

    fn truncate(&mut self, len: usize) -> Result<(), BackendError> {
        self.tokens = self.tokens.min(len);
        Ok(())
    }

    fn fork(&self) -> Result<Box<dyn KvCache>, BackendError> {
        Ok(Box::new(Self { model: self.model, layers: self.layers.clone(), tokens: self.tokens }))
    }

    fn bytes(&self) -> u64 {
        self.layers.iter().map(LayerCache::bytes).sum()
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
