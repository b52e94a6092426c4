//! A model's tokenizer: its files put together, its vocabulary, and whole texts decoded.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokenizers::{Decoder, DecoderWrapper, Model};

use crate::added_tokens::{AddedToken, AddedTokens};
use crate::byte_level;
use crate::chat_template::ChatTemplates;
use crate::error::{TextError, caught, guarded};
use crate::folder::{self, Files};
use crate::grammar::Vocabulary;
use crate::tokenizer_config::{SpecialTokens, TokenNames};
use crate::tokenizer_json::{self, MAX_ID, MAX_TOKEN_BYTES};

/// All added tokens together are no longer, in bytes of their normalised forms. Those of six thousand take 100 kB.
const MAX_ADDED_BYTES: f64 = (4 << 20) as f64;

/// How many times shorter a normaliser may make a text: NFKC makes one byte of the four of a mathematical letter, NFC
/// three of the nine of a Korean syllable that is spelt in letters.
const MAX_SHRINKAGE: usize = 4;

/// A model's tokenizer. Clones share everything.
#[derive(Clone)]
pub struct Tokenizer {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) base: tokenizers::Tokenizer,
    pub(crate) added: AddedTokens,
    /// The id that stands for what the vocabulary cannot spell.
    pub(crate) unknown_id: Option<u32>,
    pub(crate) add_bos_token: bool,
    special: SpecialTokens,
    chat_templates: ChatTemplates,
    vocab_size: usize,
    /// The length of the longest token in bytes.
    longest: usize,
    /// Made when the first grammar is compiled.
    pub(crate) grammar_vocabulary: OnceLock<Result<Vocabulary, TextError>>,
}

/// How the bytes of a text lie in the tokens that stand for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Every token is a run of bytes, written in GPT-2's alphabet.
    ByteLevel,
    /// Tokens are text, except that `<0x41>` is a byte.
    ByteFallback,
    /// Tokens are bytes somewhere within a longer chain of decoders.
    ByteLevelWithin,
    /// Tokens are text.
    Text,
}

impl Tokenizer {
    /// Loads the tokenizer of the model in `folder`: `tokenizer.json`, or else `vocab.json` with `merges.txt`; and
    /// beside either, where they are there, `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`
    /// and chat templates.
    ///
    /// # Errors
    /// Each names the file: missing, torn, of wrong types, not UTF-8, too large, or of an unknown kind.
    pub fn from_folder(folder: &Path) -> Result<Self, TextError> {
        Self::assemble(folder::read(folder)?)
    }

    /// Loads a tokenizer from the bytes of a `tokenizer.json` alone. It reads nothing else, so that bytes from
    /// anywhere may be tried.
    ///
    /// # Errors
    /// As [`Tokenizer::from_folder`].
    pub fn from_bytes(tokenizer_json: &[u8]) -> Result<Self, TextError> {
        let vocabulary_file = Path::new("tokenizer.json").to_owned();
        let parts =
            tokenizer_json::read(tokenizer_json).map_err(|why| TextError::invalid_file(&vocabulary_file, why))?;
        Self::assemble(Files {
            parts,
            vocabulary_file,
            numbered_tokens: Vec::new(),
            names: TokenNames::default(),
            add_bos_token: None,
            chat_templates: ChatTemplates::default(),
        })
    }

    fn assemble(files: Files) -> Result<Self, TextError> {
        let Files { parts, vocabulary_file, numbered_tokens, names, add_bos_token, chat_templates } = files;
        let invalid = |why: &dyn fmt::Display| TextError::invalid_file(&vocabulary_file, why);

        let mut tokens = parts.added_tokens;
        let own: HashSet<String> = tokens.iter().map(|token| token.content.clone()).collect();
        tokens.extend(numbered_tokens.iter().map(|(_, token)| token.clone()));
        // A token that is only named, without an id, has one only if the model's vocabulary holds it.
        let listed: HashSet<String> = tokens.iter().map(|token| token.content.clone()).collect();
        for token in names.tokens() {
            if listed.contains(&token.content) {
                let of_this_name = |other: &&mut tokenizers::AddedToken| other.content == token.content;
                tokens.iter_mut().filter(of_this_name).for_each(|other| other.special = true);
            } else if parts.model.token_to_id(&token.content).is_some() {
                tokens.push(token);
            }
        }

        let longest_added = tokens.iter().map(|token| token.content.len()).max().unwrap_or_default();
        check_lengths(&tokens, parts.normalizer_growth).map_err(|why| invalid(&why))?;

        let mut base = tokenizers::Tokenizer::new(parts.model);
        caught(|| {
            base.with_normalizer(parts.normalizer)?;
            base.with_pre_tokenizer(parts.pre_tokenizer);
            base.with_post_processor(parts.post_processor);
            base.with_decoder(parts.decoder);
            base.add_tokens(tokens)
        })
        .map_err(|why| invalid(&why))?;

        for (id, token) in numbered_tokens.iter().filter(|(_, token)| !own.contains(&token.content)) {
            if base.token_to_id(&token.content) != Some(*id) {
                return Err(invalid(&format!(
                    "the files beside it give the token {:?} the id {id}, which its vocabulary leaves no room for",
                    token.content
                )));
            }
        }
        // Where the model's own vocabulary has the token its id there counts, as in the tokenizers crate; the others take
        // ids in their order, and a gap in those that are written would move all that follow.
        let in_vocabulary = |content: &str| base.get_model().token_to_id(content).is_some();
        for (id, content) in parts.written_ids.iter().filter(|(_, content)| !in_vocabulary(content)) {
            let given = base.token_to_id(content);
            if let Some(given) = given.filter(|given| given != id) {
                return Err(invalid(&format!(
                    "it gives the added token {content:?} the id {id}, where {given} is next"
                )));
            }
        }
        let added = AddedTokens::of(base.get_added_vocabulary());
        let largest_id = added.all().last().map_or(0, |token| token.id).max(parts.largest_id);
        if largest_id > MAX_ID {
            return Err(invalid(&format!("it has the id {largest_id}, larger than any model's")));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                base,
                added,
                unknown_id: parts.unknown_id,
                add_bos_token: add_bos_token.unwrap_or_default(),
                special: names.to_special_tokens(),
                chat_templates,
                vocab_size: largest_id as usize + 1,
                longest: parts.longest.max(longest_added),
                grammar_vocabulary: OnceLock::new(),
            }),
        })
    }

    /// The tokens with a role, by name.
    pub fn special(&self) -> &SpecialTokens {
        &self.inner.special
    }

    /// The chat templates that came with the model.
    pub fn chat_templates(&self) -> &ChatTemplates {
        &self.inner.chat_templates
    }

    /// All added tokens, by ascending id: what [`Segment::Control`](crate::Segment::Control) can name.
    pub fn added_tokens(&self) -> &[AddedToken] {
        self.inner.added.all()
    }

    /// One more than the largest id. A model's logits may be wider, to fill whole blocks.
    pub fn vocab_size(&self) -> usize {
        self.inner.vocab_size
    }

    /// The most bytes that a text of so many tokens can have. A longer one is known to need more before any of it is
    /// encoded.
    pub fn longest_text(&self, tokens: usize) -> usize {
        tokens.saturating_mul(self.inner.longest).saturating_mul(MAX_SHRINKAGE)
    }

    /// The id of a token by the name that the vocabulary has for it.
    pub fn token_id(&self, name: &str) -> Option<u32> {
        self.inner.base.token_to_id(name)
    }

    /// The name that the vocabulary has for a token: `Ġhello` where a byte-level tokenizer means " hello". See
    /// [`Tokenizer::token_bytes`] for what it means.
    pub fn token_text(&self, id: u32) -> Option<String> {
        match self.inner.added.by_id(id) {
            Some(added) => Some(added.content.clone()),
            None => self.inner.base.get_model().id_to_token(id),
        }
    }

    /// The bytes that a token adds to a text it does not begin. They may be part of a character only.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        let piece = self.piece(id)?;
        match self.spelling() {
            Spelling::ByteLevel => return Some(byte_level::bytes_of(&piece)),
            Spelling::ByteFallback => {
                if let Some(byte) = fallback_byte(&piece) {
                    return Some(vec![byte]);
                }
            }
            Spelling::ByteLevelWithin | Spelling::Text => {}
        }
        // What decoders strip from the beginning of a text they find in this letter.
        let before = "a".to_owned();
        let start = self.decode_pieces(vec![before.clone()]).ok()?;
        let whole = self.decode_pieces(vec![before, piece]).ok()?;
        Some(whole.strip_prefix(&start)?.as_bytes().to_vec())
    }

    /// Whether a token is left out of what a model's answer shows.
    pub fn is_special(&self, id: u32) -> bool {
        self.inner.added.by_id(id).is_some_and(|token| token.special)
    }

    /// The text of these ids as a whole. Ids that no token has are left out, special tokens as well where
    /// `skip_special` is set; bytes that form no character become U+FFFD.
    ///
    /// # Errors
    /// [`TextErrorKind::TokenizerFailed`](crate::TextErrorKind::TokenizerFailed) where the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TextError> {
        let shown = ids.iter().filter(|id| !(skip_special && self.is_special(**id)));
        self.decode_pieces(shown.filter_map(|id| self.piece(*id)).collect())
    }

    /// A token in the form that decoders take.
    pub(crate) fn piece(&self, id: u32) -> Option<String> {
        self.inner.base.id_to_token(id)
    }

    /// What the decoders make of these pieces.
    pub(crate) fn decode_pieces(&self, pieces: Vec<String>) -> Result<String, TextError> {
        match self.inner.base.get_decoder() {
            // Some decoders take the last of no pieces.
            _ if pieces.is_empty() => Ok(String::new()),
            Some(decoder) => guarded("decode", || decoder.decode(pieces)),
            None => Ok(pieces.join(" ")),
        }
    }

    pub(crate) fn spelling(&self) -> Spelling {
        fn contains(decoder: &DecoderWrapper, wanted: fn(&DecoderWrapper) -> bool) -> bool {
            match decoder {
                DecoderWrapper::Sequence(all) => all.get_decoders().iter().any(|part| contains(part, wanted)),
                other => wanted(other),
            }
        }
        match self.inner.base.get_decoder() {
            Some(DecoderWrapper::ByteLevel(_)) => Spelling::ByteLevel,
            Some(chain) if contains(chain, |part| matches!(part, DecoderWrapper::ByteFallback(_))) => {
                Spelling::ByteFallback
            }
            Some(chain) if contains(chain, |part| matches!(part, DecoderWrapper::ByteLevel(_))) => {
                Spelling::ByteLevelWithin
            }
            _ => Spelling::Text,
        }
    }
}

/// Whether added tokens are no longer than those in use: they become a tree with a node a byte, of those that match
/// after normalisation in their normalised form.
fn check_lengths(tokens: &[tokenizers::AddedToken], normalizer_growth: f64) -> Result<(), String> {
    if let Some(token) = tokens.iter().find(|token| token.content.len() > MAX_TOKEN_BYTES) {
        let start: String = token.content.chars().take(20).collect();
        return Err(format!("the added token that begins with {start:?} is {} bytes long", token.content.len()));
    }
    let bytes: usize = tokens.iter().map(|token| token.content.len()).sum();
    if bytes as f64 * normalizer_growth > MAX_ADDED_BYTES {
        return Err(format!("its added tokens take {bytes} bytes together, more than any model's"));
    }
    Ok(())
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("vocab_size", &self.inner.vocab_size)
            .field("added_tokens", &self.inner.added.all().len())
            .finish_non_exhaustive()
    }
}

/// The byte that a byte-fallback token such as `<0x0A>` stands for, by the tokenizers crate's own reading.
pub(crate) fn fallback_byte(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}
