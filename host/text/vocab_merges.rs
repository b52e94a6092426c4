//! Tokenizers of before `tokenizer.json`: `vocab.json` with `merges.txt`, both byte-level.
//!
//! These files hold the vocabulary only. How a text is cut before it is merged follows from the tokenizer's class.

use tokenizers::SplitDelimiterBehavior;
use tokenizers::models::bpe::Vocab;
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use crate::tokenizer_json::{self, BpeOptions, Entries, Merge, Parts, Refusal, Vocabulary};

/// How a class of byte-level tokenizers cuts text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// OpenAI's GPT-2: its own pattern, no normalisation.
    Gpt2,
    /// Qwen2 and Qwen3: NFC, and a pattern that takes digits one by one.
    Qwen2,
}

/// The pattern of Qwen2's tokenizer, from transformers' `Qwen2Tokenizer`.
const QWEN2_PATTERN: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Family {
    /// By `tokenizer_class` of `tokenizer_config.json`.
    pub(crate) fn of_class(class: &str) -> Option<Self> {
        match class.strip_suffix("Fast").unwrap_or(class) {
            "GPT2Tokenizer" | "CodeGenTokenizer" | "GPTNeoXTokenizer" => Some(Self::Gpt2),
            "Qwen2Tokenizer" => Some(Self::Qwen2),
            _ => None,
        }
    }

    /// By `model_type` of `config.json`, where no class is named.
    pub(crate) fn of_model_type(model_type: &str) -> Option<Self> {
        match model_type {
            "gpt2" | "gpt_neox" | "codegen" | "phi" => Some(Self::Gpt2),
            "qwen2" | "qwen2_moe" | "qwen3" | "qwen3_moe" => Some(Self::Qwen2),
            _ => None,
        }
    }
}

/// What `vocab.json` holds.
pub(crate) struct VocabFile {
    vocab: Vocab,
    largest_id: u32,
    longest: usize,
}

/// Reads `vocab.json`: a map of tokens to ids.
pub(crate) fn read_vocab(json: &[u8]) -> Result<VocabFile, Refusal> {
    let Vocabulary { entries, largest_id, longest } =
        serde_json::from_slice(json).map_err(|error| error.to_string())?;
    match entries {
        Entries::Numbered(vocab) => Ok(VocabFile { vocab, largest_id, longest }),
        Entries::Scored(_) => Err("it is a list, and a map of tokens to ids was expected".to_owned()),
    }
}

/// Reads `merges.txt`: a pair a line, the most frequent first, under a line with the format's version.
pub(crate) fn read_merges(text: &[u8]) -> Result<Vec<Merge>, Refusal> {
    let text = str::from_utf8(text).map_err(|error| error.to_string())?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with("#version"))
        .map(|(number, line)| {
            Merge::from_line(line).ok_or_else(|| format!("line {} is {line:?}, and not two tokens", number + 1))
        })
        .collect()
}

/// Puts a tokenizer together. Added tokens come later, from other files.
pub(crate) fn build(file: VocabFile, merges: Vec<Merge>, family: Family, prefix_space: bool) -> Result<Parts, Refusal> {
    let (model, unknown_id) = tokenizer_json::build_bpe(file.vocab, merges, file.longest, BpeOptions::default())?;
    let byte_level = ByteLevel::new(prefix_space, false, family == Family::Gpt2);
    let pre_tokenizer = match family {
        Family::Gpt2 => byte_level.into(),
        Family::Qwen2 => {
            let pattern = SplitPattern::Regex(QWEN2_PATTERN.to_owned());
            let split =
                Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(|error| error.to_string())?;
            Sequence::new(vec![split.into(), byte_level.into()]).into()
        }
    };
    Ok(Parts {
        model,
        unknown_id,
        largest_id: file.largest_id,
        longest: file.longest,
        normalizer: (family == Family::Qwen2).then(|| NFC.into()),
        normalizer_growth: 1.0,
        pre_tokenizer: Some(pre_tokenizer),
        post_processor: Some(byte_level.into()),
        decoder: Some(byte_level.into()),
        added_tokens: Vec::new(),
        written_ids: Vec::new(),
    })
}
