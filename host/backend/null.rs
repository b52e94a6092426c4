//! Scores of a device that computes nothing: what a policy costs on them is the policy's own.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{BackendError, Logits, Penalties, SampleKey, Token};

/// How many scores there are: those of the Qwen3 models.
pub const SCORES: u32 = 151_936;

/// The token that is chosen where a policy allows any.
const USUAL: u32 = 17;

/// Scores that are never computed. They know which token a policy allows, and count the bytes of the lists that cross
/// the boundary to and from them.
pub struct NullLogits {
    chosen: u32,
    bytes: Arc<AtomicU64>,
}

struct Chosen(u32);

impl NullLogits {
    /// Scores that count into `bytes`.
    pub fn new(bytes: Arc<AtomicU64>) -> Self {
        Self { chosen: USUAL, bytes }
    }

    fn count<T>(&self, list: &[T]) {
        self.bytes.fetch_add(size_of_val(list) as u64, Ordering::Relaxed);
    }
}

impl Logits for NullLogits {
    fn scale(&mut self, _: f32) -> Result<(), BackendError> {
        Ok(())
    }

    fn bias(&mut self, biases: &[(u32, f32)]) -> Result<(), BackendError> {
        self.count(biases);
        Ok(())
    }

    fn allow(&mut self, tokens: &[u32]) -> Result<(), BackendError> {
        self.count(tokens);
        self.chosen = tokens.first().copied().unwrap_or(USUAL);
        Ok(())
    }

    /// A grammar's: it lies in the host, and does not cross.
    fn allow_mask(&mut self, mask: &[u32]) -> Result<(), BackendError> {
        let first = (0..).zip(mask).find(|(_, word)| **word != 0);
        self.chosen = first.map_or(USUAL, |(index, word): (u32, _)| 32 * index + word.trailing_zeros());
        Ok(())
    }

    fn forbid(&mut self, tokens: &[u32]) -> Result<(), BackendError> {
        self.count(tokens);
        Ok(())
    }

    fn penalise(&mut self, penalties: &Penalties<'_>) -> Result<(), BackendError> {
        self.count(penalties.tokens);
        Ok(())
    }

    fn top_k(&mut self, _: u32) -> Result<(), BackendError> {
        Ok(())
    }

    fn top_p(&mut self, _: f32) -> Result<(), BackendError> {
        Ok(())
    }

    fn min_p(&mut self, _: f32, _: u32) -> Result<(), BackendError> {
        Ok(())
    }

    fn xtc(&mut self, _: f32, _: f32, _: &[u32], _: SampleKey) -> Result<(), BackendError> {
        Ok(())
    }

    fn mix(&mut self, _: &dyn Logits, _: f32) -> Result<(), BackendError> {
        Ok(())
    }

    fn fork(&self) -> Result<Box<dyn Logits>, BackendError> {
        Ok(Box::new(Self { chosen: self.chosen, bytes: Arc::clone(&self.bytes) }))
    }

    fn sample(&mut self, _: SampleKey) -> Result<Box<dyn Token>, BackendError> {
        Ok(Box::new(Chosen(self.chosen)))
    }

    fn argmax(&mut self) -> Result<Box<dyn Token>, BackendError> {
        Ok(Box::new(Chosen(self.chosen)))
    }

    fn start(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn top(&mut self, k: u32) -> Result<Vec<(u32, f32)>, BackendError> {
        let best: Vec<_> = (0..k.min(SCORES)).map(|token| (token, -1.0 - token as f32)).collect();
        self.count(&best);
        Ok(best)
    }

    fn entropy(&mut self) -> Result<f32, BackendError> {
        Ok(1.0)
    }

    fn logprobs(&mut self, tokens: &[u32]) -> Result<Vec<f32>, BackendError> {
        let logprobs = vec![-1.0; tokens.len()];
        self.count(tokens);
        self.count(&logprobs);
        Ok(logprobs)
    }

    fn read(&mut self) -> Result<Vec<f32>, BackendError> {
        let scores = vec![0.0; SCORES as usize];
        self.count(&scores);
        Ok(scores)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Token for Chosen {
    fn start(&self) -> Result<(), BackendError> {
        Ok(())
    }

    fn read(&self) -> Result<u32, BackendError> {
        Ok(self.0)
    }

    fn fork(&self) -> Box<dyn Token> {
        Box::new(Self(self.0))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
