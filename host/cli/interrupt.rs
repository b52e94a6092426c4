//! Ctrl-C: the first breaks off what is under way, the next ends the program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::failure::INTERRUPTED;
use crate::output;

/// Listens for Ctrl-C.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    break_off: Arc<Mutex<Option<BreakOff>>>,
    /// Whether one that finds nothing under way is somebody else's.
    left_to_editor: Arc<AtomicBool>,
}

/// Breaks off what is under way.
type BreakOff = Box<dyn Fn() + Send>;

impl Interrupt {
    /// Starts to listen; needs a running tokio runtime. While nothing is under way, or what is under way was told to
    /// stop already, Ctrl-C ends the program.
    pub(crate) fn listen() -> Self {
        let this = Self::default();
        let listener = this.clone();
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                match listener.lock().take() {
                    Some(break_off) => break_off(),
                    None if listener.left_to_editor.load(Ordering::Relaxed) => {}
                    None => {
                        output::note("");
                        std::process::exit(INTERRUPTED.into())
                    }
                }
            }
        });
        this
    }

    /// From now on Ctrl-C ends the program no more: a line editor has its own.
    pub(crate) fn leave_to_editor(&self) {
        self.left_to_editor.store(true, Ordering::Relaxed);
    }

    /// The next Ctrl-C calls `break_off`, until the guard is dropped.
    pub(crate) fn guard(&self, break_off: impl Fn() + Send + 'static) -> Guard<'_> {
        *self.lock() = Some(Box::new(break_off));
        Guard(self)
    }

    fn lock(&self) -> MutexGuard<'_, Option<BreakOff>> {
        self.break_off.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// While it lives, Ctrl-C breaks something off.
pub(crate) struct Guard<'a>(&'a Interrupt);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.lock().take();
    }
}
