//! A prompt as its template writes it: pieces of text, each with the trust it has.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::added_tokens::AddedTokens;
use crate::error::{TextError, TextErrorKind};

/// One piece of a prompt.
///
/// Adjacent segments are joined and encoded as one text, so that a border between two of them changes no merge. What
/// a border does is to keep control tokens apart from text: see [`Tokenizer::encode`](crate::Tokenizer::encode).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Segment {
    /// One added token of the model, by its name: `<|im_start|>`.
    Control(String),
    /// Text by the template's author. Added tokens in it count.
    Trusted(String),
    /// Text by anyone else: a message, a tool's name, a document. No control token ever comes of it.
    Untrusted(String),
}

impl Segment {
    /// The text that this segment adds to the prompt.
    pub fn text(&self) -> &str {
        match self {
            Self::Control(text) | Self::Trusted(text) | Self::Untrusted(text) => text,
        }
    }
}

/// Segments joined to one text, with the trust of each byte.
#[derive(Debug)]
pub(crate) struct Prompt {
    pub(crate) text: String,
    /// In order, none empty, none touching the next.
    untrusted: Vec<Range<usize>>,
    /// In order: where a control segment lies, and the index of its token.
    pub(crate) controls: Vec<(Range<usize>, usize)>,
}

impl Prompt {
    /// A text that its author vouches for as a whole.
    pub(crate) fn trusted_text(text: &str) -> Self {
        Self { text: text.to_owned(), untrusted: Vec::new(), controls: Vec::new() }
    }

    /// Joins segments, and looks their control tokens up.
    pub(crate) fn join(segments: &[Segment], added: &AddedTokens) -> Result<Self, TextError> {
        let length = segments.iter().map(|segment| segment.text().len()).sum();
        let mut prompt = Self { text: String::with_capacity(length), untrusted: Vec::new(), controls: Vec::new() };
        for segment in segments {
            let start = prompt.text.len();
            prompt.text.push_str(segment.text());
            let range = start..prompt.text.len();
            match segment {
                Segment::Control(name) => {
                    let token = added.index_of(name).ok_or_else(|| unknown_control_token(name))?;
                    prompt.controls.push((range, token));
                }
                Segment::Untrusted(_) if !range.is_empty() => match prompt.untrusted.last_mut() {
                    Some(last) if last.end == start => last.end = range.end,
                    _ => prompt.untrusted.push(range),
                },
                Segment::Trusted(_) | Segment::Untrusted(_) => {}
            }
        }
        Ok(prompt)
    }

    /// Whether every byte of `range` lies in control or trusted text.
    pub(crate) fn is_trusted(&self, range: &Range<usize>) -> bool {
        let next = self.untrusted.partition_point(|untrusted| untrusted.end <= range.start);
        self.untrusted.get(next).is_none_or(|untrusted| untrusted.start >= range.end)
    }
}

fn unknown_control_token(name: &str) -> TextError {
    TextError::new(
        TextErrorKind::UnknownControlToken,
        format!(
            "The prompt template writes the control token {name:?}, which this model's tokenizer does not have. \
             Use a template made for this model, or the model's own."
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_is_kept_byte_by_byte() {
        let untrusted = |text: &str| Segment::Untrusted(text.to_owned());
        let trusted = |text: &str| Segment::Trusted(text.to_owned());
        let segments = [trusted("ab"), untrusted("cd"), untrusted(""), untrusted("ef"), trusted("gh"), untrusted("")];
        let prompt = Prompt::join(&segments, &AddedTokens::default()).unwrap();
        assert_eq!(prompt.text, "abcdefgh");
        let trusted_at: Vec<bool> = (0..8).map(|at| prompt.is_trusted(&(at..at + 1))).collect();
        assert_eq!(trusted_at, [true, true, false, false, false, false, true, true]);
        assert!(prompt.is_trusted(&(0..2)) && prompt.is_trusted(&(6..8)));
        assert!(!prompt.is_trusted(&(1..3)) && !prompt.is_trusted(&(5..7)) && !prompt.is_trusted(&(0..8)));
    }

    #[test]
    fn a_control_token_the_model_lacks_is_an_error_that_names_it() {
        let error = Prompt::join(&[Segment::Control("<|x|>".to_owned())], &AddedTokens::default()).unwrap_err();
        assert_eq!(error.kind(), TextErrorKind::UnknownControlToken);
        assert!(error.to_string().contains("<|x|>"), "{error}");
    }
}
