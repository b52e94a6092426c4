//! The models on this machine: what there is, taking in what lies elsewhere, looking whether all is right, removing.

use std::path::{Path, PathBuf};

use wasmlx_components::ComponentKind;
use wasmlx_engine::CancelToken;
use wasmlx_store::{
    Bindings, Imported, Manifest, ModelList, Monitor, Progress, Removed, Store, StoreError, StoredModel, Verified,
};

use super::blocking;
use super::components::ComponentRef;
use super::error::{Error, ErrorKind, Result};
use super::host::Host;

/// The models in a host's home folder. Cheap to clone. Several processes may use one store at once; whatever cuts one
/// of them short, the store is whole.
///
/// What it does with many bytes is waited for without blocking; everything else blocks for moments.
#[derive(Debug, Clone)]
pub struct ModelStore {
    store: Store,
}

/// Somebody who watches long work in the store.
#[derive(Default)]
pub struct WorkOptions {
    progress: Option<OnProgress>,
    pub(super) cancel: CancelToken,
}

type OnProgress = Box<dyn Fn(&Progress) + Send + Sync>;

/// What to take into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRequest {
    pub(super) path: PathBuf,
    pub(super) model: Option<String>,
    pub(super) name: Option<String>,
}

/// What is to be bound to a model, or no longer. What is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BindRequest {
    /// Whether to unbind everything first.
    pub clear: bool,
    /// What to bind.
    pub bindings: Bindings,
}

impl WorkOptions {
    /// Nobody watches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Called with how far the work is, at most ten times a second for each piece of it, on threads that do the work:
    /// it must not block.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// A token that breaks the work off, which then fails with [`ErrorKind::Cancelled`].
    #[must_use]
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }

    /// Tells how far it is.
    pub(super) fn tell(&self, progress: &Progress) {
        if let Some(told) = &self.progress {
            told(progress);
        }
    }

    /// Whether the work is to stop.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Does work that is watched so.
    pub(super) fn watch<T>(
        &self,
        work: impl FnOnce(&Monitor<'_>) -> std::result::Result<T, StoreError>,
    ) -> std::result::Result<T, StoreError> {
        let report = |progress: &Progress| self.tell(progress);
        work(&Monitor::new(&report, &|| self.is_cancelled()))
    }
}

impl ImportRequest {
    /// A folder as on Hugging Face, a `model*.safetensors` file with what lies beside it, or a Hugging Face cache.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), model: None, name: None }
    }

    /// Which model of a cache: `OWNER/NAME`.
    #[must_use]
    pub fn model(mut self, id: impl Into<String>) -> Self {
        self.model = Some(id.into());
        self
    }

    /// What to call it. Without it: as its folder is called, or in a cache as on the hub.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Host {
    /// The models in its home folder.
    pub fn store(&self) -> ModelStore {
        ModelStore { store: self.model_store().clone() }
    }

    /// Binds a model of the store to components, a system prompt and sampling parameters, which are used from then on
    /// where nothing else is said. Components are looked at: each must be of its kind. Blocks while they are loaded.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`; `InvalidInput` for a model that does not lie in the store; `ReadOnly`.
    pub fn bind_model(&self, model: &str, request: BindRequest) -> Result<Manifest> {
        let mut bound = request.bindings;
        let slots = [
            (&mut bound.template, ComponentKind::Template),
            (&mut bound.sampler, ComponentKind::Policy),
            (&mut bound.chat, ComponentKind::Chat),
        ];
        for (component, kind) in slots {
            if let Some(named) = component {
                self.components().load(&ComponentRef::from(named.as_str()), kind)?;
                *named = lasting(named)?;
            }
        }
        let clear = request.clear;
        Ok(self.model_store().bind(model, move |bindings| {
            if clear {
                *bindings = Bindings::default();
            }
            for (before, now) in [
                (&mut bindings.template, bound.template),
                (&mut bindings.sampler, bound.sampler),
                (&mut bindings.chat, bound.chat),
                (&mut bindings.system, bound.system),
            ] {
                if now.is_some() {
                    *before = now;
                }
            }
            bindings.parameters.extend(bound.parameters);
        })?)
    }
}

impl ModelStore {
    /// The folder that holds it.
    pub fn home(&self) -> &Path {
        self.store.home()
    }

    /// Whether nothing may be written under its home, since `WASMLX_STORE_READ_ONLY` says so. A folder that cannot be
    /// written to is told by the first change alone.
    pub fn is_read_only(&self) -> bool {
        self.store.is_read_only()
    }

    /// The models that there are; the one that ships with the program is not among them.
    ///
    /// # Errors
    /// `Io` where a folder cannot be read.
    pub fn list(&self) -> Result<ModelList> {
        Ok(self.store.list()?)
    }

    /// One of them, or the one that ships with the program, which is unpacked then.
    ///
    /// # Errors
    /// `NotFound`; `InvalidModel` for one that was damaged.
    pub fn show(&self, model: &str) -> Result<StoredModel> {
        Ok(self.store.show(model)?)
    }

    /// Removes models, and the files that no other model needs.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` for a model that does not lie in the store; `Busy` where another process brings one of
    /// them in; nothing is removed then. `ReadOnly`, `Io`.
    pub fn remove(&self, models: &[impl AsRef<str>]) -> Result<Removed> {
        Ok(self.store.remove(models)?)
    }

    /// Removes files that no model needs. With `unfinished` also what pulls and imports have brought that were cut short
    /// and that no process works at.
    ///
    /// # Errors
    /// `ReadOnly`, `Io`.
    pub fn collect_garbage(&self, unfinished: bool) -> Result<Removed> {
        Ok(self.store.collect_garbage(unfinished)?)
    }

    /// Takes a model that lies on this machine into the store. Its files are cloned or linked where that can be done.
    ///
    /// # Errors
    /// `NotFound`, `InvalidModel`; `InvalidInput` for a name that another model has; `Cancelled`, `NoSpace`, `ReadOnly`,
    /// `Io`. Then the store is as it was.
    pub async fn import(&self, request: ImportRequest, options: WorkOptions) -> Result<Imported> {
        let store = self.store.clone();
        let import = move || {
            let ImportRequest { path, model, name } = &request;
            Ok(options.watch(|monitor| store.import(path, model.as_deref(), name.as_deref(), monitor))?)
        };
        blocking::spawn("wasmlx-import", import).await
    }

    /// Hashes every file of the store, on all cores, and looks whether the models have theirs. What is wrong is told in
    /// the result; a file with other bytes than it should have is put aside, so that pulling or importing the model
    /// again brings it anew.
    ///
    /// # Errors
    /// `Cancelled`; `Io` where a folder cannot be read.
    pub async fn verify(&self, options: WorkOptions) -> Result<Verified> {
        let store = self.store.clone();
        blocking::spawn("wasmlx-verify", move || Ok(options.watch(|monitor| store.verify(monitor))?)).await
    }
}

/// A component's name as it is, and a path such that it means the same wherever the program is started.
fn lasting(component: &str) -> Result<String> {
    match ComponentRef::from(component) {
        ComponentRef::Path(path) => {
            let path = path.canonicalize().map_err(|error| Error::io("read", &path, &error))?;
            path.into_os_string()
                .into_string()
                .map_err(|path| Error::new(ErrorKind::InvalidInput, format_args!("{} is not Unicode", path.display())))
        }
        _ => Ok(component.to_owned()),
    }
}
