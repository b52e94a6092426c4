//! Token embedding, and scoring tokens by the same matrix.

use mlx_rs::Array;
use mlx_rs::Dtype;
use mlx_rs::error::Result as MlxResult;
use wasmlx_backend::BackendError;

use super::linear::Linear;
use crate::error::Doing;
use crate::packed::{Packed, unpack};
use crate::weights::{Matrix, Weights};

/// A vector for every token.
pub(crate) enum Embedding {
    /// `[vocabulary, hidden_size]`.
    Plain {
        matrix: Array,
        /// The same matrix as the output layer's.
        scores: Linear,
    },
    Packed(Packed),
}

impl Embedding {
    pub(crate) fn load(weights: &mut Weights, name: &str, rows: i32, columns: i32) -> Result<Self, BackendError> {
        let holding = weights.holding;
        let matrix = match weights.matrix(name, rows, columns)? {
            Matrix::Packed(matrix) if !holding.unpacked => return Ok(Self::Packed(matrix)),
            Matrix::Packed(matrix) if holding.on_cpu => unpack(&[matrix])?,
            Matrix::Packed(matrix) => matrix.unpack_on_device().doing("unpacking the embedding")?,
            Matrix::Plain(matrix) => matrix,
        };
        matrix.eval().doing("reading the embedding")?;
        let scores = Linear::tied(&matrix).doing("reading the embedding")?;
        Ok(Self::Plain { matrix, scores })
    }

    /// `[tokens]` to `[tokens, hidden_size]`.
    pub(crate) fn forward(&self, tokens: &Array) -> MlxResult<Array> {
        match self {
            Self::Plain { matrix, .. } => matrix.take_axis(tokens, 0),
            Self::Packed(matrix) => matrix.rows(tokens),
        }
    }

    /// `[tokens, hidden_size]` to the scores of every token, `[tokens, vocabulary]`.
    pub(crate) fn score(&self, x: &Array) -> MlxResult<Array> {
        match self {
            Self::Plain { scores, .. } => scores.forward(x),
            Self::Packed(matrix) => matrix.multiply(x),
        }
    }

    /// The type of the vectors.
    pub(crate) fn dtype(&self) -> Dtype {
        match self {
            Self::Plain { matrix, .. } => matrix.dtype(),
            Self::Packed(matrix) => matrix.scales.dtype(),
        }
    }

    /// Bytes of device memory.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Plain { matrix, .. } => matrix.nbytes() as u64,
            Self::Packed(matrix) => matrix.bytes(),
        }
    }
}
