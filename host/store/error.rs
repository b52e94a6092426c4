//! How the store fails.

use std::fmt;

/// An error of the store: a kind to act on, and a sentence that says what failed, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No such model or component.
    NotFound,
    /// A folder that is not a model.
    InvalidModel,
    /// A component that is not what was installed, or what was asked for: its file or its entry is torn, or was changed.
    InvalidComponent,
    /// No name for a component, or one that something else has.
    InvalidName,
    /// Neither `WASMLX_HOME` nor the user's home folder is known.
    NoHome,
    /// A file could not be read or written.
    Io,
    /// Bytes are not those that were asked for: a file of the store was changed or is missing, or what came has another
    /// hash.
    Corrupt,
    /// A manifest, or the intent of a pull, that is torn, was changed, or is of a later version; a mapping file with a
    /// mistake in it.
    InvalidManifest,
    /// The caller broke it off.
    Cancelled,
    /// The store may not be written to.
    ReadOnly,
    /// The disk is full, or would be.
    NoSpace,
    /// Another process works at it.
    Busy,
    /// What the caller asked for makes no sense.
    InvalidInput,
    /// A hub cannot be reached, or is out of order.
    Unreachable,
    /// A hub was asked too often.
    RateLimited,
    /// A hub gives it to others only: to who accepted the terms, to who has another token.
    Denied,
    /// The repository has no such branch, tag or commit.
    NoSuchRevision,
    /// A component is not signed with the key that the user trusts.
    Untrusted,
    /// A hub answered what cannot be.
    InvalidAnswer,
    /// It was said that nobody is to be asked.
    Offline,
}

impl StoreError {
    pub(crate) fn new(kind: StoreErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}
