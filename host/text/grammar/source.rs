//! What a grammar is written as.

use serde_json::Value;

use super::limits;
use crate::error::{TextError, TextErrorKind};

/// A grammar as its author writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrammarSource {
    /// A JSON Schema (2020-12; `true` is any value). What of it cannot be kept to is refused, not ignored.
    JsonSchema(Value),
    /// A regular expression in the syntax of the crate regex, for the whole text.
    Regex(String),
    /// A grammar in llguidance's form of Lark.
    Lark(String),
}

impl GrammarSource {
    /// A JSON Schema of its text.
    ///
    /// # Errors
    /// [`TextErrorKind::GrammarInvalid`] with line and column, where it is no JSON or is nested too deep;
    /// [`TextErrorKind::GrammarTooComplex`] for one of more than a mebibyte.
    pub fn json_schema(text: &str) -> Result<Self, TextError> {
        limits::check_schema_text(text)?;
        let schema = serde_json::from_str(text).map_err(|error| {
            TextError::new(TextErrorKind::GrammarInvalid, format!("the JSON Schema is not JSON: {error}"))
        })?;
        Ok(Self::JsonSchema(schema))
    }

    /// What it is, in words.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::JsonSchema(_) => "JSON Schema",
            Self::Regex(_) => "regular expression",
            Self::Lark(_) => "Lark grammar",
        }
    }
}
