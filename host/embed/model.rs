//! A loaded model.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use wasmlx_backend::{Memory, ModelInfo};
use wasmlx_engine::{self as engine, Engine};
use wasmlx_store::Bindings;
use wasmlx_text::Tokenizer;

use super::chat_builder::ChatBuilder;
use super::completion::{CompletionBuilder, Prompt};
use super::error::{Error, ErrorKind, Result};
use super::generation_config::GenerationConfig;
use super::host::Host;

/// A loaded model. Cheap to clone. It stays loaded until [`Model::unload`] or the end of its [`Host`].
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    host: Host,
    engine: Engine,
    model: engine::Model,
    generation: GenerationConfig,
    /// Why there is no tokenizer, where there is none.
    tokenizer_error: Option<Error>,
    bindings: Bindings,
}

impl Model {
    pub(crate) fn new(
        host: Host,
        engine: Engine,
        model: engine::Model,
        generation: GenerationConfig,
        tokenizer_error: Option<Error>,
        bindings: Bindings,
    ) -> Self {
        Self { inner: Arc::new(Inner { host, engine, model, generation, tokenizer_error, bindings }) }
    }

    /// A conversation with it.
    pub fn chat(&self) -> ChatBuilder {
        ChatBuilder::new(self.clone())
    }

    /// An answer to a prompt as it stands: no template, no chat component.
    pub fn complete(&self, prompt: impl Into<Prompt>) -> CompletionBuilder {
        CompletionBuilder::new(self.clone(), prompt.into())
    }

    /// Its name: in the store, or its folder's.
    pub fn name(&self) -> &str {
        self.inner.model.name()
    }

    /// What its user bound it to in the store: chats and completions use it where they are told nothing else.
    pub fn bindings(&self) -> &Bindings {
        &self.inner.bindings
    }

    /// What it is: architecture, sizes, types.
    pub fn info(&self) -> &ModelInfo {
        self.inner.model.info()
    }

    /// The device it runs on, in words.
    pub fn device(&self) -> String {
        self.inner.engine.device()
    }

    /// The ids of a plain text; markers in it stay text.
    ///
    /// # Errors
    /// That of the tokenizer's files, where the model has no tokenizer.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.tokenizer()?.encode(&[wasmlx_text::Segment::Untrusted(text.to_owned())])?)
    }

    /// The text of ids, special tokens included.
    ///
    /// # Errors
    /// As [`Model::encode`].
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        Ok(self.tokenizer()?.decode(ids, false)?)
    }

    /// Bytes of device memory in use now, and at the most: of all that the device holds.
    ///
    /// # Errors
    /// [`ErrorKind::Stopped`], [`ErrorKind::DeviceFailed`].
    pub async fn memory(&self) -> Result<Memory> {
        Ok(self.inner.engine.stats().await?.memory)
    }

    /// Frees it. Answers under way end with [`ErrorKind::Unloaded`], and so does every later use of it or of a chat
    /// with it.
    ///
    /// # Errors
    /// [`ErrorKind::NotLoaded`] where it was unloaded already.
    pub async fn unload(&self) -> Result<()> {
        Ok(self.inner.model.unload().await?)
    }

    pub(crate) fn host(&self) -> &Host {
        &self.inner.host
    }

    pub(crate) fn engine_model(&self) -> &engine::Model {
        &self.inner.model
    }

    pub(crate) fn generation_config(&self) -> &GenerationConfig {
        &self.inner.generation
    }

    /// Its tokenizer, or why it has none.
    pub(crate) fn tokenizer(&self) -> Result<&Tokenizer> {
        self.inner.model.tokenizer().ok_or_else(|| {
            let none = || Error::new(ErrorKind::InvalidModel, "the model was loaded without a tokenizer");
            self.inner.tokenizer_error.clone().unwrap_or_else(none)
        })
    }

    /// Tokens that end an answer: what the model's files name, and its tokenizer's end of text.
    pub(crate) fn end_tokens(&self) -> Vec<u32> {
        let mut tokens = self.inner.generation.end_tokens.clone();
        if let Some(tokenizer) = self.inner.model.tokenizer() {
            let eos = tokenizer.special().eos.as_deref();
            tokens.extend(eos.and_then(|name| tokenizer.token_id(name)));
        }
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("name", &self.name()).field("info", self.info()).finish_non_exhaustive()
    }
}

/// What a template component is configured with for a model: its special tokens by the names that
/// `tokenizer_config.json` has for them, and its chat template, if it has one.
pub(crate) fn template_config(tokenizer: &Tokenizer, tools: bool) -> Value {
    let special = tokenizer.special();
    let named = [
        ("bos_token", &special.bos),
        ("eos_token", &special.eos),
        ("pad_token", &special.pad),
        ("unk_token", &special.unk),
        ("sep_token", &special.sep),
        ("cls_token", &special.cls),
        ("mask_token", &special.mask),
    ];
    let mut config: serde_json::Map<String, Value> =
        named.into_iter().filter_map(|(name, token)| Some((name.to_owned(), token.clone()?.into()))).collect();
    if let Some(source) = tokenizer.chat_templates().choose(tools) {
        config.insert("chat_template".to_owned(), source.into());
    }
    Value::Object(config)
}

/// The template component for a model that nobody chose one for.
pub(crate) fn default_template(tokenizer: &Tokenizer) -> &'static str {
    if tokenizer.chat_templates().is_empty() { "chatml" } else { "jinja" }
}

/// Reads the tokenizer of the model in a folder.
pub(crate) fn read_tokenizer(folder: &Path) -> Result<Tokenizer> {
    Ok(Tokenizer::from_folder(folder)?)
}
