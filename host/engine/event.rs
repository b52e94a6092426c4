//! What a generation asks for and what it reports.

use std::time::Duration;

use wasmlx_backend::Counters;
use wasmlx_text::Grammar;

use crate::chain::Chain;
use crate::policy::Policy;

/// What an answer is to be like.
pub struct GenerateRequest {
    /// What chooses the tokens.
    pub sampling: Sampling,
    /// The most tokens to generate. With 0 the prompt is read and nothing else happens.
    pub max_tokens: usize,
    /// Strings at which the answer ends. They are matched on the text, across token borders, and are not part of it.
    pub stops: Vec<String>,
    /// Tokens at which the answer ends: the model's own. None means that it ends at `max_tokens` only.
    pub end_tokens: Vec<u32>,
    /// What the answer must look like, from its first token on. Only tokens that it allows are drawn, and the answer
    /// ends where it can go no further; an end token is drawn only where the answer is whole. A policy that forces
    /// other tokens, or an early end, fails. An answer cut by `max_tokens` or by a stop string may be unfinished.
    pub grammar: Option<Grammar>,
    /// What random draws depend on.
    pub seed: u64,
    /// Report the log-probability of each token and of so many of the best. Costs a reading of the device
    /// a token, and another where the token is none of the best.
    pub logprobs: Option<u32>,
    /// The most tokens of a prompt to be read in one pass. Between passes other generations and cancellation have
    /// their turn.
    pub prefill_chunk: usize,
}

impl Default for GenerateRequest {
    /// The best tokens, at most 512 of them (the program's own default), and no end but that. mlx-lm reads prompts
    /// in chunks of 2,048.
    fn default() -> Self {
        Self {
            sampling: Sampling::Chain(Chain::greedy()),
            max_tokens: 512,
            stops: Vec::new(),
            end_tokens: Vec::new(),
            grammar: None,
            seed: 0,
            logprobs: None,
            prefill_chunk: 2048,
        }
    }
}

/// What chooses the tokens.
pub enum Sampling {
    /// A fixed chain, which the engine runs by itself.
    Chain(Chain),
    /// Something asked at every step.
    Policy(Box<dyn Policy>),
}

/// Something happened in a generation.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A token of the answer, for good: it is not taken back.
    Token {
        /// Its id.
        id: u32,
        /// The text that it completes; empty within a character, for an end token, and from a stop string on. The
        /// texts of all tokens together are the answer.
        text: String,
        /// Where the request asked for them. None for a token that was forced without the model being asked.
        logprobs: Option<TokenLogprobs>,
    },
    /// The end. Nothing comes after it.
    Finished(Finished),
}

/// How likely a token was, by the model alone: before biases, penalties and filters.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprobs {
    /// The natural logarithm of the token's probability.
    pub logprob: f32,
    /// The best tokens with theirs, best first.
    pub top: Vec<(u32, f32)>,
}

/// How a generation went.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Why it ended.
    pub reason: FinishReason,
    /// How many tokens it took.
    pub usage: Usage,
    /// How long it took.
    pub timings: Timings,
    /// Every token of the answer, an end token included.
    pub tokens: Vec<u32>,
    /// What it cost the device, its own work only.
    pub counters: Counters,
    /// Forward passes that were queued ahead and then not needed.
    pub wasted_forwards: u64,
    /// How often the policy was called.
    pub boundary_calls: u64,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// An end token, a stop string, the policy's choice, or the end of the grammar.
    Stop,
    /// The most tokens allowed, or the model's context is full.
    Length,
    /// The caller broke it off.
    Cancelled,
}

/// How many tokens a generation took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the text before the answer.
    pub prompt_tokens: usize,
    /// Of these, taken from the cache.
    pub cached_tokens: usize,
    /// Of the answer, an end token included.
    pub completion_tokens: usize,
}

/// How long a generation took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the moment the device turned to it to its first token (or its end, where there was none).
    pub prefill: Duration,
    /// From the call of `generate` to the first token, waiting included; zero where there was none.
    pub first_token: Duration,
    /// From the first token to the end.
    pub generation: Duration,
}
