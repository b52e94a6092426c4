//! Rotary position embedding (arXiv:2104.09864), with the ways to stretch it that [`RopeScaling`] names.

use std::cell::RefCell;

use mlx_rs::error::Result as MlxResult;
use mlx_rs::fast;
use mlx_rs::ops::indexing::TryIndexOp;
use mlx_rs::ops::{arange, clip, concatenate, select};
use mlx_rs::{Array, Dtype};

use crate::config::{ModelConfig, RopeScaling};

/// Turns pairs of numbers in every head by angles that grow with the token's position.
pub(crate) struct Rope {
    head_dimension: i32,
    traditional: bool,
    /// What positions are multiplied by.
    position_scale: f32,
    /// What heads are multiplied by before they are turned, where it is not one.
    head_scale: Option<f32>,
    wavelengths: Wavelengths,
    /// On a CPU, where MLX computes sines anew in every layer, the angles' sines and cosines so far.
    table: Option<RefCell<Table>>,
}

enum Wavelengths {
    /// A geometric row with this base.
    Geometric(f32),
    /// `[head_dimension / 2]`, each divided by 2 pi.
    Given(Array),
    /// A geometric row whose base grows when the text is longer than the context.
    Growing { theta: f64, factor: f64, context: f64 },
}

/// Factors for the positions `0..positions`, each `[positions, head_dimension]`.
struct Table {
    dtype: Dtype,
    positions: i32,
    cosines: Array,
    /// Negative in the first half of a row.
    sines: Array,
}

/// Tokens' positions, prepared once for all layers.
pub(crate) enum Rotation {
    /// Rows of the table.
    Factors { cosines: Array, sines: Array },
    /// For MLX's own kernel: the first position, and the base where it is a number.
    Kernel { offset: i32, base: Option<f32> },
}

impl Rotation {
    /// Whether heads must be turned as a whole array, not as a part of a larger one.
    ///
    /// MLX's kernel gives its result the strides of a transposed argument, but only the room that the argument's own
    /// numbers take: of a part of a larger array it writes beyond the end (MLX 0.32.2, CUDA). So values are turned with
    /// queries and keys, and not used.
    pub(crate) fn wants_whole_arrays(&self) -> bool {
        matches!(self, Self::Kernel { .. })
    }
}

/// The table grows by so many positions at once.
const TABLE_STEP: i32 = 512;

impl Rope {
    /// `dtype` is that of the heads it will turn.
    pub(crate) fn new(config: &ModelConfig, on_cpu: bool, dtype: Dtype) -> MlxResult<Self> {
        let theta = config.rope.theta;
        let half = config.head_dimension / 2;
        let mut position_scale = 1.0;
        let mut head_scale = None;
        let wavelengths = match &config.rope.scaling {
            RopeScaling::Default => Wavelengths::Geometric(theta),
            RopeScaling::Linear { factor } => {
                position_scale = 1.0 / factor;
                Wavelengths::Geometric(theta)
            }
            RopeScaling::Dynamic { factor, original_context } => {
                Wavelengths::Growing { theta: f64::from(theta), factor: *factor, context: *original_context }
            }
            RopeScaling::Llama3 { factor, low_frequency_factor, high_frequency_factor, original_context } => {
                let wavelengths = geometric(theta, half)?;
                let stretch = [*factor, *low_frequency_factor, *high_frequency_factor, *original_context];
                Wavelengths::Given(llama3(&wavelengths, stretch)?)
            }
            scaling @ RopeScaling::Yarn { mscale, mscale_all_dimensions, factor, .. } => {
                let scale = attention_scale(*factor, *mscale) / attention_scale(*factor, *mscale_all_dimensions);
                head_scale = (scale != 1.0).then_some(scale as f32);
                Wavelengths::Given(yarn(scaling, theta, half)?)
            }
        };
        if let Wavelengths::Given(wavelengths) = &wavelengths {
            wavelengths.eval()?;
        }
        let mut rope = Self {
            head_dimension: config.head_dimension,
            traditional: config.rope.traditional,
            position_scale,
            head_scale,
            wavelengths,
            table: None,
        };
        if on_cpu && !rope.traditional && !matches!(rope.wavelengths, Wavelengths::Growing { .. }) {
            rope.table = Some(RefCell::new(rope.tabulate(TABLE_STEP, dtype)?));
        }
        Ok(rope)
    }

    /// Prepares the positions `offset..offset + tokens`.
    pub(crate) fn prepare(&self, offset: i32, tokens: i32) -> MlxResult<Rotation> {
        if let Some(table) = &self.table {
            let end = offset + tokens;
            let mut table = table.borrow_mut();
            if end > table.positions {
                *table = self.tabulate((end / TABLE_STEP + 1) * TABLE_STEP, table.dtype)?;
            }
            let rows = |factors: &Array| factors.try_index(offset..end);
            return Ok(Rotation::Factors { cosines: rows(&table.cosines)?, sines: rows(&table.sines)? });
        }
        let base = match &self.wavelengths {
            Wavelengths::Geometric(theta) => Some(*theta),
            Wavelengths::Given(_) => None,
            Wavelengths::Growing { theta, factor, context } => {
                let length = f64::from(offset + tokens).max(*context);
                let dimensions = f64::from(self.head_dimension);
                let growth = (factor * length / context) - (factor - 1.0);
                Some((theta * growth.powf(dimensions / (dimensions - 2.0))) as f32)
            }
        };
        Ok(Rotation::Kernel { offset, base })
    }

    /// Turns heads, `[1, heads, tokens, head_dimension]`.
    pub(crate) fn apply(&self, heads: &Array, rotation: &Rotation) -> MlxResult<Array> {
        let scaled = self.head_scale.map(|scale| heads.multiply(scalar(scale, heads.dtype())?)).transpose()?;
        let heads = scaled.as_ref().unwrap_or(heads);
        match rotation {
            Rotation::Factors { cosines, sines } => {
                let halves = heads.split_equal(2, -1)?;
                let swapped = concatenate(&[&halves[1], &halves[0]], -1)?;
                heads.multiply(cosines)?.add(swapped.multiply(sines)?)
            }
            Rotation::Kernel { offset, base } => {
                let given = match &self.wavelengths {
                    Wavelengths::Given(wavelengths) => Some(wavelengths),
                    _ => None,
                };
                let (size, scale) = (self.head_dimension, self.position_scale);
                fast::rope(heads, size, self.traditional, *base, scale, *offset, given)
            }
        }
    }

    /// The same arithmetic as the one that MLX falls back to on a CPU.
    fn tabulate(&self, positions: i32, dtype: Dtype) -> MlxResult<Table> {
        let half = self.head_dimension / 2;
        let frequencies = match &self.wavelengths {
            Wavelengths::Given(wavelengths) => wavelengths.reciprocal()?,
            Wavelengths::Geometric(theta) => {
                let exponents = arange::<i32, f32>(0, -half, -1)?;
                exponents.multiply(Array::from_f32(theta.ln() / half as f32))?.exp()?
            }
            Wavelengths::Growing { .. } => return Err("a base that grows has no table".into()),
        };
        let at = arange::<i32, f32>(0, positions, None)?.multiply(Array::from_f32(self.position_scale))?;
        let angles = at.expand_dims(-1)?.multiply(frequencies)?;
        let (cosines, sines) = (angles.cos()?, angles.sin()?);
        let cosines = concatenate(&[&cosines, &cosines], -1)?.as_dtype(dtype)?;
        let sines = concatenate(&[&sines.negative()?, &sines], -1)?.as_dtype(dtype)?;
        mlx_rs::transforms::eval([&cosines, &sines])?;
        Ok(Table { dtype, positions, cosines, sines })
    }
}

/// `theta` to the power of `0, 1/half, 2/half, ...`.
fn geometric(theta: f32, half: i32) -> MlxResult<Array> {
    let exponents = arange::<i32, f32>(0, 2 * half, 2)?.divide(Array::from_f32(2.0 * half as f32))?;
    Array::from_f32(theta).power(exponents)
}

/// Llama 3.1's stretching, as mlx-lm 0.32.2 computes it: `[factor, low, high, original_context]`.
fn llama3(wavelengths: &Array, [factor, low, high, original_context]: [f32; 4]) -> MlxResult<Array> {
    let number = Array::from_f32;
    let lengths = wavelengths.multiply(number(2.0 * std::f32::consts::PI))?;
    let (longest, shortest) = (original_context / low, original_context / high);
    let stretched = select(lengths.gt(number(longest))?, wavelengths.multiply(number(factor))?, wavelengths)?;
    let medium = lengths.gt(number(shortest))?.logical_and(lengths.lt(number(longest))?)?;
    let smoothness = number(original_context).divide(&lengths)?.subtract(number(low))?.divide(number(high - low))?;
    let rest = number(1.0).subtract(&smoothness)?.divide(number(factor))?;
    let smooth = stretched.divide(rest.add(smoothness)?)?;
    select(medium, smooth, stretched)
}

/// YaRN's stretching: wavelengths that turn often within the original context are kept, those that turn less than
/// once are stretched in full, and a ramp lies between.
fn yarn(scaling: &RopeScaling, theta: f32, half: i32) -> MlxResult<Array> {
    let RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, .. } = scaling else {
        return geometric(theta, half);
    };
    let dimensions = f64::from(2 * half);
    let turning = |times: f64| {
        let context = original_context / (times * 2.0 * std::f64::consts::PI);
        dimensions * context.ln() / (2.0 * f64::from(theta).ln())
    };
    let low = turning(*beta_fast).floor().max(0.0);
    let mut high = turning(*beta_slow).ceil().min(dimensions - 1.0);
    if low == high {
        high += 0.001; // the ramp must not divide by zero
    }
    let ramp = arange::<i32, f32>(0, half, None)?.subtract(Array::from_f32(low as f32))?;
    let ramp = clip(ramp.divide(Array::from_f32((high - low) as f32))?, (0.0, 1.0))?;
    let kept = Array::from_f32(1.0).subtract(ramp)?;
    let short = geometric(theta, half)?;
    let long = short.multiply(Array::from_f32(*factor as f32))?;
    let mixed = long.multiply(&kept)?.add(short.multiply(Array::from_f32(1.0).subtract(kept)?)?)?;
    long.multiply(short)?.divide(mixed)
}

/// YaRN's temperature of attention.
fn attention_scale(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
}

fn scalar(value: f32, dtype: Dtype) -> MlxResult<Array> {
    Array::from_f32(value).as_dtype(dtype)
}
