//! The handle on the device thread.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::oneshot;
use wasmlx_backend::{Backend, BackendError, Counters, LoadOptions, Memory, QuantizeRequest};
use wasmlx_text::Tokenizer;

use crate::EngineError;
use crate::cancel::CancelToken;
use crate::device::{Command, DeviceHandle};
use crate::model::{Model, ModelParts};
use crate::observer::Progress;
use crate::watch::Patience;

/// A cheap handle on the device thread, which owns the backend, the models and the caches.
///
/// All its async functions wait on plain channels and need no particular runtime. The thread ends when the last
/// handle on it ([`Engine`], [`Model`], [`Context`](crate::Context)) is dropped and the last generation has ended, or
/// by [`Engine::stop`].
#[derive(Clone)]
pub struct Engine {
    device: Arc<DeviceHandle>,
}

/// What to load.
pub struct LoadRequest {
    /// What the model is to be called. Models of several folders may share a name.
    pub name: String,
    /// Its files, by Hugging Face's conventions.
    pub folder: PathBuf,
    /// How to hold its weights.
    pub options: LoadOptions,
    /// Its tokenizer; without one only token ids can be given and got.
    pub tokenizer: Option<Tokenizer>,
    /// Called as files are read and layers made of them.
    pub progress: Option<Progress>,
    /// Breaks the load off, at the next file or layer.
    pub cancel: CancelToken,
}

impl LoadRequest {
    /// A load with the device's own choice of types, no tokenizer and nobody watching.
    pub fn new(name: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            folder: folder.into(),
            options: LoadOptions::default(),
            tokenizer: None,
            progress: None,
            cancel: CancelToken::new(),
        }
    }
}

/// What to quantise.
pub struct QuantizeTask {
    /// From where, to where, and how.
    pub request: QuantizeRequest,
    /// Called as tensors are read.
    pub progress: Option<Progress>,
    /// Breaks it off, at the next tensor.
    pub cancel: CancelToken,
}

/// What the device has done and holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Work since the engine started.
    pub counters: Counters,
    /// Memory now, and its peak.
    pub memory: Memory,
}

impl Engine {
    /// Starts the thread `wasmlx-device`, makes the backend there and waits until it is up.
    ///
    /// # Errors
    /// What `make` fails with; [`EngineErrorKind::DeviceUnavailable`](crate::EngineErrorKind::DeviceUnavailable) where
    /// the thread cannot be started or `make` panics.
    pub fn start(
        make: impl FnOnce() -> Result<Box<dyn Backend>, BackendError> + Send + 'static,
    ) -> Result<Self, EngineError> {
        Self::start_patient(Patience::default(), make)
    }

    /// The same with another patience for a device that hangs.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_patient(
        patience: Patience,
        make: impl FnOnce() -> Result<Box<dyn Backend>, BackendError> + Send + 'static,
    ) -> Result<Self, EngineError> {
        Ok(Self { device: Arc::new(DeviceHandle::start(patience, make)?) })
    }

    /// The device, in words: `cpu`, `gpu (Apple M4 Max)`.
    pub fn device(&self) -> String {
        self.device.name().to_owned()
    }

    /// What the device has done and holds.
    pub async fn stats(&self) -> Result<EngineStats, EngineError> {
        self.device.ask(Command::Stats).await
    }

    /// Lets the peak of [`EngineStats::memory`] start again from what is in use now.
    pub async fn reset_peak_memory(&self) -> Result<(), EngineError> {
        self.device.ask(Command::ResetPeakMemory).await
    }

    /// Loads a model, or finds it loaded already.
    ///
    /// A load is one piece of work on the device thread: generations in flight pause while it runs and then go on,
    /// and loads run one after the other. So a second load of the same name, folder and options, asked for while the
    /// first one runs or after it, gets the same model (with the first one's tokenizer); where the first one failed
    /// or was cancelled, it loads. Dropping the future cancels the load; a model that is loaded by then is freed again,
    /// unless another load was answered with it.
    ///
    /// # Errors
    /// `AlreadyLoaded` where the same name and folder are loaded with other options; `Cancelled`; what the backend
    /// fails with.
    pub async fn load(&self, request: LoadRequest) -> Result<Model, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.device.send(Command::Load(Box::new(request), reply))?;
        let mut pending = PendingLoad { device: &self.device, answer };
        let parts = self.device.watch().reply(&mut pending.answer).await??;
        Ok(Model::new(self.device.clone(), parts))
    }

    /// Writes a model's folder again, its matrices quantised: one piece of work on the device thread, as a load is.
    /// Dropping the future cancels it.
    ///
    /// # Errors
    /// `Cancelled`; what the backend fails with. Unfinished files are left in the destination.
    pub async fn quantize(&self, task: QuantizeTask) -> Result<(), EngineError> {
        self.device.ask(|reply| Command::Quantize(Box::new(task), reply)).await?
    }

    /// Ends everything: generations in flight and later calls fail with
    /// [`EngineErrorKind::Stopped`](crate::EngineErrorKind::Stopped). Returns when models and caches are freed.
    pub async fn stop(&self) {
        // The thread may be gone already; then there is nothing to stop.
        let _ = self.device.ask(Command::Stop).await;
    }
}

/// A load that is waited for. Dropped before its answer was taken, it gives the model back.
struct PendingLoad<'a> {
    device: &'a DeviceHandle,
    answer: oneshot::Receiver<Result<ModelParts, EngineError>>,
}

impl Drop for PendingLoad<'_> {
    fn drop(&mut self) {
        // From here on the device thread sees that nobody waits; what it sent before is here.
        self.answer.close();
        if let Ok(Ok(parts)) = self.answer.try_recv() {
            // Where the thread has ended the model is freed already.
            let _ = self.device.send(Command::AbandonLoad(parts.id));
        }
    }
}
