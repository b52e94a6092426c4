//! A cache and the tokens it is of.

use std::rc::Rc;

use wasmlx_backend::KvCache;

use crate::model::LoadedModel;

/// What a context has on the device: a cache that has read the first `cache.len()` of the tokens.
pub(crate) struct Slot {
    pub(crate) model: Rc<LoadedModel>,
    pub(crate) tokens: Vec<u32>,
    pub(crate) cache: Box<dyn KvCache>,
}

impl Slot {
    pub(crate) fn new(model: Rc<LoadedModel>) -> Self {
        let cache = model.model.new_cache();
        Self { model, tokens: Vec::new(), cache }
    }

    /// Makes the tokens these, keeps what the cache has read of them, and leaves at least one to be read. Says how
    /// many are kept.
    pub(crate) fn reset(&mut self, tokens: Vec<u32>) -> usize {
        let read = &self.tokens[..self.cache.len()];
        let common = read.iter().zip(&tokens).take_while(|(old, new)| old == new).count();
        self.tokens = tokens;
        self.read_again_from(common.min(self.tokens.len() - 1));
        self.cache.len()
    }

    /// Forgets what the cache has read from a position on; all of it, where the cache cannot go back so far.
    pub(crate) fn read_again_from(&mut self, position: usize) {
        if self.cache.len() > position && self.cache.truncate(position).is_err() {
            self.cache = self.model.model.new_cache();
        }
    }
}
