//! What memory a model takes, told before it is loaded, or even fetched.

use serde::Serialize;

use crate::facts::{CacheShape, ModelFacts};

/// Tokens for which [`MemoryEstimate::total_bytes`] counts the cache, where the model reaches so far.
const USUAL_CONTEXT: u64 = 4096;
/// Tokens of a prompt that are computed at once: the engine's chunk, as mlx-lm's.
const PREFILL_CHUNK: u64 = 2048;
/// What a runner takes beside everything that follows from the model's shape: 4 to 12 MB by `peak_memory_bytes` of
/// `wasmlx run --json` with a prompt of one token, and some more to be safe.
const FIXED_OVERHEAD: u64 = 16_000_000;

/// In what form a runner holds what it computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Bytes of a number of the KV cache and of what is computed.
    pub number_bytes: u64,
    /// Whether all weights are held in such numbers, quantised ones unpacked, whatever they are stored in.
    pub unpacked: bool,
    /// Whether attention is computed without its table of scores, as GPUs do.
    pub fused_attention: bool,
    /// Whether the cache keeps what lies behind a layer's window too. The one here does: a context can be cut back to
    /// any length.
    pub whole_windows: bool,
}

impl Holding {
    /// As GPUs hold a model: weights as they are stored, everything else in half precision.
    pub const AS_STORED: Self = Self { number_bytes: 2, unpacked: false, fused_attention: true, whole_windows: true };
    /// As the CPU holds a model: everything in float32.
    pub const FLOAT32: Self = Self { number_bytes: 4, unpacked: true, fused_attention: false, whole_windows: true };
}

/// What a machine has for models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelMemory {
    /// How it holds them. Where that is unpacked and there is no room for it, weights are held as stored.
    pub holding: Holding,
    /// Bytes of memory, where that is known.
    pub bytes: Option<u64>,
}

/// What an estimate was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The configuration, and the size of the weights or the number of parameters.
    Configuration,
    /// A guess: 1.2 times the size of the weights.
    FileSize,
    /// A guess by the number of parameters: 1.2 times what they take in the quantisation that the name tells, else a
    /// table.
    Parameters,
    /// A guess by nothing at all.
    Nothing,
}

/// What memory a model takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MemoryEstimate {
    /// What it was made from.
    pub basis: Basis,
    /// Bytes of the weights; all there is, where the rest is not known.
    pub weights_bytes: u64,
    /// Bytes of what is computed while a prompt of [`context`](Self::context) tokens is read, the most at any time.
    pub overhead_bytes: u64,
    /// Bytes of the KV cache for the first 1,000 tokens; more take as much each.
    pub cache_bytes_per_1000_tokens: Option<u64>,
    /// Tokens for which [`total_bytes`](Self::total_bytes) counts the cache.
    pub context: u64,
    /// Bytes of all of it.
    pub total_bytes: u64,
    /// The longest text that the model was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_context: Option<u64>,
    #[serde(skip)]
    known: Option<(CacheShape, ModelFacts)>,
    #[serde(skip)]
    holding: Holding,
}

impl MemoryEstimate {
    /// An estimate by what is known of a model and how it is held, and the bytes of its weights where its files are
    /// known.
    pub fn new(facts: &ModelFacts, weights_bytes: Option<u64>, holding: Holding) -> Self {
        let weights = held_weights(facts, weights_bytes, holding);
        let longest_context = facts.context;
        let context = longest_context.unwrap_or(USUAL_CONTEXT).min(USUAL_CONTEXT);
        let (Some(weights_bytes), Some(cache)) = (weights, facts.cache) else {
            return Self::guess(facts, weights_bytes, holding);
        };
        let mut estimate = Self {
            basis: Basis::Configuration,
            weights_bytes,
            overhead_bytes: overhead(facts, context, holding),
            cache_bytes_per_1000_tokens: Some(cache_bytes(cache, 1000, holding)),
            context,
            total_bytes: 0,
            longest_context,
            known: Some((cache, facts.clone())),
            holding,
        };
        estimate.total_bytes = estimate.bytes_at(context);
        estimate
    }

    /// An estimate for a machine, which unpacks weights only where it has room for them.
    pub fn on(facts: &ModelFacts, weights_bytes: Option<u64>, machine: ModelMemory) -> Self {
        let estimate = Self::new(facts, weights_bytes, machine.holding);
        match machine.bytes {
            Some(memory) if machine.holding.unpacked && estimate.weights_bytes > memory => {
                let holding = Holding { number_bytes: 2, unpacked: false, ..machine.holding };
                Self::new(facts, weights_bytes, holding)
            }
            _ => estimate,
        }
    }

    fn guess(facts: &ModelFacts, weights_bytes: Option<u64>, holding: Holding) -> Self {
        let (basis, weights_bytes, total_bytes) = match (weights_bytes, facts.parameters) {
            (Some(bytes), _) => (Basis::FileSize, bytes, bytes.saturating_add(bytes / 5)),
            (None, Some(parameters)) => {
                let stored = stored_bytes(facts).map(|bytes| (bytes, bytes.saturating_add(bytes / 5)));
                let (weights, total) = stored.unwrap_or_else(|| {
                    let bytes = by_parameters(parameters);
                    (bytes, bytes)
                });
                (Basis::Parameters, weights, total)
            }
            (None, None) => (Basis::Nothing, UNKNOWN_BYTES, UNKNOWN_BYTES),
        };
        Self {
            basis,
            weights_bytes,
            overhead_bytes: total_bytes - weights_bytes,
            cache_bytes_per_1000_tokens: None,
            context: facts.context.unwrap_or(USUAL_CONTEXT).min(USUAL_CONTEXT),
            total_bytes,
            longest_context: facts.context,
            known: None,
            holding,
        }
    }

    /// Whether it is a guess: made without the model's configuration.
    pub fn is_guess(&self) -> bool {
        self.basis != Basis::Configuration
    }

    /// Bytes with so many tokens in the cache; a guess knows only one number.
    pub fn bytes_at(&self, tokens: u64) -> u64 {
        let more = match &self.known {
            Some((cache, facts)) => {
                cache_bytes(*cache, tokens, self.holding).saturating_add(overhead(facts, tokens, self.holding))
            }
            None => self.overhead_bytes,
        };
        self.weights_bytes.saturating_add(more)
    }

    /// The most tokens that fit in so many bytes of memory, as far as the model was made for; zero where not even the
    /// weights fit, none where a guess cannot tell.
    pub fn largest_context(&self, memory_bytes: u64) -> Option<u64> {
        self.known.as_ref()?;
        let (mut fits, mut too_many) = (0, self.longest_context.unwrap_or(1 << 32) + 1);
        if self.bytes_at(1) > memory_bytes {
            return Some(0);
        }
        while fits + 1 < too_many {
            let middle = fits + (too_many - fits) / 2;
            if self.bytes_at(middle) <= memory_bytes { fits = middle } else { too_many = middle }
        }
        Some(fits)
    }
}

/// Bytes of the weights among a model's files, each its path and its bytes; none where there are none.
pub fn weights_bytes<'a>(files: impl IntoIterator<Item = (&'a str, u64)>) -> Option<u64> {
    let weights = files.into_iter().filter(|(path, _)| path.ends_with(".safetensors") && !path.contains('/'));
    weights.map(|(_, bytes)| bytes).reduce(u64::saturating_add).filter(|&bytes| bytes > 0)
}

/// Bytes of the weights as they are held; none where neither their size nor their number is known.
fn held_weights(facts: &ModelFacts, stored: Option<u64>, holding: Holding) -> Option<u64> {
    let unpacked =
        facts.parameters.filter(|_| holding.unpacked).map(|count| count.saturating_mul(holding.number_bytes));
    unpacked.or(stored).or_else(|| stored_bytes(facts))
}

/// Bytes of the weights by their number and quantisation.
fn stored_bytes(facts: &ModelFacts) -> Option<u64> {
    let bits = facts.quantization.as_ref()?.bits_per_number(facts.group_size)?;
    Some((facts.parameters? as f64 * bits / 8.0) as u64)
}

fn cache_bytes(cache: CacheShape, tokens: u64, holding: Holding) -> u64 {
    cache.numbers(tokens, holding.whole_windows).saturating_mul(holding.number_bytes)
}

/// What is computed while the last chunk of a prompt of `tokens` tokens is read, in the layer that takes most: the
/// vectors of the chunk's tokens before and after attention, queries, and the two halves of the feed-forward layer with
/// their product; where attention is not fused, the table of scores of the chunk, as often as MLX was seen to hold it
/// (`peak_memory_bytes` of `wasmlx run --json`: three times for a first chunk, once and a half for a later one). The
/// logits are those of one token.
fn overhead(facts: &ModelFacts, tokens: u64, holding: Holding) -> u64 {
    let chunk = tokens.clamp(1, PREFILL_CHUNK);
    let (heads, hidden) = (facts.heads.unwrap_or(0), facts.hidden_size.unwrap_or(0));
    let queries = heads.saturating_mul(facts.head_dimension.unwrap_or(0));
    let vectors = hidden
        .saturating_add(facts.intermediate_size.unwrap_or(0))
        .saturating_mul(3)
        .saturating_add(queries.saturating_mul(2));
    let rows = (3 * chunk).max(tokens.saturating_add(tokens / 2));
    let scores = if holding.fused_attention { 0 } else { heads.saturating_mul(rows) };
    let numbers = vectors.saturating_add(scores).saturating_mul(chunk).saturating_add(facts.vocabulary.unwrap_or(0));
    numbers.saturating_mul(holding.number_bytes).saturating_add(FIXED_OVERHEAD)
}

/// Where nothing is known.
const UNKNOWN_BYTES: u64 = 8_000_000_000;

/// The founding notes' table: parameters, and bytes of memory that a model of so many needs.
const BY_PARAMETERS: [(u64, u64); 8] = [
    (500_000_000, 1_000_000_000),
    (1_000_000_000, 2_000_000_000),
    (1_500_000_000, 3_000_000_000),
    (2_000_000_000, 4_000_000_000),
    (3_000_000_000, 6_000_000_000),
    (7_000_000_000, 14_000_000_000),
    (8_000_000_000, 16_000_000_000),
    (13_000_000_000, 26_000_000_000),
];

/// The entry of the table that is nearest; beyond the table two bytes a parameter, as in it.
fn by_parameters(parameters: u64) -> u64 {
    let (largest, _) = BY_PARAMETERS[BY_PARAMETERS.len() - 1];
    if parameters > largest + largest / 2 {
        return parameters.saturating_mul(2);
    }
    let nearest = BY_PARAMETERS.iter().min_by_key(|(count, _)| count.abs_diff(parameters));
    nearest.map_or(UNKNOWN_BYTES, |(_, bytes)| *bytes)
}
