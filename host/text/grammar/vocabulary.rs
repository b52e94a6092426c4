//! A model's tokens as llguidance takes them.

use std::sync::Arc;

use llguidance::toktrie::{InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{ParserFactory, earley::SlicedBiasComputer};

use super::limits::parser_limits;
use crate::error::{TextError, TextErrorKind};
use crate::tokenizer::Tokenizer;

/// The longest token, in bytes, that the trie holds; longer ones (rows of a thousand blanks) are left to no grammar.
const LONGEST_TOKEN: usize = 1000;

/// The tokens of a model in a trie, with what makes the sets of tokens that JSON strings allow quick to find.
pub(crate) struct Vocabulary {
    factory: Arc<ParserFactory>,
    end: u32,
}

impl Vocabulary {
    /// Takes a few tenths of a second for a vocabulary of 150 thousand.
    fn new(tokenizer: &Tokenizer) -> Result<Self, TextError> {
        let end = tokenizer.vocab_size() as u32;
        let mut words: Vec<Vec<u8>> = (0..end).map(|id| word(tokenizer, id).unwrap_or_default()).collect();
        // Which tokens end an answer is a request's to say, so the end is a token that no model has.
        words.push(special(b"<|end of the text|>"));
        let trie = TokTrie::from(&TokRxInfo::new(end + 1, end), &words);
        let environment: TokEnv = Arc::new(Environment(trie));
        let slices = SlicedBiasComputer::general_slices();
        let mut factory =
            ParserFactory::new(&environment, InferenceCapabilities::default(), &slices).map_err(|error| {
                TextError::new(
                    TextErrorKind::TokenizerFailed,
                    format!("the vocabulary is of no use to grammars: {error}"),
                )
            })?;
        // It would write to stderr.
        factory.quiet();
        *factory.limits_mut() = parser_limits();
        Ok(Self { factory: Arc::new(factory), end })
    }

    pub(super) fn factory(&self) -> Arc<ParserFactory> {
        Arc::clone(&self.factory)
    }

    /// The token that stands for the end: one more than the tokenizer has.
    pub(super) fn end(&self) -> u32 {
        self.end
    }
}

impl Tokenizer {
    /// The vocabulary for grammars, made once.
    pub(super) fn grammar_vocabulary(&self) -> Result<&Vocabulary, TextError> {
        let made = self.inner.grammar_vocabulary.get_or_init(|| Vocabulary::new(self));
        made.as_ref().map_err(Clone::clone)
    }
}

/// The bytes of a token; none for one that no grammar can use.
fn word(tokenizer: &Tokenizer, id: u32) -> Option<Vec<u8>> {
    if let Some(added) = tokenizer.inner.added.by_id(id)
        && !added.blank
    {
        return Some(special(added.content.as_bytes()));
    }
    let bytes = tokenizer.token_bytes(id)?;
    // 255 is no byte of UTF-8, and marks special tokens in the trie.
    let is_usable = bytes.len() <= LONGEST_TOKEN && !bytes.contains(&TokTrie::SPECIAL_TOKEN_MARKER);
    is_usable.then_some(bytes)
}

/// A token that is no text.
fn special(name: &[u8]) -> Vec<u8> {
    [&[TokTrie::SPECIAL_TOKEN_MARKER], name].concat()
}

/// The vocabulary without an encoder: no token is ever forced for the bytes that a grammar forces, since the tokens
/// that a model would have drawn for them may be others.
struct Environment(TokTrie);

impl TokenizerEnv for Environment {
    fn tok_trie(&self) -> &TokTrie {
        &self.0
    }

    fn tokenize_bytes(&self, text: &[u8]) -> Vec<TokenId> {
        self.0.greedy_tokenize(text)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}
