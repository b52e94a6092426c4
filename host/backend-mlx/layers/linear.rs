//! Linear layers, several of which may share one matrix.

use mlx_rs::error::Result as MlxResult;
use mlx_rs::ops::{addmm, concatenate, matmul};
use mlx_rs::{Array, transforms};
use wasmlx_backend::BackendError;

use crate::error::Doing;
use crate::packed::{Packed, unpack};
use crate::weights::{Matrix, Weights};

/// `x` times a transposed matrix, plus a bias where there is one.
pub(crate) struct Linear {
    matrix: Held,
    /// `[rows]`.
    bias: Option<Array>,
}

enum Held {
    /// `[columns, rows]`: a view of the stored matrix, transposed.
    Plain(Array),
    Packed(Packed),
    /// Matrices that are packed differently; their results are joined.
    Several(Vec<Held>),
}

/// A layer of a file: its name, and how many numbers it gives.
pub(crate) type Part<'a> = (&'a str, i32);

impl Linear {
    /// One layer.
    pub(crate) fn load(weights: &mut Weights, part: Part<'_>, columns: i32, bias: bool) -> Result<Self, BackendError> {
        Self::load_joined(weights, &[part], columns, bias)
    }

    /// Layers that read the same numbers, joined into one whose result is theirs, one after the other. One product of
    /// a large matrix costs less than several of small ones, on a CPU as on a GPU.
    pub(crate) fn load_joined(
        weights: &mut Weights,
        parts: &[Part<'_>],
        columns: i32,
        bias: bool,
    ) -> Result<Self, BackendError> {
        let mut plain = Vec::new();
        let mut packed = Vec::new();
        let mut mixed = Vec::new();
        for &(name, rows) in parts {
            match weights.matrix(name, rows, columns)? {
                Matrix::Plain(matrix) if packed.is_empty() && mixed.is_empty() => plain.push(matrix),
                Matrix::Packed(matrix) if plain.is_empty() && mixed.is_empty() => packed.push(matrix),
                matrix => {
                    mixed.extend(plain.drain(..).map(Matrix::Plain));
                    mixed.extend(packed.drain(..).map(Matrix::Packed));
                    mixed.push(matrix);
                }
            }
        }
        let holding = weights.holding;
        let matrix = if !mixed.is_empty() {
            let held = mixed.into_iter().map(|matrix| match matrix {
                Matrix::Plain(matrix) => Held::plain(vec![matrix]),
                Matrix::Packed(matrix) => Held::packed(vec![matrix], holding.unpacked, holding.on_cpu),
            });
            Held::Several(held.collect::<Result<_, _>>()?)
        } else if packed.is_empty() {
            Held::plain(plain)?
        } else {
            Held::packed(packed, holding.unpacked, holding.on_cpu)?
        };

        let bias = if bias {
            let biases = parts.iter().map(|(name, rows)| weights.vector(&format!("{name}.bias"), *rows));
            let biases: Vec<Array> = biases.collect::<Result<_, _>>()?;
            let bias = concatenate(&biases, 0).doing("joining biases")?;
            bias.eval().doing("joining biases")?;
            Some(bias)
        } else {
            None
        };
        Ok(Self { matrix, bias })
    }

    /// The matrix of an embedding, used to score tokens.
    pub(crate) fn tied(matrix: &Array) -> MlxResult<Self> {
        Ok(Self { matrix: Held::Plain(matrix.transpose()?), bias: None })
    }

    /// `[tokens, columns]` to `[tokens, rows]`.
    pub(crate) fn forward(&self, x: &Array) -> MlxResult<Array> {
        match (&self.matrix, &self.bias) {
            (Held::Plain(matrix), Some(bias)) => addmm(bias, x, matrix, None, None),
            (matrix, Some(bias)) => matrix.multiply(x)?.add(bias),
            (matrix, None) => matrix.multiply(x),
        }
    }

    /// [`Self::forward`], added to `base`.
    pub(crate) fn forward_onto(&self, x: &Array, base: &Array) -> MlxResult<Array> {
        match (&self.matrix, &self.bias) {
            (Held::Plain(matrix), None) => addmm(base, x, matrix, None, None),
            _ => base.add(self.forward(x)?),
        }
    }

    /// Bytes of device memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.matrix.bytes() + self.bias.as_ref().map_or(0, |bias| bias.nbytes() as u64)
    }
}

impl Held {
    fn plain(mut parts: Vec<Array>) -> Result<Self, BackendError> {
        let stack = |parts: &mut Vec<Array>| {
            let matrix = if parts.len() == 1 { parts.remove(0) } else { concatenate(parts, 0)? };
            transposed(&matrix)
        };
        stack(&mut parts).map(Self::Plain).doing("joining matrices")
    }

    fn packed(parts: Vec<Packed>, unpacked: bool, on_cpu: bool) -> Result<Self, BackendError> {
        if unpacked && on_cpu {
            return unpack(&parts).and_then(|matrix| transposed(&matrix).doing("unpacking matrices")).map(Self::Plain);
        }
        if unpacked {
            let parts: MlxResult<Vec<Array>> = parts.iter().map(Packed::unpack_on_device).collect();
            return Self::plain(parts.doing("unpacking matrices")?);
        }
        let Some(joined) = Packed::stack(&parts) else {
            return Ok(Self::Several(parts.into_iter().map(Self::Packed).collect()));
        };
        let joined = joined.doing("joining matrices")?;
        transforms::eval([&joined.words, &joined.scales, &joined.biases]).doing("joining matrices")?;
        Ok(Self::Packed(joined))
    }

    fn multiply(&self, x: &Array) -> MlxResult<Array> {
        match self {
            Self::Plain(matrix) => matmul(x, matrix),
            Self::Packed(matrix) => matrix.multiply(x),
            Self::Several(parts) => {
                let results: Vec<Array> = parts.iter().map(|part| part.multiply(x)).collect::<MlxResult<_>>()?;
                concatenate(&results, -1)
            }
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Plain(matrix) => matrix.nbytes() as u64,
            Self::Packed(matrix) => matrix.bytes(),
            Self::Several(parts) => parts.iter().map(Self::bytes).sum(),
        }
    }
}

/// Computes a matrix now, so that what it was made of can go, and turns it for multiplication.
fn transposed(matrix: &Array) -> MlxResult<Array> {
    let turned = matrix.transpose()?;
    turned.eval()?;
    Ok(turned)
}
