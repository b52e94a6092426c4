//! How the host fails: a kind to act on, a sentence to show, and where there is one, a way out.

use std::fmt;

use wasmlx_components::{ComponentError, ComponentErrorKind, InvalidGrant};
use wasmlx_engine::{EngineError, EngineErrorKind};
use wasmlx_store::{StoreError, StoreErrorKind};
use wasmlx_text::{TextError, TextErrorKind};

/// A result of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// An error: [`kind`](Error::kind) for a program to act on, the message (what failed, and why) for a person, and a
/// [`hint`](Error::hint) that says what to do where the host knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The device that was asked for, its driver or its library is not usable here.
    NotAvailable,
    /// No such model, component or file.
    NotFound,
    /// There is nothing to unload: the model was unloaded before.
    NotLoaded,
    /// The model is loaded already, from another folder or with other options.
    AlreadyLoaded,
    /// The model was unloaded meanwhile.
    Unloaded,
    /// One thing at a time: a generation or a load is under way.
    Busy,
    /// The caller broke it off.
    Cancelled,
    /// The prompt and the answer do not fit the model's context.
    ContextFull,
    /// The caller's arguments are wrong.
    InvalidInput,
    /// A file of the model is missing, torn, or not what its name says.
    InvalidModel,
    /// The component is no component, or not of the world that its slot needs.
    InvalidComponent,
    /// The model or an option is not known to this version.
    Unsupported,
    /// The device, the host or a component's memory limit has no more to give.
    OutOfMemory,
    /// The component's own cases do not come out as they should.
    CasesFailed,
    /// A component asked for what its manifest does not ask for, or what the user did not grant; a hub gives something
    /// to others only.
    Denied,
    /// The component is not signed with the key that is trusted.
    Untrusted,
    /// A component trapped, spent its time, or answered an error of its own.
    ComponentFailed,
    /// A hub cannot be reached, was asked too often, does not answer as it should, or is not to be asked.
    Unreachable,
    /// A server of tools could not be started or reached, or does not speak its protocol.
    ToolFailed,
    /// The device failed at its work.
    DeviceFailed,
    /// A file could not be read or written.
    Io,
    /// The store may not be written to.
    ReadOnly,
    /// The disk is full, or would be.
    NoSpace,
    /// The host is shutting down.
    Stopped,
}

impl Error {
    /// An error of a kind with its sentence.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string(), hint: None }
    }

    /// The same error with a way out.
    #[must_use]
    pub fn with_hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it, where the host knows.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// With the hint that goes with errors of its kind, where there is one.
    fn with_usual_hint(self) -> Self {
        match self.kind {
            ErrorKind::NotAvailable => self.with_hint("`wasmlx doctor` says what this machine has and lacks"),
            ErrorKind::ContextFull => self.with_hint("shorten the conversation, or ask for fewer tokens"),
            _ => self,
        }
    }

    /// A file at `path` could not be read or written: `what` says which of the two, and what for.
    pub(crate) fn io(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format_args!("cannot {what} {}: {error}", path.display()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<EngineErrorKind> for ErrorKind {
    fn from(kind: EngineErrorKind) -> Self {
        use EngineErrorKind as Kind;
        match kind {
            Kind::DeviceUnavailable => Self::NotAvailable,
            Kind::NotLoaded => Self::NotLoaded,
            Kind::AlreadyLoaded => Self::AlreadyLoaded,
            Kind::Unloaded => Self::Unloaded,
            Kind::Busy => Self::Busy,
            Kind::Cancelled => Self::Cancelled,
            Kind::ContextFull => Self::ContextFull,
            Kind::InvalidInput | Kind::GrammarFailed | Kind::TextFailed => Self::InvalidInput,
            Kind::InvalidModel => Self::InvalidModel,
            Kind::Unsupported => Self::Unsupported,
            Kind::OutOfMemory => Self::OutOfMemory,
            Kind::PolicyFailed => Self::ComponentFailed,
            Kind::Stopped => Self::Stopped,
            _ => Self::DeviceFailed,
        }
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        Self::new(error.kind().into(), error).with_usual_hint()
    }
}

impl From<InvalidGrant> for Error {
    fn from(error: InvalidGrant) -> Self {
        Self::new(ErrorKind::InvalidInput, error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind() {
            StoreErrorKind::NotFound | StoreErrorKind::NoSuchRevision => ErrorKind::NotFound,
            StoreErrorKind::InvalidModel | StoreErrorKind::Corrupt | StoreErrorKind::InvalidManifest => {
                ErrorKind::InvalidModel
            }
            StoreErrorKind::InvalidComponent => ErrorKind::InvalidComponent,
            StoreErrorKind::InvalidName | StoreErrorKind::InvalidInput => ErrorKind::InvalidInput,
            StoreErrorKind::Cancelled => ErrorKind::Cancelled,
            StoreErrorKind::ReadOnly => ErrorKind::ReadOnly,
            StoreErrorKind::NoSpace => ErrorKind::NoSpace,
            StoreErrorKind::Busy => ErrorKind::Busy,
            StoreErrorKind::Denied => ErrorKind::Denied,
            StoreErrorKind::Untrusted => ErrorKind::Untrusted,
            StoreErrorKind::Unreachable
            | StoreErrorKind::RateLimited
            | StoreErrorKind::InvalidAnswer
            | StoreErrorKind::Offline => ErrorKind::Unreachable,
            _ => ErrorKind::Io,
        };
        Self::new(kind, error)
    }
}

impl From<TextError> for Error {
    fn from(error: TextError) -> Self {
        let kind = match error.kind() {
            TextErrorKind::FileMissing | TextErrorKind::FileInvalid | TextErrorKind::FileTooLarge => {
                ErrorKind::InvalidModel
            }
            TextErrorKind::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

impl From<ComponentError> for Error {
    fn from(error: ComponentError) -> Self {
        use ComponentErrorKind as Kind;
        // A component may only pass on what the engine said.
        if let Some(engine) = error.engine_kind() {
            return Self::new(engine.into(), error).with_usual_hint();
        }
        let kind = match error.kind() {
            Kind::NotAComponent
            | Kind::UnsupportedVersion
            | Kind::MissingExport
            | Kind::WrongKind
            | Kind::ImportDenied
            | Kind::InvalidManifest => ErrorKind::InvalidComponent,
            Kind::InvalidInput => ErrorKind::InvalidInput,
            Kind::NotFound => ErrorKind::NotFound,
            Kind::Denied => ErrorKind::Denied,
            Kind::Cancelled => ErrorKind::Cancelled,
            Kind::ContextFull => ErrorKind::ContextFull,
            Kind::OutOfMemory => ErrorKind::OutOfMemory,
            Kind::ModelFailed => ErrorKind::DeviceFailed,
            Kind::Busy => ErrorKind::Busy,
            Kind::InvalidCache | Kind::Io => ErrorKind::Io,
            Kind::Unavailable => ErrorKind::NotAvailable,
            _ => ErrorKind::ComponentFailed,
        };
        Self::new(kind, error).with_usual_hint()
    }
}
