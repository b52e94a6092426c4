//! Operations on scores in plain f32: what each is defined to compute.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::invalid;
use super::script::FakeScript;
use super::state::State;
use crate::{BackendError, Logits, Penalties, SampleKey, Token};

/// Scores, and what they depend on.
#[derive(Clone)]
pub(super) struct FakeLogits {
    queue: Queue,
    scores: Result<Vec<f32>, BackendError>,
    /// Whether the scores are log-probabilities, but for those that a filter dropped.
    normalised: bool,
}

/// A chosen token.
pub(super) struct FakeToken {
    queue: Queue,
    id: Result<u32, BackendError>,
}

/// Where in the device's queue a value is.
#[derive(Clone)]
struct Queue {
    state: Arc<State>,
    script: Arc<FakeScript>,
    /// The newest pass that the value depends on.
    pass: u64,
    started: Arc<AtomicBool>,
}

impl Queue {
    fn start(&self) {
        if !self.started.swap(true, Ordering::Relaxed) {
            self.state.count_eval();
        }
    }

    fn read(&self) {
        self.start();
        self.state.count_read();
        self.script.wait_for(self.pass);
    }

    /// The place of something computed from this.
    fn next(&self) -> Self {
        Self { started: Arc::default(), ..self.clone() }
    }
}

impl FakeLogits {
    pub(super) fn new(
        state: Arc<State>,
        script: Arc<FakeScript>,
        pass: u64,
        scores: Result<Vec<f32>, BackendError>,
    ) -> Self {
        Self { queue: Queue { state, script, pass, started: Arc::default() }, scores, normalised: false }
    }

    /// Applies an operation that changes scores, unless the device has failed before it.
    fn change(&mut self, operation: impl FnOnce(&mut [f32])) {
        if let Ok(scores) = &mut self.scores {
            operation(scores);
        }
        self.normalised = false;
        self.queue = self.queue.next();
    }

    /// Applies a filter, which sees log-probabilities.
    fn filter(&mut self, operation: impl FnOnce(&mut [f32])) {
        if let (Ok(scores), false) = (&mut self.scores, self.normalised) {
            normalise(scores);
        }
        self.change(operation);
        self.normalised = true;
    }

    fn check(&self, tokens: impl IntoIterator<Item = u32>) -> Result<(), BackendError> {
        let Ok(scores) = &self.scores else { return Ok(()) };
        match tokens.into_iter().find(|&token| token as usize >= scores.len()) {
            Some(token) => Err(invalid(&format!("token {token} is not in the vocabulary of {}", scores.len()))),
            None => Ok(()),
        }
    }

    fn choose(&mut self, choose: impl FnOnce(&[f32]) -> u32) -> Box<dyn Token> {
        let id = self.scores.as_deref().map(choose).map_err(Clone::clone);
        Box::new(FakeToken { queue: self.queue.next(), id })
    }

    /// Reads the log-probabilities.
    fn read_logprobs(&mut self) -> Result<Vec<f32>, BackendError> {
        let mut scores = self.read()?;
        normalise(&mut scores);
        Ok(scores)
    }
}

impl Logits for FakeLogits {
    fn scale(&mut self, factor: f32) -> Result<(), BackendError> {
        self.change(|scores| scores.iter_mut().for_each(|score| *score *= factor));
        Ok(())
    }

    fn bias(&mut self, biases: &[(u32, f32)]) -> Result<(), BackendError> {
        self.check(biases.iter().map(|&(token, _)| token))?;
        self.change(|scores| biases.iter().for_each(|&(token, bias)| scores[token as usize] += bias));
        Ok(())
    }

    fn allow(&mut self, tokens: &[u32]) -> Result<(), BackendError> {
        self.check(tokens.iter().copied())?;
        self.change(|scores| {
            let mut allowed = vec![f32::NEG_INFINITY; scores.len()];
            tokens.iter().for_each(|&token| allowed[token as usize] = scores[token as usize]);
            scores.copy_from_slice(&allowed);
        });
        Ok(())
    }

    fn allow_mask(&mut self, mask: &[u32]) -> Result<(), BackendError> {
        let is_allowed = |token: usize| mask.get(token / 32).is_some_and(|word| word >> (token % 32) & 1 == 1);
        self.change(|scores| {
            let forbidden = scores.iter_mut().enumerate().filter(|(token, _)| !is_allowed(*token));
            forbidden.for_each(|(_, score)| *score = f32::NEG_INFINITY);
        });
        Ok(())
    }

    fn forbid(&mut self, tokens: &[u32]) -> Result<(), BackendError> {
        self.check(tokens.iter().copied())?;
        self.change(|scores| tokens.iter().for_each(|&token| scores[token as usize] = f32::NEG_INFINITY));
        Ok(())
    }

    fn penalise(&mut self, penalties: &Penalties<'_>) -> Result<(), BackendError> {
        self.check(penalties.tokens.iter().copied())?;
        let mut distinct = penalties.tokens.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        self.change(|scores| {
            for &token in &distinct {
                let score = &mut scores[token as usize];
                *score = if *score < 0.0 { *score * penalties.repetition } else { *score / penalties.repetition };
                *score -= penalties.presence;
            }
            penalties.tokens.iter().for_each(|&token| scores[token as usize] -= penalties.frequency);
        });
        Ok(())
    }

    fn top_k(&mut self, k: u32) -> Result<(), BackendError> {
        self.filter(|scores| {
            if k > 0 {
                let dropped = best_first(scores).into_iter().skip(k as usize);
                dropped.for_each(|token| scores[token] = f32::NEG_INFINITY);
            }
        });
        Ok(())
    }

    fn top_p(&mut self, p: f32) -> Result<(), BackendError> {
        self.filter(|scores| {
            if p >= 1.0 {
                return;
            }
            let total: f32 = scores.iter().map(|score| score.exp()).sum();
            let mut mass_above = 0.0;
            let mut threshold = f32::NEG_INFINITY;
            for token in best_first(scores) {
                if mass_above >= p * total {
                    break;
                }
                threshold = scores[token];
                mass_above += scores[token].exp();
            }
            drop_if(scores, |score| score < threshold);
        });
        Ok(())
    }

    fn min_p(&mut self, p: f32, min_keep: u32) -> Result<(), BackendError> {
        self.filter(|scores| {
            let order = best_first(scores);
            let Some(&best) = order.first() else { return };
            let threshold = scores[best] + p.ln();
            for token in order.into_iter().skip(min_keep as usize) {
                if scores[token] < threshold {
                    scores[token] = f32::NEG_INFINITY;
                }
            }
        });
        Ok(())
    }

    fn xtc(&mut self, probability: f32, threshold: f32, special: &[u32], key: SampleKey) -> Result<(), BackendError> {
        self.check(special.iter().copied())?;
        self.filter(|scores| {
            if uniform(key.bits()) > probability {
                return;
            }
            let mut logprobs = scores.to_vec();
            normalise(&mut logprobs);
            let above = logprobs.iter().map(|logprob| logprob.exp()).filter(|&probability| probability > threshold);
            let least = above.fold(f32::INFINITY, f32::min);
            for (token, score) in scores.iter_mut().enumerate() {
                if logprobs[token].exp() > least && !special.contains(&(token as u32)) {
                    *score = f32::NEG_INFINITY;
                }
            }
        });
        Ok(())
    }

    fn mix(&mut self, other: &dyn Logits, weight: f32) -> Result<(), BackendError> {
        let other = other.as_any().downcast_ref::<Self>().ok_or_else(|| invalid("the scores are another device's"))?;
        let mixed = match (&self.scores, &other.scores) {
            (Ok(own), Ok(other)) if own.len() != other.len() => {
                return Err(invalid("scores of two vocabularies cannot be mixed"));
            }
            (Ok(own), Ok(other)) => {
                Ok(own.iter().zip(other).map(|(own, other)| own * (1.0 - weight) + other * weight).collect())
            }
            (Err(error), _) | (_, Err(error)) => Err(error.clone()),
        };
        self.scores = mixed;
        self.normalised = false;
        self.queue = Queue { pass: self.queue.pass.max(other.queue.pass), ..self.queue.next() };
        Ok(())
    }

    fn fork(&self) -> Result<Box<dyn Logits>, BackendError> {
        Ok(Box::new(self.clone()))
    }

    fn sample(&mut self, key: SampleKey) -> Result<Box<dyn Token>, BackendError> {
        // The largest of the scores, each with Gumbel noise, is a draw from their softmax (Gumbel 1954).
        let noise = |token: usize| -(-uniform(key.bits().wrapping_add(token as u64).wrapping_mul(ODD)).ln()).ln();
        Ok(self.choose(|scores| best(scores.iter().enumerate().map(|(token, score)| score + noise(token)))))
    }

    fn argmax(&mut self) -> Result<Box<dyn Token>, BackendError> {
        Ok(self.choose(|scores| best(scores.iter().copied())))
    }

    fn start(&self) -> Result<(), BackendError> {
        self.queue.start();
        Ok(())
    }

    fn top(&mut self, k: u32) -> Result<Vec<(u32, f32)>, BackendError> {
        let logprobs = self.read_logprobs()?;
        let best = best_first(&logprobs).into_iter().take(k as usize);
        Ok(best.map(|token| (token as u32, logprobs[token])).collect())
    }

    fn entropy(&mut self) -> Result<f32, BackendError> {
        let logprobs = self.read_logprobs()?;
        let finite = logprobs.iter().filter(|logprob| logprob.is_finite());
        Ok(-finite.map(|logprob| logprob.exp() * logprob).sum::<f32>())
    }

    fn logprobs(&mut self, tokens: &[u32]) -> Result<Vec<f32>, BackendError> {
        self.check(tokens.iter().copied())?;
        let logprobs = self.read_logprobs()?;
        Ok(tokens.iter().map(|&token| logprobs[token as usize]).collect())
    }

    fn read(&mut self) -> Result<Vec<f32>, BackendError> {
        self.queue.read();
        self.scores.clone()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl FakeToken {
    /// A token of a fake device.
    pub(super) fn of(token: &dyn Token) -> Result<&Self, BackendError> {
        token.as_any().downcast_ref().ok_or_else(|| invalid("the token is another device's"))
    }

    /// What the device knows of it: its id, or any with the failure before it.
    pub(super) fn on_device(&self) -> (u32, Result<(), BackendError>) {
        match &self.id {
            Ok(id) => (*id, Ok(())),
            Err(error) => (0, Err(error.clone())),
        }
    }
}

impl Token for FakeToken {
    fn start(&self) -> Result<(), BackendError> {
        self.queue.start();
        Ok(())
    }

    fn read(&self) -> Result<u32, BackendError> {
        self.queue.read();
        self.id.clone()
    }

    fn fork(&self) -> Box<dyn Token> {
        Box::new(Self { queue: self.queue.clone(), id: self.id.clone() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Spreads numbers that follow each other over all 64 bits (the golden ratio's, as in SplitMix64).
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number in (0, 1).
fn uniform(bits: u64) -> f32 {
    let mixed = SampleKey { seed: bits, position: 0, draw: 0 }.bits();
    ((mixed >> 41) as f32 + 0.5) / (1 << 23) as f32
}

/// Subtracts the logarithm of the sum of exponentials.
fn normalise(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if most.is_finite() {
        let sum: f32 = scores.iter().map(|score| (score - most).exp()).sum();
        let logarithm = most + sum.ln();
        scores.iter_mut().for_each(|score| *score -= logarithm);
    }
}

/// The first of the best.
fn best(scores: impl Iterator<Item = f32>) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, score) in scores.enumerate() {
        if score > best.1 {
            best = (token as u32, score);
        }
    }
    best.0
}

/// Tokens by score, best first; among equals the smaller id.
fn best_first(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&one, &other| scores[other].total_cmp(&scores[one]));
    order
}

fn drop_if(scores: &mut [f32], is_dropped: impl Fn(f32) -> bool) {
    scores.iter_mut().filter(|score| is_dropped(**score)).for_each(|score| *score = f32::NEG_INFINITY);
}
