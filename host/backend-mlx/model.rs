//! A loaded model, as the engine holds it.

use std::sync::Arc;

use mlx_rs::{Array, memory, transforms};
use wasmlx_backend::{BackendError, Input, KvCache, Logits, Model, ModelInfo};

use crate::cache::MlxCache;
use crate::device::Tally;
use crate::error::{Doing, invalid_input};
use crate::layers::Decoder;
use crate::logits::{MlxLogits, MlxToken};

/// A decoder with its number in the process, by which it knows its caches.
pub(crate) struct MlxModel {
    pub(crate) id: u64,
    pub(crate) info: ModelInfo,
    pub(crate) decoder: Decoder,
    pub(crate) tally: Arc<Tally>,
}

impl MlxModel {
    fn own<'a>(&self, cache: &'a mut dyn KvCache) -> Result<&'a mut MlxCache, BackendError> {
        let cache = cache.as_any_mut().downcast_mut::<MlxCache>().filter(|cache| cache.model == self.id);
        cache.ok_or_else(|| invalid_input("the cache belongs to another model"))
    }

    fn upload(&self, tokens: &[u32]) -> Result<Array, BackendError> {
        let vocabulary = self.info.vocabulary_size;
        if tokens.is_empty() {
            return Err(invalid_input("a model cannot read no tokens"));
        }
        if let Some(token) = tokens.iter().find(|&&token| token >= vocabulary) {
            return Err(invalid_input(format!("token {token} is outside the model's vocabulary of {vocabulary}")));
        }
        Ok(Array::from_slice(tokens, &[tokens.len() as i32]))
    }
}

/// Where `count` more tokens begin; positions are 32-bit numbers.
fn offset(cache: &MlxCache, count: i32) -> Result<i32, BackendError> {
    let offset = i32::try_from(cache.tokens).ok().filter(|offset| offset.checked_add(count).is_some());
    offset.ok_or_else(|| invalid_input("a sequence cannot hold more than 2^31 tokens"))
}

impl Model for MlxModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn new_cache(&self) -> Box<dyn KvCache> {
        Box::new(MlxCache::new(self.id, self.decoder.depth()))
    }

    fn forward(&self, input: Input<'_>, cache: &mut dyn KvCache) -> Result<Box<dyn Logits>, BackendError> {
        let cache = self.own(cache)?;
        let tokens = match input {
            Input::Ids(tokens) => self.upload(tokens)?,
            Input::Sampled(token) => {
                let token = token.as_any().downcast_ref::<MlxToken>();
                let token = token.ok_or_else(|| invalid_input("the token was sampled by another backend"))?;
                token.array.reshape(&[1]).doing("reading a token")?
            }
        };
        let count = tokens.dim(0);
        let offset = offset(cache, count)?;
        let scores = self.decoder.forward(&tokens, &mut cache.layers, offset).doing("building a forward pass")?;
        cache.tokens += count as usize;
        self.tally.forwards();
        Ok(Box::new(MlxLogits::new(scores, self.info.vocabulary_size, Arc::clone(&self.tally))))
    }

    fn prefill(&self, tokens: &[u32], cache: &mut dyn KvCache) -> Result<(), BackendError> {
        let cache = self.own(cache)?;
        let tokens = self.upload(tokens)?;
        let count = tokens.dim(0);
        let offset = offset(cache, count)?;
        self.decoder.fill(&tokens, &mut cache.layers, offset).doing("building a forward pass")?;
        self.tally.forwards();
        self.tally.evals();
        transforms::eval(cache.arrays()).doing("reading tokens")?;
        cache.tokens += count as usize;
        // What a chunk of a prompt needed is far more than what a single token will.
        memory::clear_cache().doing("freeing memory")
    }
}
