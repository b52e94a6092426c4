//! Reading `tokenizer.json`, in one pass.
//!
//! The tokenizers crate reads this file into a tree of JSON values, copies that into another, and builds the model
//! from the second; it also panics on some files. Here the vocabulary and the merges, which are nearly all of the
//! file, go straight into what the model is built of, with the checks that the crate leaves out. The format is that
//! of the crate's own serialisation, version 1.0.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper};

use crate::error::caught;
use crate::growth;

/// No id is larger: tables indexed by id must stay small. The largest vocabularies have 260 thousand entries.
pub(crate) const MAX_ID: u32 = (1 << 24) - 1;

/// No entry of a vocabulary is longer, in bytes. Some models build a tree one level a byte; the longest entries in
/// use are runs of a few hundred spaces or dashes.
pub(crate) const MAX_TOKEN_BYTES: usize = 2048;

/// All entries of a Unigram vocabulary together are no longer, in bytes: they become a tree with a node a byte. Those
/// of 250 thousand entries take 2 MB.
const MAX_UNIGRAM_BYTES: usize = 8 << 20;

/// A tokenizer's parts, whichever files they came from.
pub(crate) struct Parts {
    pub(crate) model: ModelWrapper,
    /// The id that stands for what the vocabulary cannot spell.
    pub(crate) unknown_id: Option<u32>,
    /// The largest id in the model's vocabulary.
    pub(crate) largest_id: u32,
    /// The length of the longest entry of the model's vocabulary in bytes.
    pub(crate) longest: usize,
    pub(crate) normalizer: Option<NormalizerWrapper>,
    /// How many times longer the normaliser can make a text.
    pub(crate) normalizer_growth: f64,
    pub(crate) pre_tokenizer: Option<PreTokenizerWrapper>,
    pub(crate) post_processor: Option<PostProcessorWrapper>,
    pub(crate) decoder: Option<DecoderWrapper>,
    /// In the order in which they take ids.
    pub(crate) added_tokens: Vec<tokenizers::AddedToken>,
    /// The ids that the file gives them, where it does.
    pub(crate) written_ids: Vec<(u32, String)>,
}

/// Why a file was refused: what follows "is not a valid tokenizer file: ".
pub(crate) type Refusal = String;

/// Reads the whole file.
pub(crate) fn read(json: &[u8]) -> Result<Parts, Refusal> {
    let file: File = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if let Some(version) = file.version.filter(|version| version != "1.0") {
        return Err(format!("its version is {version:?}, and only \"1.0\" is known"));
    }
    let (largest_id, longest) = (file.model.vocab.largest_id, file.model.vocab.longest);
    let (model, unknown_id) = build_model(file.model)?;
    let written_ids = file.added_tokens.iter().filter_map(|token| Some((token.id?, token.content.clone()))).collect();
    let growth = |name: &str, part: &Option<Value>| {
        part.as_ref().map_or(Ok(1.0), |part| growth::of_part(part).map_err(|why| format!("in `{name}`: {why}")))
    };
    let normalizer_growth = growth("normalizer", &file.normalizer)?;
    growth("pre_tokenizer", &file.pre_tokenizer)?;
    growth("decoder", &file.decoder)?;
    Ok(Parts {
        model,
        unknown_id,
        largest_id,
        longest,
        normalizer: part("normalizer", file.normalizer)?,
        normalizer_growth,
        pre_tokenizer: part("pre_tokenizer", file.pre_tokenizer)?,
        post_processor: part("post_processor", file.post_processor)?,
        decoder: part("decoder", file.decoder)?,
        added_tokens: file.added_tokens.into_iter().map(Into::into).collect(),
        written_ids,
    })
}

/// `truncation` and `padding` are left out on purpose: neither belongs in a prompt.
#[derive(Deserialize)]
#[serde(expecting = "an object with `model` in it")]
struct File {
    version: Option<String>,
    #[serde(default)]
    added_tokens: Vec<AddedTokenEntry>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    decoder: Option<Value>,
    model: ModelEntry,
}

/// An added token as `tokenizer.json` and `tokenizer_config.json` write it.
#[derive(Deserialize, Clone)]
pub(crate) struct AddedTokenEntry {
    /// The second of the files has it elsewhere.
    id: Option<u32>,
    pub(crate) content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl From<AddedTokenEntry> for tokenizers::AddedToken {
    fn from(entry: AddedTokenEntry) -> Self {
        Self {
            normalized: entry.normalized.unwrap_or(!entry.special),
            content: entry.content,
            single_word: entry.single_word,
            lstrip: entry.lstrip,
            rstrip: entry.rstrip,
            special: entry.special,
        }
    }
}

/// The fields of all four kinds of model. `dropout` is left out: it is for training, and would make a prompt's ids
/// random.
#[derive(Deserialize)]
#[serde(expecting = "a model with `type` and `vocab`")]
struct ModelEntry {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Vocabulary,
    merges: Option<Vec<Merge>>,
    unk_token: Option<String>,
    unk_id: Option<usize>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    max_input_chars_per_word: Option<usize>,
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
}

fn part<T: DeserializeOwned>(name: &str, value: Option<Value>) -> Result<Option<T>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let read = || serde_json::from_value(value).map_err(tokenizers::Error::from);
            caught(read).map(Some).map_err(|why| format!("in `{name}`: {why}"))
        }
    }
}

fn build_model(entry: ModelEntry) -> Result<(ModelWrapper, Option<u32>), Refusal> {
    // Files of before 2020 name no type; their fields tell.
    let kind = match entry.kind.as_deref() {
        Some(kind) => kind,
        None if matches!(entry.vocab.entries, Entries::Scored(_)) => "Unigram",
        None if entry.merges.is_some() => "BPE",
        None if entry.max_input_chars_per_word.is_some() => "WordPiece",
        None => "WordLevel",
    };
    match (kind, entry.vocab.entries) {
        ("BPE", Entries::Numbered(vocab)) => {
            let merges = entry.merges.unwrap_or_default();
            let options = BpeOptions {
                unknown: entry.unk_token,
                prefix: entry.continuing_subword_prefix,
                suffix: entry.end_of_word_suffix,
                fuse_unknown: entry.fuse_unk.unwrap_or_default(),
                byte_fallback: entry.byte_fallback.unwrap_or_default(),
                ignore_merges: entry.ignore_merges.unwrap_or_default(),
            };
            build_bpe(vocab, merges, entry.vocab.longest, options)
        }
        ("Unigram", Entries::Scored(vocab)) => {
            let bytes: usize = vocab.iter().map(|(token, _)| token.len()).sum();
            if bytes > MAX_UNIGRAM_BYTES {
                return Err(format!("the tokens of its vocabulary take {bytes} bytes together, more than any model's"));
            }
            let unknown_id = entry.unk_id.and_then(|id| u32::try_from(id).ok());
            let model = Unigram::from(vocab, entry.unk_id, entry.byte_fallback.unwrap_or_default())
                .map_err(|error| error.to_string())?;
            Ok((model.into(), unknown_id))
        }
        ("WordPiece", Entries::Numbered(vocab)) => {
            let unknown = entry.unk_token.unwrap_or_else(|| "[UNK]".to_owned());
            let unknown_id = vocab.get(&unknown).copied();
            let mut model = WordPiece::builder().vocab(vocab).unk_token(unknown);
            if let Some(prefix) = entry.continuing_subword_prefix {
                model = model.continuing_subword_prefix(prefix);
            }
            if let Some(limit) = entry.max_input_chars_per_word {
                model = model.max_input_chars_per_word(limit);
            }
            Ok((model.build().map_err(|error| error.to_string())?.into(), unknown_id))
        }
        ("WordLevel", Entries::Numbered(vocab)) => {
            let unknown = entry.unk_token.unwrap_or_else(|| "<unk>".to_owned());
            let unknown_id = vocab.get(&unknown).copied();
            let model = WordLevel::builder().vocab(vocab).unk_token(unknown).build();
            Ok((model.map_err(|error| error.to_string())?.into(), unknown_id))
        }
        ("BPE" | "Unigram" | "WordPiece" | "WordLevel", _) => {
            Err(format!("its `vocab` is not in the form of a {kind} model"))
        }
        _ => Err(format!("its model is of the unknown type {kind:?}; BPE, Unigram, WordPiece and WordLevel are known")),
    }
}

/// What a byte-pair model has beside its vocabulary and merges.
#[derive(Default)]
pub(crate) struct BpeOptions {
    unknown: Option<String>,
    prefix: Option<String>,
    suffix: Option<String>,
    fuse_unknown: bool,
    byte_fallback: bool,
    ignore_merges: bool,
}

/// Builds a byte-pair model; `longest` is the length of the longest entry of `vocab` in bytes.
pub(crate) fn build_bpe(
    vocab: Vocab,
    merges: Vec<Merge>,
    longest: usize,
    options: BpeOptions,
) -> Result<(ModelWrapper, Option<u32>), Refusal> {
    // The crate joins each pair in a buffer as long as the longest entry, less the prefix of the right half, and
    // trusts that both fit.
    let prefix = options.prefix.as_deref().unwrap_or_default().len();
    let fits =
        |Merge(left, right): &Merge| right.is_char_boundary(prefix) && left.len() + right.len() - prefix <= longest;
    if let Some(Merge(left, right)) = merges.iter().find(|merge| !fits(merge)) {
        return Err(format!("it merges {left:?} and {right:?} to a token that is not in its vocabulary"));
    }
    let unknown_id = options.unknown.as_ref().and_then(|token| vocab.get(token).copied());
    let merges: Merges = merges.into_iter().map(|Merge(left, right)| (left, right)).collect();
    let mut model = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .fuse_unk(options.fuse_unknown)
        .byte_fallback(options.byte_fallback)
        .ignore_merges(options.ignore_merges);
    if let Some(token) = options.unknown {
        model = model.unk_token(token);
    }
    if let Some(prefix) = options.prefix {
        model = model.continuing_subword_prefix(prefix);
    }
    if let Some(suffix) = options.suffix {
        model = model.end_of_word_suffix(suffix);
    }
    Ok((model.build().map_err(|error| error.to_string())?.into(), unknown_id))
}

/// A model's vocabulary and what was seen of it while reading.
#[derive(Default)]
pub(crate) struct Vocabulary {
    pub(crate) entries: Entries,
    pub(crate) largest_id: u32,
    /// The length of the longest entry in bytes.
    pub(crate) longest: usize,
}

/// The two forms of `vocab`.
pub(crate) enum Entries {
    /// `{"token": id}`
    Numbered(Vocab),
    /// `[["token", score]]`, ids by place.
    Scored(Vec<(String, f64)>),
}

impl Default for Entries {
    fn default() -> Self {
        Self::Numbered(Vocab::new())
    }
}

impl Vocabulary {
    fn note<E: de::Error>(&mut self, token: &str, id: u32) -> Result<(), E> {
        if id > MAX_ID {
            return Err(E::custom(format!("the token {token:?} has the id {id}, larger than any model's")));
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(E::custom(format!("the token with the id {id} is {} bytes long", token.len())));
        }
        self.largest_id = self.largest_id.max(id);
        self.longest = self.longest.max(token.len());
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VocabularyVisitor;

        impl<'de> Visitor<'de> for VocabularyVisitor {
            type Value = Vocabulary;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map of tokens to ids, or a list of tokens with scores")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
                let mut vocabulary = Vocabulary::default();
                // A list first: the map is then made in its full size, and never grown.
                let mut entries: Vec<(String, u32)> = Vec::new();
                while let Some((token, id)) = map.next_entry::<String, u32>()? {
                    vocabulary.note(&token, id)?;
                    entries.push((token, id));
                }
                Ok(Vocabulary { entries: Entries::Numbered(entries.into_iter().collect()), ..vocabulary })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocabulary, A::Error> {
                let mut vocabulary = Vocabulary::default();
                let mut entries: Vec<(String, f64)> = Vec::new();
                while let Some((token, score)) = list.next_element::<(String, f64)>()? {
                    vocabulary.note(&token, u32::try_from(entries.len()).unwrap_or(u32::MAX))?;
                    entries.push((token, score));
                }
                Ok(Vocabulary { entries: Entries::Scored(entries), ..vocabulary })
            }
        }

        deserializer.deserialize_any(VocabularyVisitor)
    }
}

/// Two tokens that become one: `["a", "b"]`, or `"a b"` in files of before 2024.
pub(crate) struct Merge(pub(crate) String, pub(crate) String);

impl Merge {
    /// Reads `a b`. A token in this form cannot hold a space.
    pub(crate) fn from_line(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(' ')?;
        (!right.contains(' ')).then(|| Self(left.to_owned(), right.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MergeVisitor;

        impl<'de> Visitor<'de> for MergeVisitor {
            type Value = Merge;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("two tokens, as a list or with one space between them")
            }

            fn visit_str<E: de::Error>(self, line: &str) -> Result<Merge, E> {
                Merge::from_line(line).ok_or_else(|| E::invalid_value(de::Unexpected::Str(line), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Merge, A::Error> {
                let left = list.next_element()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
                let right = list.next_element()?.ok_or_else(|| de::Error::invalid_length(1, &self))?;
                match list.next_element::<de::IgnoredAny>()? {
                    None => Ok(Merge(left, right)),
                    Some(_) => Err(de::Error::invalid_length(3, &self)),
                }
            }
        }

        deserializer.deserialize_any(MergeVisitor)
    }
}
