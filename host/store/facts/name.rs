//! What a model's name and tags tell: `mlx-community/Qwen3-30B-A3B-4bit`, `mlx`, `4-bit`, `text-generation`.

use super::{ModelFacts, Quantization, Task};

/// Architectures that the hub's tags name, beside much else: the model types of transformers that are most used.
const MODEL_TYPES: [&str; 60] = [
    "apertus",
    "bert",
    "bloom",
    "cohere",
    "cohere2",
    "deepseek_v2",
    "deepseek_v3",
    "distilbert",
    "ernie4_5",
    "exaone",
    "exaone4",
    "falcon",
    "falcon_h1",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gemma3n",
    "gemma4",
    "glm",
    "glm4",
    "glm4_moe",
    "gpt2",
    "gpt_neox",
    "gpt_oss",
    "granite",
    "granitemoe",
    "internlm2",
    "kimi_k2",
    "kimi_linear",
    "lfm2",
    "llama",
    "llama4",
    "mamba",
    "mamba2",
    "minicpm",
    "minicpm3",
    "minimax",
    "ministral",
    "mistral",
    "mistral3",
    "mixtral",
    "modernbert",
    "nemotron",
    "olmo",
    "olmo2",
    "olmoe",
    "phi",
    "phi3",
    "phimoe",
    "qwen2",
    "qwen2_moe",
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen3",
    "qwen3_moe",
    "qwen3_next",
    "smollm3",
    "stablelm",
    "starcoder2",
];

/// The most words of a name, and tags, that are looked at.
const MOST_WORDS: usize = 64;

pub(super) fn read(id: &str, tags: &[&str]) -> ModelFacts {
    let name = id.rsplit('/').next().unwrap_or(id);
    let words: Vec<&str> = words(name).take(MOST_WORDS).collect();
    let tags = &tags[..tags.len().min(MOST_WORDS)];
    let is_tagged = |tag: &str| tags.iter().any(|it| it.eq_ignore_ascii_case(tag));

    let parameters = words.iter().filter_map(|word| said(word, count_of_parameters)).max();
    let of_active = |word: &str| count_of_parameters(word.strip_prefix(['a', 'A'])?);
    let active = words.iter().filter_map(|word| said(word, of_active)).max();
    ModelFacts {
        model_type: MODEL_TYPES.into_iter().find(|name| is_tagged(name)).map(str::to_owned),
        task: tags.iter().find_map(|tag| Task::of_tag(tag)),
        parameters,
        active_parameters: active.filter(|active| parameters.is_some_and(|all| *active < all)),
        quantization: quantization(&words, tags, is_tagged("gguf")),
        context: words.iter().filter_map(|word| said(word, context)).max(),
        ..ModelFacts::default()
    }
}

/// The words of a name: `4-bit` and `Q4_K_M` are one each.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(['-', ' ', ':']);
        let mut end = rest.find(['-', ' ', ':']).unwrap_or(rest.len());
        let is_number = end > 0 && rest[..end].bytes().all(|byte| byte.is_ascii_digit());
        if is_number && rest[end..].to_ascii_lowercase().starts_with("-bit") {
            end += "-bit".len();
        }
        let word;
        (word, rest) = rest.split_at(end);
        (end > 0).then_some(word)
    })
}

/// What a word says as a whole, else the first of its parts that says something: `.` and `_` join some words and belong
/// to others.
fn said<T>(word: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let parts = word.split('.').chain(word.split(['.', '_']));
    std::iter::once(word).chain(parts).find_map(read)
}

/// `0.6B`, `135M`, `8x7B` (of eight experts, what they have in common counted eight times), in any case.
fn count_of_parameters(word: &str) -> Option<u64> {
    let (experts, word) = match word.split_once(['x', 'X']) {
        Some((experts, rest)) => (experts.parse::<u64>().ok().filter(|count| (1..=4096).contains(count))?, rest),
        None => (1, word),
    };
    let number = word.get(..word.len().checked_sub(1)?)?;
    let unit: u64 = match word.as_bytes().last()? {
        b'm' | b'M' => 1_000_000,
        b'b' | b'B' => 1_000_000_000,
        b't' | b'T' => 1_000_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || (fraction.is_empty() && number.contains('.')) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part =
        if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? * unit / 10u64.pow(fraction.len() as u32) };
    experts
        .checked_mul(whole.checked_mul(unit)?.checked_add(part)?)
        .filter(|count| (1..=100_000_000_000_000).contains(count))
}

/// `32k`, `128K`: a context in units of 1,024 tokens.
fn context(word: &str) -> Option<u64> {
    let digits = word.strip_suffix(['k', 'K'])?;
    let count: u64 = if digits.len() <= 4 { digits.parse().ok()? } else { return None };
    (1..=4096).contains(&count).then_some(count * 1024)
}

/// The methods of other programs win over a number of bits, which such models have in their names too, and GGUF's own
/// types over the mere fact that it is GGUF.
fn quantization(words: &[&str], tags: &[&str], is_gguf: bool) -> Option<Quantization> {
    let named: Vec<Quantization> =
        words.iter().chain(tags).filter_map(|word| said(word, Quantization::parse)).collect();
    let specific = |it: &&Quantization| matches!(it, Quantization::Gguf(name) if name != "GGUF");
    let gguf = named.iter().find(specific).or(named.iter().find(|it| matches!(it, Quantization::Gguf(_))));
    if is_gguf && gguf.is_none() {
        return Some(Quantization::Gguf("GGUF".to_owned()));
    }
    let other = || named.iter().find(|it| matches!(it, Quantization::Other(_)));
    gguf.or_else(other).or(named.first()).cloned()
}
