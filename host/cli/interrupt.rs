//! Ctrl-C: the first breaks off what is under way, the next ends the program.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::output;

/// The exit code of a program that SIGINT ended, by the shells' convention.
const INTERRUPTED: i32 = 130;

/// What Ctrl-C does while nothing is under way, or what is under way was told to stop already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenIdle {
    /// It ends the program.
    Quit,
    /// It does nothing: the line editor has its own Ctrl-C.
    Ignore,
}

/// Listens for Ctrl-C.
#[derive(Clone)]
pub(crate) struct Interrupt {
    break_off: Arc<Mutex<Option<BreakOff>>>,
}

/// Breaks off what is under way.
type BreakOff = Box<dyn Fn() + Send>;

impl Interrupt {
    /// Starts to listen; needs a running tokio runtime.
    pub(crate) fn listen(when_idle: WhenIdle) -> Self {
        let this = Self { break_off: Arc::default() };
        let listener = this.clone();
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                match listener.lock().take() {
                    Some(break_off) => break_off(),
                    None if when_idle == WhenIdle::Ignore => {}
                    None => {
                        output::note("");
                        std::process::exit(INTERRUPTED)
                    }
                }
            }
        });
        this
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
