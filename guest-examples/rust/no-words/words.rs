//! Which tokens would complete a word, and where one has begun.

use std::collections::BTreeMap;

/// The longest word, in bytes: a policy may go back by 64 tokens, and each is a byte at least.
const LONGEST: usize = 64;

/// The words, and what of the vocabulary matters to them. All of it is compared in small letters.
pub(crate) struct Words {
    words: Vec<Vec<u8>>,
    /// Tokens that hold a whole word.
    whole: Vec<u32>,
    /// By the end of a word, from any of its letters but the first on: the tokens that begin with it.
    ends: BTreeMap<Vec<u8>, Vec<u32>>,
}

impl Words {
    /// The words over a vocabulary.
    ///
    /// # Errors
    /// An empty word, which everything holds, or one that is too long.
    pub(crate) fn new(words: &[String], tokens: impl Iterator<Item = (u32, Vec<u8>)>) -> Result<Self, String> {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_ascii_lowercase().into_bytes()).collect();
        if let Some(word) = words.iter().find(|word| !(1..=LONGEST).contains(&word.len())) {
            return Err(format!("a word has 1 to {LONGEST} bytes, not {}", word.len()));
        }
        let ends = words.iter().flat_map(|word| (1..word.len()).map(|start| (word[start..].to_vec(), Vec::new())));
        let mut made = Self { ends: ends.collect(), whole: Vec::new(), words };
        for (id, bytes) in tokens {
            let bytes = bytes.to_ascii_lowercase();
            if made.words.iter().any(|word| bytes.windows(word.len()).any(|window| window == word)) {
                made.whole.push(id);
            }
            for (end, tokens) in &mut made.ends {
                if bytes.starts_with(end) {
                    tokens.push(id);
                }
            }
        }
        Ok(made)
    }

    pub(crate) fn longest(&self) -> usize {
        self.words.iter().map(Vec::len).max().unwrap_or(1)
    }

    /// The tokens with which this text would have a word, in order.
    pub(crate) fn completing(&self, tokens: &[Vec<u8>]) -> Vec<u32> {
        let text = self.tail(tokens);
        let mut completing = self.whole.clone();
        for (word, start) in self.begun_in(&text) {
            completing.extend(self.ends.get(&word[start..]).into_iter().flatten());
        }
        completing.sort_unstable();
        completing.dedup();
        completing
    }

    /// The token in which the longest beginning of a word at the end of this text begins.
    pub(crate) fn begun(&self, tokens: &[Vec<u8>]) -> Option<usize> {
        let text = self.tail(tokens);
        let mut left = self.begun_in(&text).map(|(_, length)| length).max()?;
        for (index, token) in tokens.iter().enumerate().rev() {
            if token.len() >= left {
                return Some(index);
            }
            left -= token.len();
        }
        None
    }

    /// The words that a text ends with the beginning of, each with the length of that.
    fn begun_in<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (&'a [u8], usize)> {
        self.words.iter().flat_map(move |word| {
            (1..word.len())
                .filter(move |&length| text.ends_with(&word[..length]))
                .map(|length| (word.as_slice(), length))
        })
    }

    /// As much of a text's end as a word can have begun in.
    fn tail(&self, tokens: &[Vec<u8>]) -> Vec<u8> {
        let mut length = 0;
        let enough = tokens.iter().rev().take_while(|token| {
            let is_needed = length < self.longest();
            length += token.len();
            is_needed
        });
        let first = tokens.len() - enough.count();
        tokens[first..].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: [&str; 8] = ["a", "b", "ba", "d", "dly", " Bad", "ad", "x"];

    fn words() -> Words {
        let tokens = (0..).zip(VOCABULARY.map(|token| token.as_bytes().to_vec()));
        Words::new(&["bad".into(), "add".into()], tokens).unwrap()
    }

    fn text(tokens: &[&str]) -> Vec<Vec<u8>> {
        tokens.iter().map(|token| token.as_bytes().to_vec()).collect()
    }

    #[test]
    fn tokens_that_complete_a_word_are_known_however_it_is_cut() {
        let words = words();
        // `Bad` is one by itself.
        assert_eq!(words.completing(&text(&["x"])), [5]);
        // b|ad, ba|d, ba|dly, a|d|d.
        assert_eq!(words.completing(&text(&["x", "b"])), [5, 6]);
        assert_eq!(words.completing(&text(&["b", "a"])), [3, 4, 5]);
        assert_eq!(words.completing(&text(&["a", "d"])), [3, 4, 5]);
    }

    #[test]
    fn a_word_begins_in_the_token_of_its_first_letter() {
        let words = words();
        assert_eq!(words.begun(&text(&["x", "x"])), None);
        assert_eq!(words.begun(&text(&["x", "b"])), Some(1));
        assert_eq!(words.begun(&text(&["x", "b", "a"])), Some(1));
        assert_eq!(words.begun(&text(&["x", "xxba"])), Some(1));
        assert_eq!(words.begun(&text(&["x", "ad"])), Some(1));
    }

    #[test]
    fn words_are_checked() {
        assert!(Words::new(&[String::new()], std::iter::empty()).is_err());
        assert!(Words::new(&["x".repeat(65)], std::iter::empty()).is_err());
        assert_eq!(Words::new(&[], std::iter::empty()).unwrap().longest(), 1);
    }
}
