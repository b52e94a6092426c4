//! Scores of the next token and a chosen token, as lazy arrays.
//!
//! What the operations compute is mlx-lm 0.32.2's `sample_utils`, whose results users compare with.

use std::any::Any;
use std::cell::Cell;
use std::sync::Arc;

use mlx_rs::error::Result as MlxResult;
use mlx_rs::ops::indexing::{TryIndexOp, argmax_axis, put_along_axis, scatter_add_single, take_along_axis};
use mlx_rs::ops::{argpartition_axis, cumsum, full, maximum, select, softmax_axis, sort_axis};
use mlx_rs::{Array, Dtype, random, transforms};
use wasmlx_backend::{BackendError, Logits, Penalties, SampleKey, Token};

use crate::device::Tally;
use crate::error::{Doing, invalid_input};

/// Scores, `[vocabulary]`.
pub(crate) struct MlxLogits {
    /// In the model's type until the first operation, then in float32.
    scores: Array,
    /// Whether the scores are log-probabilities, of which filters may have dropped some.
    normalised: bool,
    vocabulary: u32,
    tally: Arc<Tally>,
}

impl MlxLogits {
    pub(crate) fn new(scores: Array, vocabulary: u32, tally: Arc<Tally>) -> Self {
        Self { scores, normalised: false, vocabulary, tally }
    }

    /// Replaces the scores by what `change` makes of them; they are scores again, no log-probabilities.
    fn change(&mut self, what: &str, change: impl FnOnce(Array) -> MlxResult<Array>) -> Result<(), BackendError> {
        self.scores = wide(&self.scores).and_then(change).doing(what)?;
        self.normalised = false;
        Ok(())
    }

    /// Drops tokens by their log-probabilities.
    fn filter(&mut self, what: &str, filter: impl FnOnce(&Array) -> MlxResult<Array>) -> Result<(), BackendError> {
        if !self.normalised {
            self.scores = log_probabilities(&self.scores).doing(what)?;
            self.normalised = true;
        }
        self.scores = filter(&self.scores).doing(what)?;
        Ok(())
    }

    /// Indices for the device; none where there are none.
    fn indices(&self, tokens: impl IntoIterator<Item = u32>) -> Result<Option<Array>, BackendError> {
        let tokens: Vec<u32> = tokens.into_iter().collect();
        if let Some(token) = tokens.iter().find(|&&token| token >= self.vocabulary) {
            let vocabulary = self.vocabulary;
            return Err(invalid_input(format!("token {token} is outside the model's vocabulary of {vocabulary}")));
        }
        Ok((!tokens.is_empty()).then(|| Array::from_slice(&tokens, &[tokens.len() as i32])))
    }

    /// Draws a token from the softmax of the scores.
    fn draw(&self, key: &Array) -> MlxResult<Array> {
        random::categorical(wide(&self.scores)?, -1, None, Some(key))
    }

    /// Waits for the device.
    fn numbers(&self, array: MlxResult<Array>, what: &str) -> Result<Vec<f32>, BackendError> {
        self.tally.evals();
        self.tally.reads();
        array.doing(what)?.to_vec_exact::<f32>().doing(what)
    }
}

/// Scores in float32.
fn wide(scores: &Array) -> MlxResult<Array> {
    if scores.dtype() == Dtype::Float32 { Ok(scores.clone()) } else { scores.as_dtype(Dtype::Float32) }
}

fn log_probabilities(scores: &Array) -> MlxResult<Array> {
    let scores = wide(scores)?;
    scores.subtract(scores.logsumexp(true)?)
}

fn number(value: f32) -> Array {
    Array::from_f32(value)
}

fn never() -> Array {
    number(f32::NEG_INFINITY)
}

/// A byte a bit: the device takes bytes as they are, and one copy of them costs it less than unpacking words. By a
/// table, since the loop over the bits of a large vocabulary took several times as long.
fn expanded(mask: &[u32], vocabulary: usize) -> Vec<bool> {
    const BITS: [[bool; 8]; 256] = {
        let mut bits = [[false; 8]; 256];
        let mut index = 0;
        while index < 8 * 256 {
            bits[index / 8][index % 8] = (index / 8) >> (index % 8) & 1 == 1;
            index += 1;
        }
        bits
    };
    let bytes = mask.iter().flat_map(|word| word.to_le_bytes());
    let mut allowed = bytes.map(|byte| BITS[usize::from(byte)]).collect::<Vec<_>>().into_flattened();
    allowed.resize(vocabulary, false);
    allowed
}

/// A condition of the parameters that failed.
fn refuse(what: &str, value: f32, range: &str) -> BackendError {
    invalid_input(format!("{what} is {value}, but must be {range}"))
}

impl Logits for MlxLogits {
    fn scale(&mut self, factor: f32) -> Result<(), BackendError> {
        if !factor.is_finite() {
            return Err(refuse("a factor of scores", factor, "finite"));
        }
        self.change("scaling scores", |scores| scores.multiply(number(factor)))
    }

    fn bias(&mut self, biases: &[(u32, f32)]) -> Result<(), BackendError> {
        let Some(indices) = self.indices(biases.iter().map(|bias| bias.0))? else { return Ok(()) };
        let values: Vec<f32> = biases.iter().map(|bias| bias.1).collect();
        let values = Array::from_slice(&values, &[values.len() as i32, 1]);
        self.change("adding biases", |scores| scatter_add_single(scores, indices, values, 0))
    }

    fn allow(&mut self, tokens: &[u32]) -> Result<(), BackendError> {
        let Some(indices) = self.indices(tokens.iter().copied())? else {
            return Err(invalid_input("a list of allowed tokens must not be empty"));
        };
        self.change("allowing tokens", |scores| {
            let kept = scores.take_axis(&indices, 0)?;
            put_along_axis(full::<f32>(scores.shape(), never())?, indices, kept, 0)
        })
    }

    fn allow_mask(&mut self, mask: &[u32]) -> Result<(), BackendError> {
        let allowed = expanded(mask, self.vocabulary as usize);
        self.change("masking scores", |scores| {
            let allowed = Array::from_slice(&allowed, scores.shape());
            select(allowed, scores, never())
        })
    }

    fn forbid(&mut self, tokens: &[u32]) -> Result<(), BackendError> {
        let Some(indices) = self.indices(tokens.iter().copied())? else { return Ok(()) };
        self.change("forbidding tokens", |scores| put_along_axis(scores, indices, never(), 0))
    }

    fn penalise(&mut self, penalties: &Penalties<'_>) -> Result<(), BackendError> {
        let Penalties { tokens, repetition, presence, frequency } = *penalties;
        if !(repetition > 0.0 && repetition.is_finite()) {
            return Err(refuse("a repetition penalty", repetition, "positive"));
        }
        let mut distinct = tokens.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let (Some(distinct), Some(all)) = (self.indices(distinct)?, self.indices(tokens.iter().copied())?) else {
            return Ok(());
        };
        self.change("applying penalties", |mut scores| {
            if repetition != 1.0 || presence != 0.0 {
                let mut chosen = scores.take_axis(&distinct, 0)?;
                if repetition != 1.0 {
                    let lower = chosen.multiply(number(repetition))?;
                    chosen = select(chosen.lt(number(0.0))?, lower, chosen.divide(number(repetition))?)?;
                }
                if presence != 0.0 {
                    chosen = chosen.subtract(number(presence))?;
                }
                scores = put_along_axis(scores, &distinct, chosen, 0)?;
            }
            if frequency != 0.0 {
                let each = full::<f32>(&[all.dim(0), 1], number(-frequency))?;
                scores = scatter_add_single(scores, all, each, 0)?;
            }
            Ok(scores)
        })
    }

    fn top_k(&mut self, k: u32) -> Result<(), BackendError> {
        if k == 0 || k >= self.vocabulary {
            return Ok(());
        }
        let k = k as i32;
        self.filter("keeping the best tokens", |scores| {
            let others = argpartition_axis(scores.negative()?, k - 1, -1)?.try_index(k..)?;
            put_along_axis(scores, others, never(), -1)
        })
    }

    fn top_p(&mut self, p: f32) -> Result<(), BackendError> {
        if p.is_nan() || p <= 0.0 {
            return Err(refuse("top-p", p, "above 0"));
        }
        if p >= 1.0 {
            return Ok(());
        }
        self.filter("keeping the most probable tokens", |scores| {
            let sorted = sort_axis(scores, -1)?;
            let probabilities = sorted.exp()?;
            let mass_above = cumsum(&probabilities, -1, true, false)?;
            let total = mass_above.try_index(..1)?.add(probabilities.try_index(..1)?)?;
            let dropped = mass_above.ge(total.multiply(number(p))?)?.sum_axis(-1, true)?;
            let threshold = take_along_axis(sorted, dropped, -1)?;
            select(scores.lt(threshold)?, never(), scores)
        })
    }

    fn min_p(&mut self, p: f32, min_keep: u32) -> Result<(), BackendError> {
        if !(0.0..=1.0).contains(&p) {
            return Err(refuse("min-p", p, "between 0 and 1"));
        }
        if p == 0.0 || min_keep >= self.vocabulary {
            return Ok(());
        }
        let keep = min_keep as i32;
        self.filter("dropping improbable tokens", |scores| {
            let best = scores.max_axis(-1, true)?;
            let mut drop = scores.lt(best.add(number(f64::from(p).ln() as f32))?)?;
            if keep > 1 {
                let ranked = argpartition_axis(scores, -keep, -1)?;
                drop = put_along_axis(drop, ranked.try_index(-keep..)?, Array::from_bool(false), -1)?;
            }
            select(drop, never(), scores)
        })
    }

    fn xtc(&mut self, probability: f32, threshold: f32, special: &[u32], key: SampleKey) -> Result<(), BackendError> {
        if !(0.0..=1.0).contains(&probability) {
            return Err(refuse("XTC's probability", probability, "between 0 and 1"));
        }
        if !(0.0..=0.5).contains(&threshold) {
            return Err(refuse("XTC's threshold", threshold, "between 0 and 0.5"));
        }
        let special = self.indices(special.iter().copied())?;
        if probability == 0.0 {
            return Ok(());
        }
        self.filter("excluding top choices", |scores| {
            let probabilities = softmax_axis(scores, -1, None)?;
            let above = probabilities.gt(number(threshold))?;
            let least = select(above, &probabilities, number(f32::INFINITY))?.min_axis(-1, true)?;
            let mut drop = probabilities.gt(least)?;
            if let Some(special) = special {
                drop = put_along_axis(drop, special, Array::from_bool(false), -1)?;
            }
            let chance = random::uniform::<f32, f32>(0.0, 1.0, None, Some(&random::key(key.bits())?))?;
            let excluded = select(drop, never(), scores)?;
            select(chance.gt(number(probability))?, scores, excluded)
        })
    }

    fn mix(&mut self, other: &dyn Logits, weight: f32) -> Result<(), BackendError> {
        let other = other.as_any().downcast_ref::<Self>().filter(|other| other.vocabulary == self.vocabulary);
        let other = other.ok_or_else(|| invalid_input("scores mix with those of the same vocabulary only"))?;
        self.change("mixing scores", |scores| {
            scores.multiply(number(1.0 - weight))?.add(wide(&other.scores)?.multiply(number(weight))?)
        })
    }

    fn fork(&self) -> Result<Box<dyn Logits>, BackendError> {
        let (scores, tally) = (self.scores.clone(), Arc::clone(&self.tally));
        Ok(Box::new(Self { scores, normalised: self.normalised, vocabulary: self.vocabulary, tally }))
    }

    fn sample(&mut self, key: SampleKey) -> Result<Box<dyn Token>, BackendError> {
        let sampled = random::key(key.bits()).and_then(|key| self.draw(&key)).doing("sampling a token")?;
        Ok(Box::new(MlxToken::new(sampled, Arc::clone(&self.tally))))
    }

    fn argmax(&mut self) -> Result<Box<dyn Token>, BackendError> {
        let best = argmax_axis(&self.scores, -1, None).doing("choosing the best token")?;
        Ok(Box::new(MlxToken::new(best, Arc::clone(&self.tally))))
    }

    fn start(&self) -> Result<(), BackendError> {
        self.tally.evals();
        transforms::async_eval([&self.scores]).doing("computing scores")
    }

    fn top(&mut self, k: u32) -> Result<Vec<(u32, f32)>, BackendError> {
        let k = k.min(self.vocabulary);
        if k == 0 {
            return Ok(Vec::new());
        }
        self.tally.evals();
        self.tally.reads();
        let best = log_probabilities(&self.scores).and_then(|scores| {
            let order = argpartition_axis(scores.negative()?, k as i32 - 1, -1)?.try_index(..k as i32)?;
            let chosen = scores.take_axis(&order, 0)?;
            transforms::eval([&order, &chosen])?;
            Ok((order, chosen))
        });
        let (order, chosen) = best.doing("reading the best tokens")?;
        let order = order.to_vec_exact::<u32>().doing("reading the best tokens")?;
        let chosen = chosen.to_vec_exact::<f32>().doing("reading the best tokens")?;
        let mut best: Vec<(u32, f32)> = order.into_iter().zip(chosen).collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(best)
    }

    fn entropy(&mut self) -> Result<f32, BackendError> {
        let entropy = log_probabilities(&self.scores).and_then(|scores| {
            // A dropped token has probability 0, and 0 times its infinite logarithm counts as 0.
            let finite = maximum(&scores, number(f32::MIN))?;
            scores.exp()?.multiply(finite)?.sum_axis(-1, true)?.negative()
        });
        let entropy = self.numbers(entropy, "reading the entropy")?;
        Ok(entropy.first().copied().unwrap_or_default())
    }

    fn logprobs(&mut self, tokens: &[u32]) -> Result<Vec<f32>, BackendError> {
        let Some(indices) = self.indices(tokens.iter().copied())? else { return Ok(Vec::new()) };
        let chosen = log_probabilities(&self.scores).and_then(|scores| scores.take_axis(indices, 0));
        self.numbers(chosen, "reading log-probabilities")
    }

    fn read(&mut self) -> Result<Vec<f32>, BackendError> {
        let scores = wide(&self.scores).and_then(|scores| scores.contiguous());
        self.numbers(scores, "reading scores")
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A token that the device may not have computed yet.
pub(crate) struct MlxToken {
    /// One unsigned 32-bit number.
    pub(crate) array: Array,
    /// Whether it was handed to the device.
    started: Cell<bool>,
    tally: Arc<Tally>,
}

impl MlxToken {
    fn new(array: Array, tally: Arc<Tally>) -> Self {
        Self { array, started: Cell::new(false), tally }
    }

    fn note_start(&self) {
        if !self.started.replace(true) {
            self.tally.evals();
        }
    }
}

impl Token for MlxToken {
    fn start(&self) -> Result<(), BackendError> {
        self.note_start();
        transforms::async_eval([&self.array]).doing("computing a token")
    }

    fn read(&self) -> Result<u32, BackendError> {
        self.note_start();
        self.tally.reads();
        self.array.try_item_exact::<u32>().doing("reading a token")
    }

    fn fork(&self) -> Box<dyn Token> {
        let (array, tally) = (self.array.clone(), Arc::clone(&self.tally));
        Box::new(Self { array, started: self.started.clone(), tally })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests;
