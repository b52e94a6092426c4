//! Why a template could not be parsed or rendered.

use std::fmt;

/// What went wrong, for callers that act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The template is not valid Jinja.
    Syntax,
    /// The template called `raise_exception`: it refuses this conversation.
    Raised,
    /// Something that does not exist was used.
    Undefined,
    /// An operation that Python would refuse: a wrong type, a wrong argument, a missing key.
    Operation,
    /// A part of Jinja that this implementation leaves out.
    Unsupported,
    /// The template nests, repeats or grows beyond what is sensible for a prompt.
    Limit,
}

/// A failure, with the line of the template where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    line: Option<u32>,
}

/// What nearly every function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of a kind, with a sentence that says what failed.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), line: None }
    }

    /// What Python would report as a `TypeError`, `ValueError` and the like.
    pub(crate) fn operation(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Operation, message)
    }

    /// A malformed template.
    pub(crate) fn syntax(message: impl Into<String>, line: u32) -> Error {
        Error { kind: ErrorKind::Syntax, message: message.into(), line: Some(line) }
    }

    /// The same error, placed at a line unless an inner statement placed it already.
    pub(crate) fn at(mut self, line: u32) -> Error {
        self.line.get_or_insert(line);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence alone. For [`ErrorKind::Raised`] it is exactly what the template said.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line of the template, counted from 1.
    pub fn line(&self) -> Option<u32> {
        self.line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.line) {
            // The template's own words, which callers compare.
            (ErrorKind::Raised, _) => f.write_str(&self.message),
            (_, Some(line)) => write!(f, "chat template, line {line}: {}", self.message),
            (_, None) => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}
