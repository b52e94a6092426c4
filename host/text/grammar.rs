//! Grammars: what a text must look like.
//!
//! llguidance does the work: a lexer of derivatives of regular expressions under an Earley parser, and a trie of the
//! vocabulary that both walk to find the tokens that may come next. Here are the model's tokens for it, the limits
//! that whoever wrote a grammar cannot exceed, and errors that say what is wrong and where.

mod account;
mod compile;
mod limits;
mod matcher;
mod place;
mod source;
mod vocabulary;
mod watch;

use std::fmt;
use std::sync::Arc;

pub use account::GrammarAccount;
pub use matcher::GrammarMatcher;
pub use source::GrammarSource;
pub(crate) use vocabulary::Vocabulary;

use crate::error::TextError;
use crate::tokenizer::Tokenizer;

/// A compiled grammar over the tokens of one model. Clones share it.
///
/// The whole text must match: a regular expression is anchored at both ends, a JSON Schema allows one value with
/// nothing before or after it. Added tokens with a visible character (`<think>`, `<|im_end|>`) are no text to a grammar,
/// so none of them comes out of a JSON string; a Lark grammar can ask for one by its name.
#[derive(Clone)]
pub struct Grammar {
    start: Arc<llguidance::Matcher>,
    tokenizer: Tokenizer,
    /// The virtual token that llguidance takes for the end.
    end: u32,
    after: Option<Arc<str>>,
}

impl Grammar {
    /// Compiles a grammar. Blocks, for seconds at most, and for another second where it is the tokenizer's first; so
    /// call it where blocking is allowed. It is for whoever this thread works for, by [`GrammarAccount::during`].
    ///
    /// # Errors
    /// [`TextErrorKind::GrammarInvalid`](crate::TextErrorKind::GrammarInvalid) and
    /// [`TextErrorKind::GrammarTooComplex`](crate::TextErrorKind::GrammarTooComplex), each with the place where the
    /// grammar has one; the latter too where another grammar of the same account is still being compiled.
    pub fn compile(tokenizer: &Tokenizer, source: &GrammarSource) -> Result<Self, TextError> {
        let vocabulary = tokenizer.grammar_vocabulary()?;
        let start = Arc::new(compile::compile(vocabulary, source)?);
        Ok(Self { start, tokenizer: tokenizer.clone(), end: vocabulary.end(), after: None })
    }

    /// The same grammar for a text that begins with anything: it holds from the token after the one that ends this
    /// marker, which a reasoning model writes between what it thinks and what it answers.
    #[must_use]
    pub fn after(self, marker: &str) -> Self {
        Self { after: Some(marker.into()), ..self }
    }

    /// Whether it was compiled for these tokens.
    pub fn is_for(&self, tokenizer: &Tokenizer) -> bool {
        Arc::ptr_eq(&self.tokenizer.inner, &tokenizer.inner)
    }

    /// Follows one text from its beginning.
    ///
    /// # Errors
    /// [`TextErrorKind::GrammarTooComplex`](crate::TextErrorKind::GrammarTooComplex) where the machine has no thread
    /// left to watch over its work.
    pub fn matcher(&self) -> Result<GrammarMatcher, TextError> {
        let free = self.after.as_ref().map(|marker| matcher::Free::new(&self.tokenizer, marker));
        // What the lexer learns of one text stays that text's: a long answer of one request takes no room from another.
        GrammarMatcher::new(self.start.deep_clone(), self.end, free)
    }
}

impl fmt::Debug for Grammar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Grammar").field("after", &self.after).finish_non_exhaustive()
    }
}
