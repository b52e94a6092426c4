//! Root-mean-square normalisation (arXiv:1910.07467).

use mlx_rs::Array;
use mlx_rs::error::Result as MlxResult;
use mlx_rs::fast;
use wasmlx_backend::BackendError;

use crate::weights::Weights;

/// Scales vectors to a root mean square of one, and each number by its weight.
pub(crate) struct RmsNorm {
    weight: Array,
    epsilon: f32,
}

impl RmsNorm {
    pub(crate) fn load(weights: &mut Weights, name: &str, size: i32, epsilon: f32) -> Result<Self, BackendError> {
        Ok(Self { weight: weights.vector(&format!("{name}.weight"), size)?, epsilon })
    }

    /// Normalises the last axis.
    pub(crate) fn forward(&self, x: &Array) -> MlxResult<Array> {
        fast::rms_norm(x, Some(&self.weight), self.epsilon)
    }
}
