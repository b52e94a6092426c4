//! A session's calls on its tape, where it has one: which handle has which number there.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::Resource;

use crate::ComponentError;
use crate::chat_state::{ChatState, HeldContext};
use crate::generation::HeldGeneration;
use crate::tape::{Take, Tape};

/// A session's tape, and the numbers that contexts and generations have on it. Their handles are used again once they
/// are dropped, in an order that is a guest's memory's affair; the numbers are not.
pub(crate) struct Taped {
    tape: Option<Arc<Tape>>,
    numbers: HashMap<u32, u32>,
    made: u32,
}

impl Taped {
    pub(crate) fn new(tape: Option<Arc<Tape>>) -> Self {
        Self { tape, numbers: HashMap::new(), made: 0 }
    }

    /// Whether calls are written down.
    pub(crate) fn is_recording(&self) -> bool {
        self.tape.as_ref().is_some_and(|tape| tape.is_recording())
    }
}

impl ChatState {
    /// The guest makes a call whose answer comes from outside of its session.
    ///
    /// # Errors
    /// The call is not the tape's.
    pub(crate) fn take(&self, call: &str, arguments: impl FnOnce() -> Value) -> wasmtime::Result<Take> {
        match &self.taped.tape {
            Some(tape) => tape.take(call, arguments(), None),
            None => Ok(Take::untaped()),
        }
    }

    /// The number of a handle on the tape.
    pub(crate) fn number<T: 'static>(&self, handle: &Resource<T>) -> u32 {
        self.taped.numbers.get(&handle.rep()).copied().unwrap_or_default()
    }

    /// A context that a tape says there is.
    pub(crate) fn stand_in_context(&mut self) -> Result<Resource<HeldContext>, ComponentError> {
        self.hold(HeldContext::Scripted)
    }

    /// A generation that a tape says there is.
    pub(crate) fn stand_in_generation(&mut self) -> Result<Resource<HeldGeneration>, ComponentError> {
        self.hold(HeldGeneration::empty())
    }

    /// Keeps a handle that was made, by the next number.
    pub(crate) fn keep_handle<T: 'static>(&mut self, take: &Take, made: &Result<Resource<T>, ComponentError>) {
        if self.taped.tape.is_none() {
            return;
        }
        if let Ok(handle) = made {
            self.taped.made += 1;
            self.taped.numbers.insert(handle.rep(), self.taped.made);
        }
        take.keep(&made.as_ref().map(|_| self.taped.made).map_err(Clone::clone));
    }
}
