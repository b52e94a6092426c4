//! A deterministic backend for tests, and for tests only: it knows nothing of language.
//!
//! Its scores are a function of all the tokens before them, by default a hash, so that a cache that holds a wrong
//! token shows at once. It behaves as a device does: work is queued and its result is not known, nor does its failure
//! show, until something reads it. A [`FakeScript`] says what it answers, what fails, and where it waits for the test
//! to go on; a [`FakeProbe`] sees what it did. Its operations on scores are the reference for other backends.
//!
//! ```
//! use wasmlx_backend::fake::{END, FakeBackend, FakeScript};
//! use wasmlx_backend::{Backend, Input, LoadOptions};
//!
//! let mut backend = FakeBackend::new(FakeScript::new().says(2, &[7, END]));
//! let probe = backend.probe();
//! let model = backend.load("any".as_ref(), &LoadOptions::default(), &mut |_| std::ops::ControlFlow::Continue(()))?;
//! let mut cache = model.new_cache();
//! let token = model.forward(Input::Ids(&[1, 2]), &mut *cache)?.argmax()?;
//! assert_eq!(probe.counters().reads, 0);
//! assert_eq!(token.read()?, 7);
//! assert_eq!(probe.caches(), [[1, 2]]);
//! # Ok::<(), wasmlx_backend::BackendError>(())
//! ```

mod cache;
mod gate;
mod scores;
mod script;
mod state;
mod vocabulary;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use cache::FakeCache;
pub use gate::Gate;
use scores::{FakeLogits, FakeToken};
pub use script::FakeScript;
pub use state::FakeProbe;
use state::State;
pub use vocabulary::{END, START, VOCABULARY_SIZE, tokenizer_json};

use crate::{
    Backend, BackendError, BackendErrorKind, Counters, Input, KvCache, LoadOptions, LoadProgress, Logits, Memory,
    Model, ModelInfo,
};

/// A device that follows a script.
pub struct FakeBackend {
    script: Arc<FakeScript>,
    state: Arc<State>,
}

impl FakeBackend {
    /// A device that follows this script.
    pub fn new(script: FakeScript) -> Self {
        Self { state: Arc::new(State::with_room(script.most_tokens())), script: Arc::new(script) }
    }

    /// A view of what it does, which outlives it.
    pub fn probe(&self) -> FakeProbe {
        FakeProbe::new(Arc::clone(&self.state))
    }
}

impl Backend for FakeBackend {
    fn device(&self) -> String {
        "fake".into()
    }

    fn load(
        &mut self,
        folder: &Path,
        _options: &LoadOptions,
        progress: &mut dyn FnMut(LoadProgress) -> ControlFlow<()>,
    ) -> Result<Box<dyn Model>, BackendError> {
        let load = self.state.next_load();
        self.script.at_load(load)?;
        for file in 1..=script::FILES {
            let step = LoadProgress {
                file: folder.join(format!("model-{file}-of-{}.safetensors", script::FILES)),
                bytes_done: file * script::FILE_BYTES,
                bytes_total: script::FILES * script::FILE_BYTES,
            };
            if progress(step).is_break() {
                let message = format!("loading {} was cancelled", folder.display());
                return Err(BackendError::new(BackendErrorKind::Cancelled, message));
            }
        }
        self.script.at_loaded(load);
        self.state.add_model();
        Ok(Box::new(FakeModel {
            info: self.script.info(),
            script: Arc::clone(&self.script),
            state: Arc::clone(&self.state),
        }))
    }

    fn counters(&self) -> Counters {
        self.state.counters()
    }

    fn memory(&self) -> Memory {
        self.state.memory()
    }

    fn reset_peak_memory(&mut self) {
        self.state.reset_peak_memory();
    }

    fn clear_cache(&mut self) {
        self.state.count_clearing();
    }
}

struct FakeModel {
    info: ModelInfo,
    script: Arc<FakeScript>,
    state: Arc<State>,
}

impl FakeModel {
    /// Queues a pass over tokens that may not be known to the host yet. Gives its number, and how it will fail if it
    /// does.
    fn pass(
        &self,
        tokens: &[u32],
        unknown: Result<(), BackendError>,
        cache: &mut dyn KvCache,
    ) -> Result<(u64, Result<(), BackendError>), BackendError> {
        if tokens.is_empty() {
            return Err(invalid("a forward pass needs at least one token"));
        }
        if let Some(token) = tokens.iter().find(|&&token| token >= self.info.vocabulary_size) {
            return Err(invalid(&format!("token {token} is not in the vocabulary of {}", self.info.vocabulary_size)));
        }
        let cache = FakeCache::of(cache, &self.state)?;
        let pass = self.state.next_pass();
        let failure =
            unknown.and_then(|()| self.script.at_pass(pass)).and_then(|()| self.state.check_room(tokens.len()));
        cache.extend(tokens);
        self.state.note_memory();
        Ok((pass, failure))
    }
}

impl Model for FakeModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn new_cache(&self) -> Box<dyn KvCache> {
        Box::new(FakeCache::new(Arc::clone(&self.state), self.script.never_truncates()))
    }

    fn forward(&self, input: Input<'_>, cache: &mut dyn KvCache) -> Result<Box<dyn Logits>, BackendError> {
        let (pass, failure) = match input {
            Input::Ids(tokens) => self.pass(tokens, Ok(()), cache)?,
            Input::Sampled(token) => {
                // The device knows the token; that the host has not read it changes nothing here.
                let (token, failure) = FakeToken::of(token)?.on_device();
                self.pass(&[token], failure, cache)?
            }
        };
        let cache = FakeCache::of(cache, &self.state)?;
        let scores = failure.map(|()| cache.with_tokens(|tokens, hash| self.script.scores_after(tokens, hash)));
        Ok(Box::new(FakeLogits::new(Arc::clone(&self.state), Arc::clone(&self.script), pass, scores)))
    }

    fn prefill(&self, tokens: &[u32], cache: &mut dyn KvCache) -> Result<(), BackendError> {
        let (pass, failure) = self.pass(tokens, Ok(()), cache)?;
        self.state.count_eval();
        self.state.count_read();
        self.script.wait_for(pass);
        failure
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.state.remove_model();
    }
}

fn invalid(message: &str) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidInput, message)
}
