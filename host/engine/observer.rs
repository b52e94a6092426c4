//! Whoever watches a long piece of work on the device thread, and may break it off.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmlx_backend::LoadProgress;

use crate::cancel::CancelToken;
use crate::{EngineError, EngineErrorKind};

/// Called on the device thread as work goes on; it must not wait. A panic of its own breaks the work off.
pub type Progress = Box<dyn FnMut(LoadProgress) + Send>;

/// Tells how far a piece of work is, and whether it is to go on.
pub(crate) struct Observer<'a> {
    /// What the work is: `loading qwen3`.
    doing: String,
    progress: Option<Progress>,
    cancel: CancelToken,
    /// Whether nobody waits for it any more.
    abandoned: &'a dyn Fn() -> bool,
    panic: Option<String>,
}

impl<'a> Observer<'a> {
    pub(crate) fn new(
        doing: String,
        progress: Option<Progress>,
        cancel: CancelToken,
        abandoned: &'a dyn Fn() -> bool,
    ) -> Self {
        Self { doing, progress, cancel, abandoned, panic: None }
    }

    /// For the backend to call.
    pub(crate) fn step(&mut self, step: LoadProgress) -> ControlFlow<()> {
        if let Some(progress) = &mut self.progress {
            // The caller's own code is not called again after a panic, so it need not be unwind safe.
            if let Err(thrown) = catch_unwind(AssertUnwindSafe(|| progress(step))) {
                self.progress = None;
                self.panic = Some(panic_text(&*thrown).to_owned());
            }
        }
        if self.goes_on().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Whether the work is still wanted.
    ///
    /// # Errors
    /// `Cancelled` says why not.
    pub(crate) fn goes_on(&self) -> Result<(), EngineError> {
        let doing = &self.doing;
        let why = match &self.panic {
            Some(why) => format!("{doing} was broken off: the function that watches it panicked: {why}"),
            None if self.cancel.is_cancelled() || (self.abandoned)() => format!("{doing} was cancelled"),
            None => return Ok(()),
        };
        Err(EngineError::new(EngineErrorKind::Cancelled, why))
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text was given")
}
