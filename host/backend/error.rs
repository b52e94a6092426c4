//! How a backend fails.

use std::fmt;

/// An error of a backend: a kind to act on, and a sentence that says what failed, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BackendError {
    kind: BackendErrorKind,
    message: String,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BackendErrorKind {
    /// No such device, or its driver or library is not usable.
    DeviceUnavailable,
    /// A file is missing, torn, or not what its name says.
    InvalidModel,
    /// The architecture or a feature of the model is not known here.
    Unsupported,
    /// The caller's arguments are wrong.
    InvalidInput,
    /// The device or the host has no memory left.
    OutOfMemory,
    /// The caller broke it off.
    Cancelled,
    /// The device failed at its work.
    DeviceFailed,
}

impl BackendError {
    /// An error of a kind with its sentence.
    pub fn new(kind: BackendErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> BackendErrorKind {
        self.kind
    }
}
