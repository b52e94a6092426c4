//! What the tests share: tokenizers from files and trained on the spot, and texts cut into segments.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
use tokenizers::models::{ModelWrapper, TrainerWrapper};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use wasmlx_text::{Segment, Tokenizer};

/// The folder of shared test material, or nothing (said on stderr) where it is absent; where it is named it must be
/// there.
pub(crate) fn shared(what: &str) -> Option<PathBuf> {
    let named = std::env::var_os("WASMLX_SHARED").map(PathBuf::from);
    let must_be = named.is_some();
    let path = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared")).join(what);
    if path.exists() {
        return Some(path);
    }
    assert!(!must_be, "WASMLX_SHARED is set, but {} is absent", path.display());
    // Not by `eprintln!`, whose text a test runner keeps to itself. Where stderr is closed nobody wants it.
    let _ = writeln!(std::io::stderr(), "skipped: {} is absent", path.display());
    None
}

/// A tokenizer beside the plain one of the tokenizers crate for the same file.
pub(crate) struct Pair {
    pub(crate) name: &'static str,
    pub(crate) ours: Tokenizer,
    pub(crate) plain: tokenizers::Tokenizer,
}

impl Pair {
    pub(crate) fn new(name: &'static str, json: &[u8]) -> Self {
        Self {
            name,
            ours: Tokenizer::from_bytes(json).unwrap(),
            plain: tokenizers::Tokenizer::from_bytes(json).unwrap(),
        }
    }

    fn of_folder(name: &'static str, folder: &Path) -> Self {
        Self {
            name,
            ours: Tokenizer::from_folder(folder).unwrap(),
            plain: tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap(),
        }
    }

    /// What the tokenizers crate makes of a text, all of it trusted.
    pub(crate) fn plain_ids(&self, text: &str) -> Vec<u32> {
        self.plain.encode(text, false).unwrap().get_ids().to_vec()
    }

    /// What the tokenizers crate makes of ids.
    pub(crate) fn plain_decode(&self, ids: &[u32], skip_special: bool) -> String {
        // Some of its decoders take the last of no pieces.
        let is_shown = |id: &u32| self.plain.id_to_token(*id).is_some() && !(skip_special && self.ours.is_special(*id));
        if ids.iter().any(is_shown) { self.plain.decode(ids, skip_special).unwrap() } else { String::new() }
    }

    /// Whether an id is of an added token that is not whitespace.
    pub(crate) fn is_marker(&self, id: u32) -> bool {
        self.ours.added_tokens().iter().any(|token| token.id == id && !is_blank(&token.content))
    }

    /// Where the tokenizers crate finds added tokens that are not whitespace.
    pub(crate) fn markers(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        let encoding = self.plain.encode(text, false).unwrap();
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        tokens.filter(|(id, _)| self.is_marker(**id)).map(|(_, &(start, end))| start..end).collect()
    }
}

fn is_blank(content: &str) -> bool {
    content.chars().all(|c| c.is_whitespace() || c == '▁')
}

/// The folder with the Qwen3 and Phi-2 tokenizers, unpacked once a test process.
pub(crate) fn unpacked() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<tempfile::TempDir>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let archive = shared("tokenizers.tar.xz")?;
        let folder = tempfile::tempdir().unwrap();
        let status = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(folder.path()).status();
        if status.is_ok_and(|status| status.success()) {
            return Some(folder);
        }
        let _ = writeln!(std::io::stderr(), "skipped: tar cannot unpack {}", archive.display());
        None
    });
    folder.as_ref().map(|folder| folder.path())
}

pub(crate) fn qwen3() -> Option<&'static Pair> {
    static PAIR: OnceLock<Option<Pair>> = OnceLock::new();
    PAIR.get_or_init(|| unpacked().map(|folder| Pair::of_folder("Qwen3", &folder.join("tokenizers/Qwen3")))).as_ref()
}

pub(crate) fn phi2() -> Option<&'static Pair> {
    static PAIR: OnceLock<Option<Pair>> = OnceLock::new();
    PAIR.get_or_init(|| unpacked().map(|folder| Pair::of_folder("Phi-2", &folder.join("tokenizers/phi-2")))).as_ref()
}

pub(crate) fn built_in() -> Option<&'static Pair> {
    static PAIR: OnceLock<Option<Pair>> = OnceLock::new();
    PAIR.get_or_init(|| shared("default-model").map(|folder| Pair::of_folder("built-in", &folder))).as_ref()
}

/// Every tokenizer from files that is at hand.
pub(crate) fn from_files() -> Vec<&'static Pair> {
    [qwen3(), phi2(), built_in()].into_iter().flatten().collect()
}

const CORPUS: &[&str] = &[
    "the quick brown fox jumps over the lazy dog and the other dog sleeps",
    "hello world, hello there: the world is user and assistant and system",
    "a tool call is a call of a tool; the user asks, the assistant answers",
    "  two spaces  and   three    four\nnew lines\n\nand\ttabs",
    "numbers 12 345 6789 and signs <|>[]/_-+=*#@ <a> </b> [c] {d}",
    "ends here. starts there! is it? it is.",
];

/// Added tokens of the trained tokenizers: special and not, with every flag once.
fn added_tokens() -> Vec<tokenizers::AddedToken> {
    let token = |content: &str, special| tokenizers::AddedToken::from(content, special);
    vec![
        token("<s>", true),
        token("</s>", true),
        token("<|user|>", true).rstrip(true),
        token("<|end|>", true).lstrip(true),
        token("<tool>", false).normalized(false),
        token("<tool>x", false).normalized(false),
        token("[word]", false).normalized(false).single_word(true),
        token("<n>", false).normalized(true),
    ]
}

fn finished(mut tokenizer: tokenizers::Tokenizer, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    tokenizer.add_tokens(added_tokens()).unwrap();
    let mut value = serde_json::to_value(&tokenizer).unwrap();
    change(&mut value);
    number_added_tokens(&mut value);
    serde_json::to_vec(&value).unwrap()
}

/// Writes the ids that follow from the vocabulary, which may have grown since the tokens were added.
fn number_added_tokens(tokenizer: &mut Value) {
    let own: HashMap<String, u64> = match &tokenizer["model"]["vocab"] {
        Value::Object(vocab) => vocab.iter().map(|(token, id)| (token.clone(), id.as_u64().unwrap())).collect(),
        Value::Array(vocab) => {
            (0..).zip(vocab).map(|(id, entry)| (entry[0].as_str().unwrap().to_owned(), id)).collect()
        }
        other => panic!("no vocabulary: {other}"),
    };
    let mut next = own.len() as u64;
    for token in tokenizer["added_tokens"].as_array_mut().unwrap() {
        let id = own.get(token["content"].as_str().unwrap()).copied().unwrap_or_else(|| {
            next += 1;
            next - 1
        });
        token["id"] = json!(id);
    }
}

/// Gives the model a token for each byte.
fn add_byte_fallback(tokenizer: &mut Value) {
    let model = &mut tokenizer["model"];
    model["byte_fallback"] = json!(true);
    for byte in 0..=255u8 {
        let name = format!("<0x{byte:02X}>");
        match &mut model["vocab"] {
            Value::Object(vocab) => {
                let id = vocab.len();
                vocab.insert(name, json!(id));
            }
            Value::Array(vocab) => vocab.push(json!([name, -100.0])),
            other => panic!("no vocabulary: {other}"),
        }
    }
}

/// A Unigram model that writes spaces as U+2581, with the given rule for a space before the first word.
pub(crate) fn unigram(scheme: PrependScheme, byte_fallback: bool) -> Vec<u8> {
    let mut tokenizer = tokenizers::Tokenizer::new(Unigram::default());
    tokenizer.with_pre_tokenizer(Some(Metaspace::new('▁', scheme, true)));
    tokenizer.with_decoder(Some(Metaspace::new('▁', scheme, true)));
    let trainer = UnigramTrainer::builder()
        .vocab_size(160)
        .show_progress(false)
        .unk_token(Some("<unk>".to_owned()))
        .special_tokens(vec![tokenizers::AddedToken::from("<unk>", true)])
        .build()
        .unwrap();
    tokenizer.train(&mut TrainerWrapper::UnigramTrainer(trainer), CORPUS.iter()).unwrap();
    finished(tokenizer, |value| {
        if byte_fallback {
            // Added tokens take the ids behind the vocabulary, so these follow from their order.
            add_byte_fallback(value);
            value["decoder"] = json!({"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
        }
    })
}

/// A byte-pair model with bytes for what it cannot spell.
pub(crate) fn byte_pairs(pre_tokenizer: Option<Metaspace>, normalizer: Value) -> Vec<u8> {
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    let trained_with = pre_tokenizer.unwrap_or(Metaspace::new('▁', PrependScheme::Always, true));
    tokenizer.with_pre_tokenizer(Some(trained_with));
    let trainer = BpeTrainer::builder()
        .vocab_size(220)
        .show_progress(false)
        .special_tokens(vec![tokenizers::AddedToken::from("<unk>", true)])
        .build();
    tokenizer.train(&mut TrainerWrapper::BpeTrainer(trainer), CORPUS.iter()).unwrap();
    finished(tokenizer, |value| {
        add_byte_fallback(value);
        value["model"]["unk_token"] = json!("<unk>");
        value["model"]["fuse_unk"] = json!(true);
        if !normalizer.is_null() {
            // As Llama 2 has it: the normaliser writes the spaces, and nothing cuts words apart.
            value["normalizer"] = normalizer;
            value["pre_tokenizer"] = Value::Null;
        }
        value["decoder"] = json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    })
}

/// Llama 2's way: each stretch of text is given a space in front, and spaces are written as U+2581.
pub(crate) fn llama() -> Vec<u8> {
    byte_pairs(
        None,
        json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}),
    )
}

pub(crate) fn word_piece() -> Vec<u8> {
    let mut tokenizer = tokenizers::Tokenizer::new(ModelWrapper::from(WordPiece::default()));
    tokenizer.with_pre_tokenizer(Some(tokenizers::pre_tokenizers::bert::BertPreTokenizer));
    tokenizer.with_decoder(Some(tokenizers::decoders::wordpiece::WordPiece::default()));
    let trainer = WordPieceTrainer::builder()
        .vocab_size(200)
        .show_progress(false)
        .special_tokens(vec![tokenizers::AddedToken::from("[UNK]", true)])
        .build();
    tokenizer.train(&mut TrainerWrapper::WordPieceTrainer(trainer), CORPUS.iter()).unwrap();
    finished(tokenizer, |_| {})
}

/// Byte pairs of the first kind, which mark the ends of words.
pub(crate) fn word_ends() -> Vec<u8> {
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(tokenizers::pre_tokenizers::whitespace::WhitespaceSplit));
    tokenizer.with_decoder(Some(tokenizers::decoders::bpe::BPEDecoder::default()));
    let trainer = BpeTrainer::builder()
        .vocab_size(260)
        .show_progress(false)
        .end_of_word_suffix("</w>".to_owned())
        .special_tokens(vec![tokenizers::AddedToken::from("<unk>", true)])
        .build();
    tokenizer.train(&mut TrainerWrapper::BpeTrainer(trainer), CORPUS.iter()).unwrap();
    finished(tokenizer, |value| {
        value["model"]["unk_token"] = json!("<unk>");
        value["model"]["end_of_word_suffix"] = json!("</w>");
    })
}

/// The trained tokenizers.
pub(crate) fn trained() -> &'static [Pair] {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let metaspace = |scheme| Some(Metaspace::new('▁', scheme, true));
        vec![
            Pair::new("Unigram, first", &unigram(PrependScheme::First, false)),
            Pair::new("Unigram, always", &unigram(PrependScheme::Always, true)),
            Pair::new("Unigram, never", &unigram(PrependScheme::Never, true)),
            Pair::new("BPE, first", &byte_pairs(metaspace(PrependScheme::First), Value::Null)),
            Pair::new("BPE, always", &byte_pairs(metaspace(PrependScheme::Always), Value::Null)),
            Pair::new("BPE, never", &byte_pairs(metaspace(PrependScheme::Never), Value::Null)),
            Pair::new("BPE, Llama", &llama()),
            Pair::new("WordPiece", &word_piece()),
            Pair::new("BPE, word ends", &word_ends()),
        ]
    })
}

/// Texts with words, blanks, letters of many scripts, and added tokens whole and in part.
pub(crate) fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => prop::sample::select(&["the", " world", "Hello", "user", "dog", "it's", "12345", "answers.", "\n", " "][..])
            .prop_map(str::to_owned),
        2 => "[ \t\n]{1,12}",
        2 => "\\PC{0,6}",
        1 => "[éß日本語한국👋🏽\u{301}\u{200d}▁]{1,4}",
        2 => prop::sample::select(
            &["<s>", "</s>", "<|user|>", "<|end|>", "<tool>", "<tool>x", "[word]", "<n>", "<unk>", "<|im_start|>",
              "<|im_end|>", "<|endoftext|>", "<think>", "</tool_call>", "<|im_", "start|>", "<", "|>", "<0x41>"][..]
        ).prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

/// Where a text is cut, and whether what follows each cut is trusted.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<(prop::sample::Index, bool)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..10)
}

/// Cuts a text into segments. Untrusted is what the cuts say, but for `protected`.
pub(crate) fn segments(text: &str, cuts: &[(usize, bool)], protected: &[std::ops::Range<usize>]) -> Vec<Segment> {
    let mut cuts: Vec<(usize, bool)> =
        cuts.iter().map(|&(at, trusted)| (text.floor_char_boundary(at), trusted)).collect();
    cuts.sort();
    cuts.insert(0, (0, false));
    let trusted_at = |at: usize| {
        let latest = cuts.iter().rev().find(|(cut, _)| *cut <= at);
        protected.iter().any(|range| range.contains(&at)) || latest.is_some_and(|(_, trusted)| *trusted)
    };
    let mut borders: Vec<usize> = cuts.iter().map(|(at, _)| *at).collect();
    borders.extend(protected.iter().flat_map(|range| [range.start, range.end]));
    borders.push(text.len());
    borders.sort();
    borders
        .windows(2)
        .map(|ends| {
            let piece = text[ends[0]..ends[1]].to_owned();
            if trusted_at(ends[0]) { Segment::Trusted(piece) } else { Segment::Untrusted(piece) }
        })
        .collect()
}

pub(crate) fn at(cuts: &[(prop::sample::Index, bool)], text: &str) -> Vec<(usize, bool)> {
    cuts.iter().map(|(index, trusted)| (index.index(text.len() + 1), *trusted)).collect()
}

pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}
