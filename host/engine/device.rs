//! The device thread: what it is asked to do, and the loop that does it.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use tokio::sync::oneshot;
use wasmlx_backend::{Backend, BackendError};

use crate::context::ContextId;
use crate::engine::{EngineStats, LoadRequest, QuantizeTask};
use crate::model::{LoadedModels, ModelId, ModelParts};
use crate::observer::{Observer, panic_text};
use crate::scheduler::Scheduler;
use crate::start::Start;
use crate::watch::{Patience, Watch};
use crate::{EngineError, EngineErrorKind};

/// How many commands are served between two steps. Whoever sends them without end delays generations by that; if all
/// were served first, there would be no step any more.
const COMMANDS_A_STEP: usize = 64;

/// Something for the device thread to do. A reply is dropped unanswered where the thread ends before.
pub(crate) enum Command {
    Stats(oneshot::Sender<EngineStats>),
    ResetPeakMemory(oneshot::Sender<()>),
    Load(Box<LoadRequest>, oneshot::Sender<Result<ModelParts, EngineError>>),
    Quantize(Box<QuantizeTask>, oneshot::Sender<Result<(), EngineError>>),
    /// Whoever asked for a load that was answered went away without taking the model.
    AbandonLoad(ModelId),
    Unload(ModelId, oneshot::Sender<Result<(), EngineError>>),
    Generate(Box<Start>),
    /// Gives the second context what the first one's cache holds.
    Fork(ContextId, ContextId, oneshot::Sender<Result<(), EngineError>>),
    DropContext(ContextId),
    Stop(oneshot::Sender<()>),
}

/// The way to the device thread.
pub(crate) struct DeviceHandle {
    commands: Sender<Command>,
    name: String,
    end: ThreadEnd,
    watch: Watch,
    next_context: AtomicU64,
}

impl DeviceHandle {
    /// Starts the thread and waits until its backend is up.
    pub(crate) fn start(
        patience: Patience,
        make: impl FnOnce() -> Result<Box<dyn Backend>, BackendError> + Send + 'static,
    ) -> Result<Self, EngineError> {
        let (commands, receiver) = channel();
        let (ready, is_ready) = channel();
        let end = ThreadEnd::default();
        let thread_end = end.clone();
        let unavailable = |why: &dyn fmt::Display| {
            EngineError::new(EngineErrorKind::DeviceUnavailable, format!("the device cannot be started: {why}"))
        };
        let watch = Watch::start(patience, end.clone()).map_err(|error| unavailable(&error))?;
        let (watched, watching) = (watch.clone(), watch.clone());
        let run = move || {
            let backend = match make() {
                Ok(backend) => backend,
                Err(error) => {
                    // The caller of `start` waits for this, so it is there.
                    let _ = ready.send(Err(error));
                    return None;
                }
            };
            let _ = ready.send(Ok(backend.device()));
            Device::new(backend, watched).run(&receiver)
        };
        let thread = move || {
            // Whatever the loop owned is dropped, not looked at, after a panic; so it need not be unwind safe.
            match catch_unwind(AssertUnwindSafe(run)) {
                Ok(stopped) => {
                    thread_end.set(EngineError::new(EngineErrorKind::Stopped, "the engine was stopped; start another"));
                    if let Some(reply) = stopped {
                        let _ = reply.send(());
                    }
                }
                Err(panic) => thread_end.set(panicked(&*panic)),
            }
            watching.stop();
        };
        thread::Builder::new().name("wasmlx-device".into()).spawn(thread).map_err(|error| {
            watch.stop();
            unavailable(&error)
        })?;
        let name = is_ready.recv().map_err(|_| unavailable(&end.wait()))??;
        Ok(Self { commands, name, end, watch, next_context: AtomicU64::new(0) })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    pub(crate) fn end(&self) -> &ThreadEnd {
        &self.end
    }

    pub(crate) fn new_context(&self) -> ContextId {
        ContextId(self.next_context.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn send(&self, command: Command) -> Result<(), EngineError> {
        if self.watch.is_hung() {
            return Err(self.end.wait());
        }
        self.commands.send(command).map_err(|_| self.end.wait())
    }

    /// Sends a command and waits for its reply.
    pub(crate) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, EngineError> {
        let (reply, mut answer) = oneshot::channel();
        self.send(command(reply))?;
        self.watch.reply(&mut answer).await
    }
}

/// Why the device thread has ended.
#[derive(Clone, Default)]
pub(crate) struct ThreadEnd(Arc<OnceLock<EngineError>>);

impl ThreadEnd {
    /// The first reason stays.
    pub(crate) fn set(&self, reason: EngineError) {
        let _ = self.0.set(reason);
    }

    /// The reason, for whoever found a channel of the thread's closed, or the device hung: then it is set already or
    /// about to be, as the thread drops its state.
    pub(crate) fn wait(&self) -> EngineError {
        self.0.wait().clone()
    }
}

fn panicked(panic: &(dyn Any + Send)) -> EngineError {
    let text = panic_text(panic);
    let message =
        format!("the device thread panicked: {text}. This is a defect, please report it; start the engine anew");
    EngineError::new(EngineErrorKind::DeviceFailed, message)
}

/// What lives on the device thread.
struct Device {
    // Fields are dropped in this order: arrays before the device.
    scheduler: Scheduler,
    models: LoadedModels,
    backend: Box<dyn Backend>,
    watch: Watch,
}

impl Device {
    fn new(backend: Box<dyn Backend>, watch: Watch) -> Self {
        Self { scheduler: Scheduler::default(), models: LoadedModels::default(), backend, watch }
    }

    /// Handles commands between steps until it is stopped, or nobody is left who could send one and nothing is left
    /// to do. Gives back whom to tell that everything is gone.
    fn run(mut self, commands: &Receiver<Command>) -> Option<oneshot::Sender<()>> {
        let mut served = 0;
        loop {
            if self.watch.is_hung() {
                // It came back after all, but everyone was told otherwise.
                return None;
            }
            let command = if self.scheduler.is_idle() {
                self.watch.rest();
                served = 0;
                match commands.recv() {
                    Ok(command) => Some(command),
                    Err(_) => return None,
                }
            } else {
                // Whoever has gone away leaves generations that are to end first.
                (served < COMMANDS_A_STEP).then(|| commands.try_recv().ok()).flatten()
            };
            match command {
                Some(Command::Stop(reply)) => {
                    let stopped = EngineError::new(EngineErrorKind::Stopped, "the engine was stopped");
                    self.scheduler.fail_all(&stopped);
                    return Some(reply);
                }
                Some(command) => {
                    served += 1;
                    // These take as long as they take; whoever waits for one sees how far it is.
                    match command {
                        Command::Load(..) | Command::Quantize(..) => self.watch.rest(),
                        _ => self.watch.begin(),
                    }
                    self.handle(command);
                }
                None => {
                    served = 0;
                    self.watch.begin();
                    self.scheduler.step(&mut *self.backend);
                }
            }
        }
    }

    fn handle(&mut self, command: Command) {
        // A reply that nobody waits for any more is no failure.
        match command {
            Command::Stats(reply) => {
                let _ = reply.send(EngineStats { counters: self.backend.counters(), memory: self.backend.memory() });
            }
            Command::ResetPeakMemory(reply) => {
                self.backend.reset_peak_memory();
                let _ = reply.send(());
            }
            Command::Load(request, reply) => {
                let result = self.load(*request, &|| reply.is_closed());
                if result.is_err() {
                    // What was read before the failure is freed, and kept by the backend for reuse.
                    self.backend.clear_cache();
                }
                if let Err(Ok(parts)) = reply.send(result) {
                    self.abandon_load(parts.id);
                }
            }
            Command::Quantize(task, reply) => {
                let result = self.quantize(*task, &|| reply.is_closed());
                self.backend.clear_cache();
                let _ = reply.send(result);
            }
            Command::AbandonLoad(model) => self.abandon_load(model),
            Command::Unload(model, reply) => {
                let _ = reply.send(self.unload(model));
            }
            Command::Generate(start) => match self.models.get(start.model.id) {
                Some(model) => self.scheduler.start(*start, model),
                None => start.fail(),
            },
            Command::Fork(from, to, reply) => {
                let _ = reply.send(self.scheduler.fork(from, to, &mut *self.backend));
            }
            Command::DropContext(context) => self.scheduler.drop_context(context),
            // Handled by the loop.
            Command::Stop(_) => {}
        }
    }

    fn load(&mut self, request: LoadRequest, abandoned: &dyn Fn() -> bool) -> Result<ModelParts, EngineError> {
        let LoadRequest { name, folder, options, tokenizer, progress, cancel } = request;
        if let Some(parts) = self.models.find(&name, &folder, options)? {
            return Ok(parts);
        }
        let mut observer = Observer::new(format!("loading {name}"), progress, cancel, abandoned);
        observer.goes_on()?;
        let loaded = self.backend.load(&folder, &options, &mut |step| observer.step(step));
        // The backend asks now and then; whoever cancelled since then wants no model either.
        observer.goes_on()?;
        let model = loaded?;
        Ok(self.models.insert(name, folder, options, tokenizer, model))
    }

    fn quantize(&mut self, request: QuantizeTask, abandoned: &dyn Fn() -> bool) -> Result<(), EngineError> {
        let QuantizeTask { request, progress, cancel } = request;
        let doing = format!("quantising {}", request.source.display());
        let mut observer = Observer::new(doing, progress, cancel, abandoned);
        observer.goes_on()?;
        let written = self.backend.quantize(&request, &mut |step| observer.step(step));
        observer.goes_on()?;
        Ok(written?)
    }

    fn unload(&mut self, model: ModelId) -> Result<(), EngineError> {
        self.models.remove(model)?;
        self.scheduler.drop_model(model);
        self.backend.clear_cache();
        Ok(())
    }

    /// Frees a model that nobody holds, since none of its loads was waited for to the end.
    fn abandon_load(&mut self, model: ModelId) {
        if self.models.abandon(model) {
            // Where it was unloaded meanwhile there is nothing left to free.
            let _ = self.unload(model);
        }
    }
}
