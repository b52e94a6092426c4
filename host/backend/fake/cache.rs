//! A cache that remembers exactly which tokens were read.

use std::any::Any;
use std::sync::{Arc, Mutex};

use super::invalid;
use super::state::{State, TOKEN_BYTES, lock};
use crate::{BackendError, KvCache, SampleKey};

pub(super) struct FakeCache {
    state: Arc<State>,
    number: u64,
    tokens: Arc<Mutex<Vec<u32>>>,
    /// The hash of the tokens up to each.
    hashes: Vec<u64>,
    never_truncates: bool,
}

impl FakeCache {
    pub(super) fn new(state: Arc<State>, never_truncates: bool) -> Self {
        Self::with(state, Vec::new(), Vec::new(), never_truncates)
    }

    fn with(state: Arc<State>, tokens: Vec<u32>, hashes: Vec<u64>, never_truncates: bool) -> Self {
        let tokens = Arc::new(Mutex::new(tokens));
        let number = state.add_cache(&tokens);
        Self { state, number, tokens, hashes, never_truncates }
    }

    /// A cache of this device.
    pub(super) fn of<'a>(cache: &'a mut dyn KvCache, state: &Arc<State>) -> Result<&'a mut Self, BackendError> {
        let own = cache.as_any_mut().downcast_mut::<Self>().filter(|cache| Arc::ptr_eq(&cache.state, state));
        own.ok_or_else(|| invalid("the cache is another device's"))
    }

    pub(super) fn extend(&mut self, tokens: &[u32]) {
        lock(&self.tokens).extend(tokens);
        for &token in tokens {
            let before = self.hashes.last().copied().unwrap_or(0);
            self.hashes.push(SampleKey { seed: before, position: token, draw: 1 }.bits());
        }
    }

    /// Calls with all tokens and their hash.
    pub(super) fn with_tokens<T>(&self, call: impl FnOnce(&[u32], u64) -> T) -> T {
        call(&lock(&self.tokens), self.hashes.last().copied().unwrap_or(0))
    }
}

impl KvCache for FakeCache {
    fn len(&self) -> usize {
        self.hashes.len()
    }

    fn truncate(&mut self, len: usize) -> Result<(), BackendError> {
        if self.never_truncates && len < self.len() {
            return Err(invalid("the cache has forgotten what it would go back to"));
        }
        lock(&self.tokens).truncate(len);
        self.hashes.truncate(len);
        Ok(())
    }

    fn fork(&self) -> Result<Box<dyn KvCache>, BackendError> {
        let tokens = lock(&self.tokens).clone();
        self.state.check_room(tokens.len())?;
        Ok(Box::new(Self::with(Arc::clone(&self.state), tokens, self.hashes.clone(), self.never_truncates)))
    }

    fn bytes(&self) -> u64 {
        self.len() as u64 * TOKEN_BYTES
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Drop for FakeCache {
    fn drop(&mut self) {
        self.state.remove_cache(self.number);
    }
}
