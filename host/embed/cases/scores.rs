//! The scores that a case gives a policy: the fake backend's, watched.

use std::any::Any;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use wasmlx_backend::fake::{FakeBackend, FakeScript};
use wasmlx_backend::{
    Backend as _, BackendError, BackendErrorKind, Input, LoadOptions, Logits, Penalties, SampleKey, Token,
};

/// Scores that count how often they are read, and whose tokens know the distribution they were drawn from.
pub(super) struct WatchedLogits {
    inner: Box<dyn Logits>,
    reads: Arc<AtomicU32>,
}

/// A chosen token.
pub(super) struct WatchedToken {
    inner: Box<dyn Token>,
    /// The probability of each token in the draw; none where the best was taken.
    pub(super) distribution: Option<Vec<f32>>,
}

impl WatchedLogits {
    /// Scores of so many tokens.
    ///
    /// # Errors
    /// The fake backend has none to give.
    pub(super) fn new(scores: Vec<f32>) -> Result<Self, BackendError> {
        let mut backend = FakeBackend::new(FakeScript::new().scores(move |_| scores.clone()));
        let model = backend.load("case".as_ref(), &LoadOptions::default(), &mut |_| ControlFlow::Continue(()))?;
        let inner = model.forward(Input::Ids(&[0]), &mut *model.new_cache())?;
        Ok(Self { inner, reads: Arc::default() })
    }

    /// How often a policy has read these scores or a fork of them.
    pub(super) fn reads(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.reads)
    }

    fn reading(&mut self) -> &mut dyn Logits {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.as_mut()
    }
}

impl WatchedToken {
    /// A token that came of [`WatchedLogits`].
    pub(super) fn of(token: &dyn Token) -> Option<&Self> {
        token.as_any().downcast_ref()
    }
}

impl Logits for WatchedLogits {
    fn scale(&mut self, factor: f32) -> Result<(), BackendError> {
        self.inner.scale(factor)
    }

    fn bias(&mut self, biases: &[(u32, f32)]) -> Result<(), BackendError> {
        self.inner.bias(biases)
    }

    fn allow(&mut self, tokens: &[u32]) -> Result<(), BackendError> {
        self.inner.allow(tokens)
    }

    fn allow_mask(&mut self, mask: &[u32]) -> Result<(), BackendError> {
        self.inner.allow_mask(mask)
    }

    fn forbid(&mut self, tokens: &[u32]) -> Result<(), BackendError> {
        self.inner.forbid(tokens)
    }

    fn penalise(&mut self, penalties: &Penalties<'_>) -> Result<(), BackendError> {
        self.inner.penalise(penalties)
    }

    fn top_k(&mut self, k: u32) -> Result<(), BackendError> {
        self.inner.top_k(k)
    }

    fn top_p(&mut self, p: f32) -> Result<(), BackendError> {
        self.inner.top_p(p)
    }

    fn min_p(&mut self, p: f32, min_keep: u32) -> Result<(), BackendError> {
        self.inner.min_p(p, min_keep)
    }

    fn xtc(&mut self, probability: f32, threshold: f32, special: &[u32], key: SampleKey) -> Result<(), BackendError> {
        self.inner.xtc(probability, threshold, special, key)
    }

    fn mix(&mut self, other: &dyn Logits, weight: f32) -> Result<(), BackendError> {
        match other.as_any().downcast_ref::<Self>() {
            Some(other) => self.inner.mix(other.inner.as_ref(), weight),
            None => Err(BackendError::new(BackendErrorKind::InvalidInput, "the scores are another device's")),
        }
    }

    fn fork(&self) -> Result<Box<dyn Logits>, BackendError> {
        Ok(Box::new(Self { inner: self.inner.fork()?, reads: self.reads() }))
    }

    fn sample(&mut self, key: SampleKey) -> Result<Box<dyn Token>, BackendError> {
        let distribution = Some(softmax(&self.inner.fork()?.read()?));
        Ok(Box::new(WatchedToken { inner: self.inner.sample(key)?, distribution }))
    }

    fn argmax(&mut self) -> Result<Box<dyn Token>, BackendError> {
        Ok(Box::new(WatchedToken { inner: self.inner.argmax()?, distribution: None }))
    }

    fn start(&self) -> Result<(), BackendError> {
        self.inner.start()
    }

    fn top(&mut self, k: u32) -> Result<Vec<(u32, f32)>, BackendError> {
        self.reading().top(k)
    }

    fn entropy(&mut self) -> Result<f32, BackendError> {
        self.reading().entropy()
    }

    fn logprobs(&mut self, tokens: &[u32]) -> Result<Vec<f32>, BackendError> {
        self.reading().logprobs(tokens)
    }

    fn read(&mut self) -> Result<Vec<f32>, BackendError> {
        self.reading().read()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Token for WatchedToken {
    fn start(&self) -> Result<(), BackendError> {
        self.inner.start()
    }

    fn read(&self) -> Result<u32, BackendError> {
        self.inner.read()
    }

    fn fork(&self) -> Box<dyn Token> {
        Box::new(Self { inner: self.inner.fork(), distribution: self.distribution.clone() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_knows_what_it_was_drawn_from_and_reads_are_the_policys_own() {
        let mut logits = WatchedLogits::new(vec![0.0, 1.0_f32.ln(), f32::NEG_INFINITY]).unwrap();
        let reads = logits.reads();
        let token = logits.sample(SampleKey { seed: 1, position: 2, draw: 0 }).unwrap();
        assert_eq!(WatchedToken::of(token.as_ref()).unwrap().distribution, Some(vec![0.5, 0.5, 0.0]));
        assert_eq!(reads.load(Ordering::Relaxed), 0);
        logits.fork().unwrap().entropy().unwrap();
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert!(WatchedToken::of(logits.argmax().unwrap().as_ref()).unwrap().distribution.is_none());
    }
}
