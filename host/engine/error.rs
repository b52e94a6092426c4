//! How the engine fails.

use std::fmt;

use wasmlx_backend::{BackendError, BackendErrorKind};

use crate::{PolicyError, PolicyErrorKind};

/// An error of the engine: a kind to act on, and a sentence that says what failed, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EngineError {
    kind: EngineErrorKind,
    message: String,
    /// How the policy failed, where one did.
    policy: Option<PolicyErrorKind>,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineErrorKind {
    /// No such device, or its driver or library is not usable.
    DeviceUnavailable,
    /// No model of that name is loaded.
    NotLoaded,
    /// The model is loaded with other options.
    AlreadyLoaded,
    /// The model was unloaded while something still used it.
    Unloaded,
    /// It is in use: a context generates one answer at a time.
    Busy,
    /// The caller broke it off.
    Cancelled,
    /// The text leaves no room in the model's context.
    ContextFull,
    /// The caller's arguments are wrong.
    InvalidInput,
    /// A file of the model is missing, torn, or not what its name says.
    InvalidModel,
    /// The architecture or a feature of the model is not known here.
    Unsupported,
    /// The device or the host has no memory left.
    OutOfMemory,
    /// A sampling policy failed or broke its rules.
    PolicyFailed,
    /// A grammar could not be followed: no token that it allows has a chance, or finding them is too much work.
    GrammarFailed,
    /// Text could not be turned into tokens, or tokens into text.
    TextFailed,
    /// The device failed at its work, or its thread panicked.
    DeviceFailed,
    /// The engine was stopped.
    Stopped,
}

impl EngineError {
    /// An error of a kind with its sentence.
    pub fn new(kind: EngineErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), policy: None }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> EngineErrorKind {
        self.kind
    }

    /// How the sampling policy failed, where it failed by itself. One that broke its rules did not.
    pub fn policy_kind(&self) -> Option<PolicyErrorKind> {
        self.policy
    }
}

impl From<PolicyError> for EngineError {
    fn from(error: PolicyError) -> Self {
        Self { policy: Some(error.kind), ..Self::new(EngineErrorKind::PolicyFailed, error) }
    }
}

impl From<BackendError> for EngineError {
    fn from(error: BackendError) -> Self {
        let kind = match error.kind() {
            BackendErrorKind::DeviceUnavailable => EngineErrorKind::DeviceUnavailable,
            BackendErrorKind::InvalidModel => EngineErrorKind::InvalidModel,
            BackendErrorKind::Unsupported => EngineErrorKind::Unsupported,
            BackendErrorKind::InvalidInput => EngineErrorKind::InvalidInput,
            BackendErrorKind::OutOfMemory => EngineErrorKind::OutOfMemory,
            BackendErrorKind::Cancelled => EngineErrorKind::Cancelled,
            _ => EngineErrorKind::DeviceFailed,
        };
        Self::new(kind, error)
    }
}
