//! Loaded models: the caller's handle on one, and the device thread's list of them.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmlx_backend::{LoadOptions, ModelInfo};
use wasmlx_text::Tokenizer;

use crate::context::Context;
use crate::device::{Command, DeviceHandle};
use crate::{EngineError, EngineErrorKind};

/// A loaded model. It stays loaded, whoever holds a handle, until [`Model::unload`] or the end of the engine.
#[derive(Clone)]
pub struct Model {
    device: Arc<DeviceHandle>,
    parts: ModelParts,
}

/// What both sides know of a model.
#[derive(Clone)]
pub(crate) struct ModelParts {
    pub(crate) id: ModelId,
    name: Arc<str>,
    info: Arc<ModelInfo>,
    tokenizer: Option<Tokenizer>,
    unloaded: Arc<AtomicBool>,
}

/// Which load it came of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ModelId(u64);

impl Model {
    pub(crate) fn new(device: Arc<DeviceHandle>, parts: ModelParts) -> Self {
        Self { device, parts }
    }

    /// What it is.
    pub fn info(&self) -> &ModelInfo {
        &self.parts.info
    }

    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        &self.parts.name
    }

    /// Its tokenizer, where it was loaded with one.
    pub fn tokenizer(&self) -> Option<&Tokenizer> {
        self.parts.tokenizer.as_ref()
    }

    /// Frees its weights and the caches of all its contexts. Generations in flight end with
    /// [`EngineErrorKind::Unloaded`], and so does every later use of a handle on it or of a context of it.
    ///
    /// # Errors
    /// [`EngineErrorKind::NotLoaded`] where it was unloaded already.
    pub async fn unload(&self) -> Result<(), EngineError> {
        self.device.ask(|reply| Command::Unload(self.parts.id, reply)).await?
    }

    /// A new, empty context.
    pub fn new_context(&self) -> Context {
        Context::new(self.clone())
    }

    /// Whether this is a handle on the same load of the same model.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.parts.unloaded, &other.parts.unloaded)
    }

    pub(crate) fn device(&self) -> &Arc<DeviceHandle> {
        &self.device
    }

    pub(crate) fn parts(&self) -> &ModelParts {
        &self.parts
    }

    /// # Errors
    /// [`EngineErrorKind::Unloaded`].
    pub(crate) fn check_loaded(&self) -> Result<(), EngineError> {
        if self.parts.unloaded.load(Ordering::Acquire) { Err(self.parts.unloaded()) } else { Ok(()) }
    }
}

impl ModelParts {
    /// What those are told who use the model after it was unloaded.
    pub(crate) fn unloaded(&self) -> EngineError {
        EngineError::new(EngineErrorKind::Unloaded, format!("the model {} was unloaded; load it again", self.name))
    }
}

/// A model as the device thread holds it.
pub(crate) struct LoadedModel {
    pub(crate) parts: ModelParts,
    pub(crate) model: Box<dyn wasmlx_backend::Model>,
    folder: PathBuf,
    options: LoadOptions,
    /// How many loads were answered with it and not abandoned.
    takers: Cell<usize>,
}

/// The models that are loaded now. They are few.
#[derive(Default)]
pub(crate) struct LoadedModels {
    models: Vec<Rc<LoadedModel>>,
    loads: u64,
}

impl LoadedModels {
    pub(crate) fn get(&self, id: ModelId) -> Option<Rc<LoadedModel>> {
        self.models.iter().find(|model| model.parts.id == id).cloned()
    }

    /// The model of this name and folder, if there is one, for one more taker.
    ///
    /// # Errors
    /// [`EngineErrorKind::AlreadyLoaded`] where it is held otherwise.
    pub(crate) fn find(
        &self,
        name: &str,
        folder: &Path,
        options: LoadOptions,
    ) -> Result<Option<ModelParts>, EngineError> {
        let is_same = |model: &&Rc<LoadedModel>| &*model.parts.name == name && model.folder == folder;
        let Some(model) = self.models.iter().find(is_same) else { return Ok(None) };
        if model.options == options {
            model.takers.set(model.takers.get() + 1);
            return Ok(Some(model.parts.clone()));
        }
        let message = format!(
            "the model {name} of {} is loaded with {:?}; unload it first, or load it so",
            model.folder.display(),
            model.options,
        );
        Err(EngineError::new(EngineErrorKind::AlreadyLoaded, message))
    }

    pub(crate) fn insert(
        &mut self,
        name: String,
        folder: PathBuf,
        options: LoadOptions,
        tokenizer: Option<Tokenizer>,
        model: Box<dyn wasmlx_backend::Model>,
    ) -> ModelParts {
        self.loads += 1;
        let parts = ModelParts {
            id: ModelId(self.loads),
            name: name.into(),
            info: Arc::new(model.info().clone()),
            tokenizer,
            unloaded: Arc::default(),
        };
        self.models.push(Rc::new(LoadedModel { parts: parts.clone(), model, folder, options, takers: Cell::new(1) }));
        parts
    }

    /// One taker less. Says whether none is left.
    pub(crate) fn abandon(&self, id: ModelId) -> bool {
        self.get(id).is_some_and(|model| {
            model.takers.set(model.takers.get() - 1);
            model.takers.get() == 0
        })
    }

    /// # Errors
    /// [`EngineErrorKind::NotLoaded`].
    pub(crate) fn remove(&mut self, id: ModelId) -> Result<(), EngineError> {
        let Some(index) = self.models.iter().position(|model| model.parts.id == id) else {
            return Err(EngineError::new(
                EngineErrorKind::NotLoaded,
                "the model is not loaded, so it cannot be unloaded",
            ));
        };
        self.models.remove(index).parts.unloaded.store(true, Ordering::Release);
        Ok(())
    }
}
