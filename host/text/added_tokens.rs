//! Added tokens, and where they match in a text whose bytes are not all trusted.
//!
//! The tokenizers crate matches added tokens itself, leftmost-longest, but knows no trust. This module matches by the
//! same rules and asks, for every candidate, whether it may match there.

use std::collections::HashMap;
use std::ops::Range;

use crate::trie::Trie;

/// A token that stands beside the model's own vocabulary and is found in a text before anything is merged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// How it is written.
    pub content: String,
    /// Whether it is left out of what a model's answer shows, such as `<|im_end|>`. Qwen3's `<think>` is not special.
    pub special: bool,
    /// Matches only where no word character stands beside it.
    pub(crate) single_word: bool,
    /// Takes the whitespace on its left along.
    pub(crate) strip_left: bool,
    /// Takes the whitespace on its right along.
    pub(crate) strip_right: bool,
    /// Whether it consists of whitespace, written plainly or as SentencePiece's U+2581. Such a token controls
    /// nothing, and models are trained with it in any text.
    pub(crate) blank: bool,
}

/// All added tokens of a tokenizer.
#[derive(Debug)]
pub(crate) struct AddedTokens {
    /// By id, ascending.
    tokens: Vec<AddedToken>,
    by_content: HashMap<String, usize>,
    by_id: HashMap<u32, usize>,
    /// Those that match in the text as written.
    plain: Trie,
    /// Those that match after normalisation, by their normalised form.
    normalized: Trie,
}

/// Which of the two passes over a text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pass {
    Plain,
    Normalized,
}

/// A match. `token` is an index into the added tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) token: usize,
    /// The bytes of the token itself.
    pub(crate) core: Range<usize>,
    /// These and the whitespace it takes along.
    pub(crate) whole: Range<usize>,
}

impl Default for AddedTokens {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            by_content: HashMap::new(),
            by_id: HashMap::new(),
            plain: Trie::new(),
            normalized: Trie::new(),
        }
    }
}

impl AddedTokens {
    pub(crate) fn of(vocabulary: &tokenizers::AddedVocabulary) -> Self {
        let mut entries: Vec<_> = vocabulary.get_added_tokens_decoder().iter().collect();
        entries.sort_unstable_by_key(|(id, _)| **id);
        let mut added = Self::default();
        for (index, (&id, token)) in entries.into_iter().enumerate() {
            if token.normalized {
                // For tokens that match after normalisation this is the normalised form.
                let form = vocabulary.simple_id_to_token(id).unwrap_or_else(|| token.content.clone());
                added.normalized.insert(form.as_bytes(), index as u32);
            } else {
                added.plain.insert(token.content.as_bytes(), index as u32);
            }
            added.by_content.insert(token.content.clone(), index);
            added.by_id.insert(id, index);
            added.tokens.push(AddedToken {
                id,
                content: token.content.clone(),
                special: token.special,
                single_word: token.single_word,
                strip_left: token.lstrip,
                strip_right: token.rstrip,
                blank: token.content.chars().all(|c| c.is_whitespace() || c == '\u{2581}'),
            });
        }
        added
    }

    pub(crate) fn all(&self) -> &[AddedToken] {
        &self.tokens
    }

    pub(crate) fn get(&self, index: usize) -> &AddedToken {
        &self.tokens[index]
    }

    pub(crate) fn index_of(&self, content: &str) -> Option<usize> {
        self.by_content.get(content).copied()
    }

    pub(crate) fn by_id(&self, id: u32) -> Option<&AddedToken> {
        self.by_id.get(&id).map(|&index| &self.tokens[index])
    }

    /// Whether this id may come of trusted text only.
    pub(crate) fn is_control(&self, id: u32) -> bool {
        self.by_id(id).is_some_and(|token| !token.blank)
    }

    /// The matches in `text`, in order.
    ///
    /// `fixed` are matches that are settled beforehand, in order; no other match reaches into one. At each place the
    /// longest token that `allowed` lets match wins.
    pub(crate) fn find(
        &self,
        pass: Pass,
        text: &str,
        fixed: &[(Range<usize>, usize)],
        mut allowed: impl FnMut(&AddedToken, &Range<usize>) -> bool,
    ) -> Vec<Match> {
        let trie = match pass {
            Pass::Plain => &self.plain,
            Pass::Normalized => &self.normalized,
        };
        let bytes = text.as_bytes();
        let mut matches: Vec<Match> = Vec::new();
        let mut candidates = Vec::new();
        let mut fixed = fixed.iter().peekable();
        let mut at = 0;
        while at < bytes.len() {
            if let Some((range, token)) = fixed.next_if(|(range, _)| range.start <= at) {
                matches.push(self.with_whitespace(text, *token, range.clone(), &matches));
                at = range.end;
                continue;
            }
            let limit = fixed.peek().map_or(bytes.len(), |(range, _)| range.start);
            trie.prefixes(&bytes[at..limit], &mut candidates);
            let chosen = candidates.iter().rev().find_map(|&(length, token)| {
                let range = at..at + length;
                allowed(&self.tokens[token as usize], &range).then_some((range, token as usize))
            });
            let Some((range, token)) = chosen else {
                at += 1;
                continue;
            };
            // A single-word token inside a word does not match, and as in the tokenizers crate nothing else matches
            // within it either.
            at = range.end;
            if !(self.tokens[token].single_word && inside_word(text, &range)) {
                matches.push(self.with_whitespace(text, token, range, &matches));
            }
        }
        matches
    }

    fn with_whitespace(&self, text: &str, token: usize, core: Range<usize>, before: &[Match]) -> Match {
        let mut whole = core.clone();
        let flags = &self.tokens[token];
        if flags.strip_left {
            let taken = before.last().map_or(0, |last| last.whole.end);
            whole.start = text[..core.start].trim_end().len().max(taken).min(core.end);
        }
        if flags.strip_right {
            let rest = &text[core.end..];
            whole.end += rest.len() - rest.trim_start().len();
        }
        Match { token, core, whole }
    }
}

/// Whether a word character stands on either side of `range`.
fn inside_word(text: &str, range: &Range<usize>) -> bool {
    let is_word = regex_syntax::is_word_character;
    text[..range.start].chars().next_back().is_some_and(is_word)
        || text[range.end..].chars().next().is_some_and(is_word)
}
