//! What can go wrong between text and tokens.

use std::fmt::Display;
use std::path::Path;

/// An error of this crate: a kind that code can act on, and a message that says what failed, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TextError {
    kind: TextErrorKind,
    message: String,
}

/// The ways in which text work fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextErrorKind {
    /// A file of the tokenizer is missing or cannot be opened.
    FileMissing,
    /// A file of the tokenizer is torn, has the wrong types, contradicts itself, or is not UTF-8.
    FileInvalid,
    /// A file, or an id in it, is larger than any tokenizer's.
    FileTooLarge,
    /// The tokenizer is of a kind this crate cannot read.
    Unsupported,
    /// A control segment names a token that the model lacks.
    UnknownControlToken,
    /// An offset into a prompt lies outside its text or inside a character.
    InvalidOffset,
    /// A stop string is empty.
    InvalidStop,
    /// The tokenizer's own parts failed on a text or on ids.
    TokenizerFailed,
    /// A grammar is not one: a malformed schema, regular expression or Lark text, or one that no text satisfies.
    GrammarInvalid,
    /// A grammar is over a limit: of its size or depth, of the time to compile it, or of the work for one token.
    GrammarTooComplex,
}

impl TextError {
    pub(crate) fn new(kind: TextErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn invalid_file(file: &Path, why: impl Display) -> Self {
        Self::new(
            TextErrorKind::FileInvalid,
            format!(
                "{} is not a valid tokenizer file: {why}. Download the model again, or ask its author.",
                file.display()
            ),
        )
    }

    /// What went wrong, for code.
    pub fn kind(&self) -> TextErrorKind {
        self.kind
    }
}

/// Runs a step of the tokenizers crate; `step` says what the tokenizer "failed to" do.
pub(crate) fn guarded<T>(step: &str, run: impl FnOnce() -> Result<T, tokenizers::Error>) -> Result<T, TextError> {
    caught(run).map_err(|why| {
        TextError::new(TextErrorKind::TokenizerFailed, format!("The model's tokenizer failed to {step}: {why}."))
    })
}

/// Runs a step of the tokenizers crate and says why it failed.
///
/// The crate panics on some files that it ought to refuse (a `Strip` decoder at an empty token, a decoder over no
/// tokens). A downloaded file must not take the host down, so a panic becomes an error.
pub(crate) fn caught<T>(run: impl FnOnce() -> Result<T, tokenizers::Error>) -> Result<T, String> {
    // Nothing that `run` borrows is left half changed: what is built in it is dropped, and the crate's only interior
    // state is its caches, which hold whole entries only.
    let why = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic
            .downcast::<String>()
            .map(|text| *text)
            .or_else(|panic| panic.downcast::<&str>().map(|text| text.to_string()))
            .unwrap_or_else(|_| "it panicked".to_owned()),
    };
    Err(why.trim_end_matches('.').to_owned())
}
