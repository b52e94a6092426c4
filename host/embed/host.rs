//! The host: where everything starts.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use serde_json::{Map, Value};
use tokio::sync::watch;
use wasmlx_backend::{Backend, BackendError, Dtype, LoadProgress, Memory};
use wasmlx_components::{CompilerCommand, ComponentKind, PolicyComponent, Vocabulary};
use wasmlx_engine::{CancelToken, Chain, Engine, LoadRequest};
use wasmlx_store::Store;

use super::blocking;
use super::cases::{self, TestOptions, TestReport};
use super::chat_server::ChatServer;
use super::components::{ComponentRef, Components};
use super::error::{Error, ErrorKind, Result};
use super::generation_config::GenerationConfig;
use super::model::{Model, read_tokenizer, template_config};
use super::slot_events::{Announcer, SlotEvents};
use super::slots::Slots;
use super::template::Template;

/// The host: models and components on this machine. Cheap to clone; clones are the same host.
///
/// Building one starts nothing. The device comes up at the first load of a model, so what needs no model works where
/// the device does not.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    components: Components,
    slots: Slots,
    announcer: Announcer,
    /// The chats, for as long as they live.
    chats: Mutex<Vec<Weak<ChatServer>>>,
    /// Of the host's slots, one swap at a time.
    swapping: tokio::sync::Mutex<()>,
    /// Taken by the start of the device: there is one.
    backend: Mutex<Option<MakeBackend>>,
    /// None until the device came up or failed to.
    engine: watch::Sender<Option<Result<Engine>>>,
}

type MakeBackend = Box<dyn FnOnce() -> std::result::Result<Box<dyn Backend>, BackendError> + Send>;

/// Where to compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Device {
    /// The GPU if there is one that works, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU: Metal on Apple silicon, CUDA on Linux where MLX's CUDA library is in use.
    Gpu,
}

/// How to set up a [`Host`].
#[derive(Default)]
pub struct HostBuilder {
    home: Option<PathBuf>,
    device: Device,
    backend: Option<MakeBackend>,
    compiler: Option<CompilerCommand>,
}

impl HostBuilder {
    /// The folder that holds everything the host writes, and the models. Without it: `WASMLX_HOME`, else the
    /// platform's folder for an application's data.
    #[must_use]
    pub fn home(mut self, folder: impl Into<PathBuf>) -> Self {
        self.home = Some(folder.into());
        self
    }

    /// Where to compute.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// A backend of one's own in place of MLX. `make` runs on the device thread, at the first load.
    #[must_use]
    pub fn backend(
        mut self,
        make: impl FnOnce() -> std::result::Result<Box<dyn Backend>, BackendError> + Send + 'static,
    ) -> Self {
        self.backend = Some(Box::new(make));
        self
    }

    /// The command that compiles components which are swapped in, so that it takes nothing from what runs: a program
    /// that calls [`compile_component`](crate::compile_component) with its standard input and output, such as this one
    /// with an argument that it knows. It is started with the lowest priority. Without one a thread of this process
    /// compiles.
    #[must_use]
    pub fn compiler<A: Into<OsString>>(
        mut self,
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        self.compiler = Some(CompilerCommand { program: program.into(), arguments });
        self
    }

    /// The host. Nothing is started and no file is touched.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) where no home was given and none is known.
    pub fn build(self) -> Result<Host> {
        let home = match self.home {
            Some(home) => home,
            None => wasmlx_store::home()?,
        };
        let store = Store::open(home);
        let components = Components::new(&store, self.compiler);
        let backend = self.backend.unwrap_or_else(|| mlx(self.device));
        Ok(Host {
            inner: Arc::new(Inner {
                store,
                components,
                slots: Slots::new(),
                announcer: Announcer::new(),
                chats: Mutex::default(),
                swapping: tokio::sync::Mutex::default(),
                backend: Mutex::new(Some(backend)),
                engine: watch::Sender::new(None),
            }),
        })
    }
}

#[cfg(feature = "mlx")]
fn mlx(device: Device) -> MakeBackend {
    use wasmlx_backend_mlx::{DeviceChoice, MlxBackend};

    let choice = match device {
        Device::Auto => DeviceChoice::Auto,
        Device::Cpu => DeviceChoice::Cpu,
        Device::Gpu => DeviceChoice::Gpu,
    };
    Box::new(move || Ok(Box::new(MlxBackend::new(choice)?)))
}

#[cfg(not(feature = "mlx"))]
fn mlx(_: Device) -> MakeBackend {
    Box::new(|| {
        Err(BackendError::new(
            wasmlx_backend::BackendErrorKind::DeviceUnavailable,
            "this build has no backend: build it with the feature `mlx`, or give one to `HostBuilder::backend`",
        ))
    })
}

/// How to load a model.
#[derive(Default)]
pub struct LoadOptions {
    dtype: Dtype,
    progress: Option<Box<dyn FnMut(LoadProgress) + Send>>,
    cancel: CancelToken,
}

impl LoadOptions {
    /// As the device likes it, nobody watching.
    pub fn new() -> Self {
        Self::default()
    }

    /// How weights are held in memory.
    #[must_use]
    pub fn dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = dtype;
        self
    }

    /// Called as files are read, on the device thread: it must not block.
    #[must_use]
    pub fn progress(mut self, progress: impl FnMut(LoadProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// A token that breaks the load off, which then fails with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled)
    /// and leaves nothing behind.
    #[must_use]
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = token;
        self
    }
}

impl Host {
    /// Sets one up.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    /// The folder that holds everything the host writes.
    pub fn home(&self) -> &Path {
        self.inner.store.home()
    }

    /// The names of the models in the store; the built-in one is not among them.
    pub fn models(&self) -> Vec<String> {
        self.inner.store.names()
    }

    /// The folder of a model: a name in the store, a folder, or none for the built-in one, which is unpacked then.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound), [`ErrorKind::InvalidModel`](crate::ErrorKind::InvalidModel).
    pub fn model_folder(&self, name: Option<&str>) -> Result<PathBuf> {
        Ok(self.inner.store.resolve(name)?.path().to_path_buf())
    }

    /// Loads a model: `builtin`, a name in the store, a Hugging Face id in the store, or a folder.
    ///
    /// Loads run one after the other, and generations pause while one runs. A model that is loaded already is not
    /// loaded again.
    ///
    /// # Errors
    /// `NotAvailable`, `NotFound`, `InvalidModel`, `Unsupported`, `OutOfMemory`; `AlreadyLoaded` for a model that is
    /// loaded with other options.
    pub async fn load(&self, name: &str) -> Result<Model> {
        self.load_with(Some(name), LoadOptions::new()).await
    }

    /// Loads a model with options; no name is the built-in one.
    ///
    /// # Errors
    /// As [`Host::load`]; `Cancelled`.
    pub async fn load_with(&self, name: Option<&str>, options: LoadOptions) -> Result<Model> {
        let folder = self.inner.store.resolve(name)?;
        let path = folder.path().to_path_buf();
        // The tokenizer's files and the device are slow to start and have nothing to do with each other.
        let tokenizer = blocking::spawn("wasmlx-tokenizer", move || {
            let generation = GenerationConfig::read(&path)?;
            Ok((read_tokenizer(&path), generation))
        });
        let engine = self.engine().await?;
        let (tokenizer, generation) = tokenizer.await?;
        let (tokenizer, tokenizer_error) = match tokenizer {
            Ok(tokenizer) => (Some(tokenizer), None),
            Err(error) => (None, Some(error)),
        };
        let mut request = LoadRequest::new(folder.name(), folder.path());
        request.options = wasmlx_backend::LoadOptions { dtype: options.dtype };
        request.tokenizer = tokenizer;
        request.progress = options.progress;
        request.cancel = options.cancel;
        let model = engine.load(request).await.map_err(|error| match folder.what_lacks() {
            Some(what) => Error::from(error).with_hint(what),
            None => error.into(),
        })?;
        if folder.is_stored() {
            self.note_use(folder.name()).await;
        }
        let bindings = folder.bindings().clone();
        Ok(Model::new(self.clone(), engine, model, generation, tokenizer_error, bindings))
    }

    /// The device, in words: `cpu`, `gpu (Apple M4 Max)`. Brings it up.
    ///
    /// # Errors
    /// [`ErrorKind::NotAvailable`](crate::ErrorKind::NotAvailable) says why it does not work.
    pub async fn device(&self) -> Result<String> {
        Ok(self.engine().await?.device())
    }

    /// Bytes of device memory in use now, and at the most since the last reset.
    ///
    /// # Errors
    /// As [`Host::device`].
    pub async fn memory(&self) -> Result<Memory> {
        Ok(self.engine().await?.stats().await?.memory)
    }

    /// Lets the peak of [`Host::memory`] start again.
    ///
    /// # Errors
    /// As [`Host::device`].
    pub async fn reset_peak_memory(&self) -> Result<()> {
        Ok(self.engine().await?.reset_peak_memory().await?)
    }

    /// Ends everything: answers under way and later calls fail with [`ErrorKind::Stopped`](crate::ErrorKind::Stopped).
    /// Returns when models and caches are freed. A host whose device nobody asked for has nothing to stop.
    pub async fn stop(&self) {
        let never_started = self.lock_backend().is_some();
        if !never_started && let Ok(engine) = self.engine().await {
            engine.stop().await;
        }
    }

    /// Loads every component that comes with the host, to see that it can be, and names them. Blocks.
    ///
    /// # Errors
    /// What the first of them that cannot be loaded fails with.
    pub fn check_built_in_components(&self) -> Result<Vec<&'static str>> {
        self.inner.components.check_built_in()
    }

    /// A template component, to be used by itself, without a model. `config` is what it is told of one: see
    /// [`Host::template_config`]. Blocks while the component is loaded.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`, and what the component says of its configuration.
    pub fn template(&self, template: impl Into<ComponentRef>, config: &Value) -> Result<Template> {
        let component = self.inner.components.load(&template.into(), ComponentKind::Template)?;
        Template::new(&component, &config.to_string())
    }

    /// What a template is told of a model: its special tokens and its chat template, or where `tools` are given and
    /// it has one for that, the other. Only the model's small files are read; nothing is loaded.
    ///
    /// # Errors
    /// `NotFound`, `InvalidModel`.
    pub fn template_config(&self, model: Option<&str>, tools: bool) -> Result<Value> {
        let folder = self.inner.store.resolve(model)?;
        Ok(template_config(&read_tokenizer(folder.path())?, tools))
    }

    /// The fixed chain that a policy component plans for these parameters; none where it is asked at every step.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`, and what the component says of the parameters.
    pub async fn plan(&self, policy: impl Into<ComponentRef>, params: &Map<String, Value>) -> Result<Option<Chain>> {
        let (this, policy, params) = (self.clone(), policy.into(), Value::Object(params.clone()).to_string());
        let plan = move || {
            let component = this.inner.components.load(&policy, ComponentKind::Policy)?;
            Ok(PolicyComponent::new(&component)?.plan(&params, &Vocabulary::default())?)
        };
        blocking::spawn("wasmlx-components", plan).await
    }

    /// Loads a component, to see that it can be and which kind it is. One that was never compiled is compiled now.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`.
    pub async fn check_component(&self, component: impl Into<ComponentRef>) -> Result<ComponentKind> {
        let (this, component) = (self.clone(), component.into());
        let check = move || Ok(this.inner.components.load_any(&component)?.kind());
        blocking::spawn("wasmlx-components", check).await
    }

    /// Runs a component's cases: the files `*.json` of a folder. Needs no model.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`; `InvalidInput` for files that are no cases. A case that does not come out as it
    /// should is no error, but part of the report.
    pub async fn test_component(
        &self,
        component: impl Into<ComponentRef>,
        cases: impl Into<PathBuf>,
    ) -> Result<TestReport> {
        self.test_component_with(component, cases, TestOptions::new()).await
    }

    /// The same, with recording or rewriting cases. Recording takes the built-in model.
    ///
    /// # Errors
    /// As [`Host::test_component`]; those of [`Host::load`] where runs are recorded; `Io` where a case cannot be written;
    /// `Cancelled` where the cases were broken off.
    pub async fn test_component_with(
        &self,
        component: impl Into<ComponentRef>,
        cases: impl Into<PathBuf>,
        options: TestOptions,
    ) -> Result<TestReport> {
        let (this, component, cases) = (self.clone(), component.into(), cases.into());
        let model = match options.records() {
            true => Some(self.load_with(None, LoadOptions::new().cancel(options.cancel_token())).await?),
            false => None,
        };
        let test =
            move || cases::run_with(&this.inner.components.load_any(&component)?, &cases, model.as_ref(), &options);
        blocking::spawn("wasmlx-cases", test).await
    }

    /// What happens to slots from now on.
    pub fn slot_events(&self) -> SlotEvents {
        self.inner.announcer.listen()
    }

    pub(crate) fn model_store(&self) -> &Store {
        &self.inner.store
    }

    /// Takes note that a model of the store was loaded, where anything may be written there.
    async fn note_use(&self, name: &str) {
        let (store, name) = (self.inner.store.clone(), name.to_owned());
        let noted = blocking::spawn("wasmlx-usage", move || Ok(store.note_use(&name)?)).await;
        if let Err(error) = noted {
            tracing::debug!(%error, "the use of the model is not noted");
        }
    }

    pub(crate) fn components(&self) -> &Components {
        &self.inner.components
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.inner.slots
    }

    pub(crate) fn announcer(&self) -> &Announcer {
        &self.inner.announcer
    }

    /// Lets swaps know of a chat.
    pub(crate) fn register(&self, chat: &Arc<ChatServer>) {
        let mut chats = self.inner.chats.lock().unwrap_or_else(PoisonError::into_inner);
        chats.retain(|chat| chat.strong_count() > 0);
        chats.push(Arc::downgrade(chat));
    }

    /// The chats that there are.
    pub(crate) fn chats(&self) -> Vec<Arc<ChatServer>> {
        let chats = self.inner.chats.lock().unwrap_or_else(PoisonError::into_inner);
        chats.iter().filter_map(Weak::upgrade).collect()
    }

    /// Lets one swap of the host's slots run at a time.
    pub(crate) async fn swapping(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.swapping.lock().await
    }

    /// The device thread, started at the first call, to whose end it comes whether or not the caller waits. A device
    /// that did not come up does not come up later.
    pub(crate) async fn engine(&self) -> Result<Engine> {
        let make = self.lock_backend().take();
        if let Some(make) = make {
            let this = self.clone();
            let start = move || {
                let started = Engine::start(make).map_err(Error::from);
                this.inner.engine.send_replace(Some(started));
            };
            if let Err(error) = thread::Builder::new().name("wasmlx-start".to_owned()).spawn(start) {
                let error = Error::new(ErrorKind::Io, format_args!("cannot start the device's thread: {error}"));
                self.inner.engine.send_replace(Some(Err(error)));
            }
        }
        let mut engine = self.inner.engine.subscribe();
        let started = engine.wait_for(Option::is_some).await.ok().and_then(|started| started.clone());
        // The other end lies in this host.
        started.unwrap_or_else(|| Err(Error::new(ErrorKind::Stopped, "the host is gone")))
    }

    fn lock_backend(&self) -> MutexGuard<'_, Option<MakeBackend>> {
        // Each use leaves a whole value behind, even where it panics.
        self.inner.backend.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("home", &self.home()).finish_non_exhaustive()
    }
}
