//! MLX's exceptions as errors of a backend.

use mlx_rs::error::Exception;
use wasmlx_backend::{BackendError, BackendErrorKind};

/// The model's files are not what they should be.
pub(crate) fn invalid_model(message: impl std::fmt::Display) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidModel, message)
}

/// The caller's arguments are wrong.
pub(crate) fn invalid_input(message: impl std::fmt::Display) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidInput, message)
}

/// The model needs what this backend does not have.
pub(crate) fn unsupported(message: impl std::fmt::Display) -> BackendError {
    BackendError::new(BackendErrorKind::Unsupported, message)
}

/// The caller has had enough of a load.
pub(crate) fn broken_off() -> BackendError {
    BackendError::new(BackendErrorKind::Cancelled, "the load was broken off")
}

/// Turns what MLX reports into a [`BackendError`].
pub(crate) trait Doing<T> {
    /// Says what was being done when it happened: `sampling a token`.
    fn doing(self, what: &str) -> Result<T, BackendError>;
}

impl<T, E: MlxError> Doing<T> for Result<T, E> {
    fn doing(self, what: &str) -> Result<T, BackendError> {
        self.map_err(|error| {
            let reason = error.reason();
            BackendError::new(kind(&reason), format!("{what} failed on the device: {reason}"))
        })
    }
}

/// MLX throws plain exceptions; only their text tells a full memory from another failure.
fn kind(reason: &str) -> BackendErrorKind {
    let reason = reason.to_ascii_lowercase();
    let full = ["out of memory", "unable to allocate", "bad_alloc", "insufficient memory", "attempting to allocate"];
    if full.iter().any(|sign| reason.contains(sign)) {
        BackendErrorKind::OutOfMemory
    } else {
        BackendErrorKind::DeviceFailed
    }
}

/// An error type of mlx-rs.
pub(crate) trait MlxError {
    /// What MLX said.
    fn reason(&self) -> String;
}

impl MlxError for Exception {
    fn reason(&self) -> String {
        self.what().to_owned()
    }
}

impl MlxError for mlx_rs::error::ConversionError {
    fn reason(&self) -> String {
        self.to_string()
    }
}

impl MlxError for mlx_rs::error::AsSliceError {
    fn reason(&self) -> String {
        self.to_string()
    }
}

impl MlxError for mlx_rs::error::IoError {
    fn reason(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_memory_is_told_from_other_failures() {
        let full: Result<(), _> = Err(Exception::custom("[malloc_or_wait] Unable to allocate 99 bytes."));
        let full = full.doing("loading").unwrap_err();
        assert_eq!(full.kind(), BackendErrorKind::OutOfMemory);
        assert!(full.to_string().starts_with("loading failed on the device: [malloc_or_wait]"), "{full}");
        let other: Result<(), _> = Err(Exception::custom("[matmul] shapes"));
        assert_eq!(other.doing("loading").unwrap_err().kind(), BackendErrorKind::DeviceFailed);
    }
}
