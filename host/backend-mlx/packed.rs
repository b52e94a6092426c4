//! Quantised matrices: as MLX multiplies by them, and unpacked.
//!
//! MLX's affine quantisation packs the numbers of a row, `bits` bits each, without a gap and least significant bit
//! first into 32-bit words; a number `q` stands for `q * scale + bias`, with a scale and a bias for every `group_size`
//! numbers of the row (<https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.quantize.html>).

use std::num::NonZero;
use std::thread;

use mlx_rs::error::Result as MlxResult;
use mlx_rs::ops::{self, concatenate};
use mlx_rs::{Array, Dtype};
use wasmlx_backend::{BackendError, BackendErrorKind};

use crate::config::Packing;
use crate::error::Doing;

/// Matrices with fewer numbers are unpacked on one thread.
const WORTH_A_THREAD: usize = 1 << 16;

/// A matrix of `rows` x `columns` numbers in quantised form.
pub(crate) struct Packed {
    pub(crate) packing: Packing,
    /// `[rows, columns * bits / 32]`, 32-bit words.
    pub(crate) words: Array,
    /// `[rows, columns / group_size]`.
    pub(crate) scales: Array,
    /// `[rows, columns / group_size]`.
    pub(crate) biases: Array,
}

impl Packed {
    /// `x` times the transposed matrix.
    pub(crate) fn multiply(&self, x: &Array) -> MlxResult<Array> {
        let Packing { bits, group_size } = self.packing;
        ops::quantized_matmul(x, &self.words, &self.scales, &self.biases, true, group_size, bits)
    }

    /// Some of its rows, unpacked on the device.
    pub(crate) fn rows(&self, indices: &Array) -> MlxResult<Array> {
        let Packing { bits, group_size } = self.packing;
        let words = self.words.take_axis(indices, 0)?;
        let scales = self.scales.take_axis(indices, 0)?;
        let biases = self.biases.take_axis(indices, 0)?;
        ops::dequantize(&words, &scales, &biases, group_size, bits)
    }

    /// Bytes of device memory.
    pub(crate) fn bytes(&self) -> u64 {
        (self.words.nbytes() + self.scales.nbytes() + self.biases.nbytes()) as u64
    }

    /// All of it, unpacked on the device.
    pub(crate) fn unpack_on_device(&self) -> MlxResult<Array> {
        let Packing { bits, group_size } = self.packing;
        ops::dequantize(&self.words, &self.scales, &self.biases, group_size, bits)
    }

    /// One matrix with the rows of all of `parts`, where they are packed alike.
    pub(crate) fn stack(parts: &[Packed]) -> Option<MlxResult<Packed>> {
        let first = parts.first()?;
        let alike = |part: &Packed| {
            part.packing == first.packing
                && part.scales.dtype() == first.scales.dtype()
                && part.biases.dtype() == first.biases.dtype()
        };
        parts.iter().all(alike).then(|| {
            let stack = |which: fn(&Packed) -> &Array| concatenate(&parts.iter().map(which).collect::<Vec<_>>(), 0);
            Ok(Packed {
                packing: first.packing,
                words: stack(|part| &part.words)?,
                scales: stack(|part| &part.scales)?,
                biases: stack(|part| &part.biases)?,
            })
        })
    }
}

/// Unpacks matrices of as many columns on the host, in float32, one below the other.
///
/// The result is to the bit what `mlx_lm convert --dequantize --dtype float32` makes: scales and biases are widened
/// first, then one multiplication and one addition a number. MLX's own `dequantize` takes ten times as long on a CPU.
pub(crate) fn unpack(parts: &[Packed]) -> Result<Array, BackendError> {
    let size = |part: &Packed| part.scales.size() * part.packing.group_size as usize;
    let mut numbers: Vec<f32> = Vec::new();
    let total = parts.iter().map(size).sum();
    numbers.try_reserve_exact(total).map_err(|error| {
        let message = format!("no memory for {total} unpacked weights: {error}");
        BackendError::new(BackendErrorKind::OutOfMemory, message)
    })?;
    let mut columns = 0;
    for part in parts {
        let scales = part.scales.as_dtype(Dtype::Float32).doing("reading scales")?;
        let biases = part.biases.as_dtype(Dtype::Float32).doing("reading biases")?;
        let words = part.words.try_as_slice::<u32>().doing("reading weights")?;
        let scales = scales.try_as_slice::<f32>().doing("reading scales")?;
        let biases = biases.try_as_slice::<f32>().doing("reading biases")?;
        columns = part.scales.dim(1) as usize * part.packing.group_size as usize;
        let start = numbers.len();
        numbers.resize(start + size(part), 0.0);
        unpack_groups(part.packing, words, scales, biases, &mut numbers[start..]);
    }
    let rows = numbers.len() / columns.max(1);
    Ok(Array::from_slice(&numbers, &[rows as i32, columns as i32]))
}

/// Unpacks a matrix, cut among threads where it is large.
fn unpack_groups(packing: Packing, words: &[u32], scales: &[f32], biases: &[f32], numbers: &mut [f32]) {
    let group_size = packing.group_size as usize;
    let words_per_group = group_size * packing.bits as usize / 32;
    let threads =
        if numbers.len() < WORTH_A_THREAD { 1 } else { thread::available_parallelism().map_or(1, NonZero::get) };
    let groups = scales.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let shares = numbers
            .chunks_mut(groups * group_size)
            .zip(words.chunks(groups * words_per_group))
            .zip(scales.chunks(groups).zip(biases.chunks(groups)));
        for ((numbers, words), (scales, biases)) in shares {
            let mut share = move || {
                let groups = numbers.chunks_exact_mut(group_size).zip(words.chunks_exact(words_per_group));
                for ((numbers, words), (&scale, &bias)) in groups.zip(scales.iter().zip(biases)) {
                    unpack_group(packing.bits, words, scale, bias, numbers);
                }
            };
            if threads == 1 {
                share();
            } else {
                scope.spawn(share);
            }
        }
    });
}

fn unpack_group(bits: i32, words: &[u32], scale: f32, bias: f32, numbers: &mut [f32]) {
    if bits == 8 {
        for (numbers, word) in numbers.chunks_exact_mut(4).zip(words) {
            for (number, byte) in numbers.iter_mut().zip(word.to_le_bytes()) {
                *number = f32::from(byte) * scale + bias;
            }
        }
        return;
    }
    let mask = (1u64 << bits) - 1;
    let mut window = 0u64;
    let mut held = 0;
    let mut words = words.iter();
    for number in numbers {
        if held < bits {
            window |= u64::from(*words.next().unwrap_or(&0)) << held;
            held += 32;
        }
        *number = (window & mask) as f32 * scale + bias;
        window >>= bits;
        held -= bits;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MLX packs and unpacks; the host's unpacking must give the same numbers to the bit.
    #[test]
    fn unpacking_is_mlx_own_in_every_packing() {
        let numbers: Vec<f32> = (0..6 * 256).map(|i| ((i * 7919 % 1543) as f32 - 700.0) / 311.0).collect();
        let matrix = Array::from_slice(&numbers, &[6, 256]);
        for bits in [2, 3, 4, 5, 6, 8] {
            for group_size in [32, 64, 128] {
                let (words, scales, biases) = ops::quantize(&matrix, group_size, bits).unwrap();
                let packed = Packed { packing: Packing { bits, group_size }, words, scales, biases };
                let expected = packed.unpack_on_device().unwrap();
                let unpacked = unpack(&[packed]).unwrap();
                assert_eq!(unpacked.shape(), [6, 256]);
                assert_eq!(
                    unpacked.as_slice::<f32>(),
                    expected.as_slice::<f32>(),
                    "{bits} bits in groups of {group_size}"
                );
            }
        }
    }

    #[test]
    fn parts_lie_one_below_the_other_and_threads_change_nothing() {
        let numbers: Vec<f32> = (0..1024 * 128).map(|i| ((i * 31 % 997) as f32).sin()).collect();
        let packed = || {
            let (words, scales, biases) = ops::quantize(Array::from_slice(&numbers, &[1024, 128]), 64, 4).unwrap();
            Packed { packing: Packing { bits: 4, group_size: 64 }, words, scales, biases }
        };
        let both = unpack(&[packed(), packed()]).unwrap();
        assert_eq!(both.shape(), [2048, 128]);
        let expected = packed().unpack_on_device().unwrap();
        let (upper, lower) = both.as_slice::<f32>().split_at(1024 * 128);
        assert_eq!(upper, expected.as_slice::<f32>());
        assert_eq!(lower, upper);
    }
}
