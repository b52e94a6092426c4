//! How a component fails.

use std::fmt;
use std::time::Duration;

use wasmlx_engine::{EngineError, EngineErrorKind, PolicyError, PolicyErrorKind};
use wasmlx_text::TextError;

use crate::plain;

/// The most bytes of a sentence, about. Guests write some of them.
const BYTES_PER_MESSAGE: usize = 8 << 10;

/// An error of a component or of the runtime that runs it: a kind to act on, the component's name, and a sentence
/// that says what failed, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentError {
    kind: ComponentErrorKind,
    component: String,
    message: String,
    /// What kind of error of the engine it was.
    engine: Option<EngineErrorKind>,
    fault: bool,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ComponentErrorKind {
    /// The bytes are no WebAssembly component, or no valid one.
    NotAComponent,
    /// It was built for a version of the interfaces that this host does not serve.
    UnsupportedVersion,
    /// It lacks an export that its world has.
    MissingExport,
    /// It is of another world than its slot: a policy where a template is needed.
    WrongKind,
    /// It imports what its world does not grant.
    ImportDenied,
    /// Its manifest is not one: too large, no TOML, unknown keys, two of them, or of another kind than its world.
    InvalidManifest,
    /// It broke off in the middle: unreachable code, an access out of bounds, too deep a recursion. Its instance is
    /// gone; another can be made.
    Trapped,
    /// It spent the compute time of a call, or of its session. Its instance is gone.
    Deadline,
    /// It reached its memory limit, or no place for another instance is free.
    OutOfMemory,
    /// It, or the host on its behalf, refused an argument.
    InvalidInput,
    /// No such model, template, tool or component.
    NotFound,
    /// It asked for what the user did not grant.
    Denied,
    /// The caller broke it off.
    Cancelled,
    /// The prompt and the answer do not fit the model's context.
    ContextFull,
    /// A sampling policy failed in the middle of a generation, or broke its rules; the sentence names it.
    PolicyFailed,
    /// The model or the device failed.
    ModelFailed,
    /// What it asked for is in use; it may be free later.
    Busy,
    /// Another component that it needed failed, as it says itself.
    ComponentFailed,
    /// It failed for a reason of its own, which the sentence tells.
    Other,
    /// What compiles components broke down over this one.
    CompilerFailed,
    /// A compiled artefact in the cache is not one that this host wrote.
    InvalidCache,
    /// A file could not be read or written.
    Io,
    /// The runtime itself could not be set up on this machine.
    Unavailable,
}

impl ComponentError {
    /// An error of a component, by its name; an empty name stands for the runtime itself. Guests write some of the
    /// sentences: they are cut where they are long, and control characters in them are written out.
    pub fn new(kind: ComponentErrorKind, component: impl Into<String>, message: impl fmt::Display) -> Self {
        let message = plain::lines(&message.to_string(), BYTES_PER_MESSAGE);
        Self { kind, component: component.into(), message, engine: None, fault: false }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ComponentErrorKind {
        self.kind
    }

    /// Where the engine failed and the component only passed it on: what kind of failure that was.
    pub fn engine_kind(&self) -> Option<EngineErrorKind> {
        self.engine
    }

    /// Whether the component broke down by itself: it trapped, or spent the time or the memory of a call. What it
    /// refused, what its caller did and what failed around it is no fault of its own.
    pub fn is_fault(&self) -> bool {
        self.fault
    }

    /// The same error as a component's own fault.
    pub(crate) fn into_fault(self) -> Self {
        Self { fault: true, ..self }
    }

    /// The name of the component that failed; empty where none did.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The sentence without the component's name.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error as that of the component `name`, where no component is named yet.
    pub(crate) fn of(mut self, name: &str) -> Self {
        if self.component.is_empty() {
            name.clone_into(&mut self.component);
        }
        self
    }

    /// What a call into a component came to, where it did not return.
    ///
    /// `memory_limit` is the limit in bytes that the instance ran into, where it did; `allowed` is the compute time
    /// that the call had.
    pub(crate) fn from_call(
        component: &str,
        function: &str,
        error: &wasmtime::Error,
        memory_limit: Option<usize>,
        allowed: Duration,
    ) -> Self {
        if let Some(error) = error.downcast_ref::<Self>() {
            return error.clone().of(component);
        }
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            let message =
                format!("no place for another instance is free: {error}. Try again when other requests have ended.");
            return Self::new(ComponentErrorKind::OutOfMemory, component, message);
        }
        let new = |kind, message: String| Self::new(kind, component, message).into_fault();
        match error.downcast_ref::<wasmtime::Trap>() {
            Some(wasmtime::Trap::Interrupt) => {
                return new(
                    ComponentErrorKind::Deadline,
                    format!("`{function}` was stopped after {} ms of its own compute", allowed.as_millis()),
                );
            }
            Some(wasmtime::Trap::StackOverflow) => {
                return new(
                    ComponentErrorKind::Trapped,
                    format!("`{function}` trapped: its stack is full, by too deep a recursion"),
                );
            }
            _ => {}
        }
        if let Some(limit) = memory_limit {
            return new(
                ComponentErrorKind::OutOfMemory,
                format!("`{function}` needed more memory than its limit of {} MiB", limit >> 20),
            );
        }
        new(ComponentErrorKind::Trapped, format!("`{function}` trapped: {}{}", error.root_cause(), place(error)))
    }
}

/// The innermost functions that a trap went through, where the component has kept their names.
fn place(error: &wasmtime::Error) -> String {
    const FRAMES: usize = 3;
    let Some(backtrace) = error.downcast_ref::<wasmtime::WasmBacktrace>() else {
        return String::new();
    };
    let names: Vec<&str> = backtrace.frames().iter().filter_map(|frame| frame.func_name()).take(FRAMES).collect();
    if names.is_empty() { String::new() } else { format!(" (in {})", names.join(", called by ")) }
}

impl fmt::Display for ComponentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.component.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "component {}: {}", self.component, self.message)
        }
    }
}

impl std::error::Error for ComponentError {}

impl From<EngineError> for ComponentError {
    fn from(error: EngineError) -> Self {
        let kind = match error.kind() {
            EngineErrorKind::NotLoaded => ComponentErrorKind::NotFound,
            EngineErrorKind::Busy => ComponentErrorKind::Busy,
            EngineErrorKind::InvalidInput | EngineErrorKind::GrammarFailed | EngineErrorKind::TextFailed => {
                ComponentErrorKind::InvalidInput
            }
            EngineErrorKind::Cancelled | EngineErrorKind::Unloaded | EngineErrorKind::Stopped => {
                ComponentErrorKind::Cancelled
            }
            EngineErrorKind::ContextFull => ComponentErrorKind::ContextFull,
            EngineErrorKind::OutOfMemory => ComponentErrorKind::OutOfMemory,
            EngineErrorKind::PolicyFailed => ComponentErrorKind::PolicyFailed,
            _ => ComponentErrorKind::ModelFailed,
        };
        let fault = matches!(
            error.policy_kind(),
            Some(PolicyErrorKind::Trapped | PolicyErrorKind::Deadline | PolicyErrorKind::OutOfMemory)
        );
        Self { engine: Some(error.kind()), fault, ..Self::new(kind, "", error) }
    }
}

impl From<TextError> for ComponentError {
    fn from(error: TextError) -> Self {
        Self::new(ComponentErrorKind::InvalidInput, "", error)
    }
}

impl From<ComponentError> for PolicyError {
    fn from(error: ComponentError) -> Self {
        let kind = match error.kind {
            ComponentErrorKind::Trapped => PolicyErrorKind::Trapped,
            ComponentErrorKind::Deadline => PolicyErrorKind::Deadline,
            ComponentErrorKind::OutOfMemory => PolicyErrorKind::OutOfMemory,
            _ => PolicyErrorKind::Refused,
        };
        Self { kind, component: error.component, message: error.message }
    }
}
