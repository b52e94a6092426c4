//! What an answer is to be like, as those who ask for one say it: in a chat, and without.

use serde_json::{Map, Value};
use wasmlx_store::Bindings;
use wasmlx_text::GrammarSource;

use super::DEFAULT_MAX_TOKENS;
use super::chat_builder::ChatBuilder;
use super::completion::CompletionBuilder;
use super::sampler::Sampler;

/// What an answer is to be like.
pub(crate) struct AnswerOptions {
    pub(crate) sampler: Sampler,
    pub(crate) sampler_params: Map<String, Value>,
    pub(crate) max_tokens: usize,
    pub(crate) stops: Vec<String>,
    pub(crate) ignore_eos: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) logprobs: Option<u32>,
    pub(crate) grammar: Option<GrammarSource>,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        Self {
            sampler: Sampler::Default,
            sampler_params: Map::new(),
            max_tokens: DEFAULT_MAX_TOKENS,
            stops: Vec::new(),
            ignore_eos: false,
            seed: None,
            logprobs: None,
            grammar: None,
        }
    }
}

impl AnswerOptions {
    /// Where nobody named a sampler, it is the one that the user bound the model to, with its parameters under those
    /// that are given.
    pub(crate) fn bind(&mut self, bound: &Bindings) {
        if self.sampler != Sampler::Default {
            return;
        }
        if let Some(name) = &bound.sampler {
            self.sampler = name.as_str().into();
        }
        let given = std::mem::replace(&mut self.sampler_params, bound.parameters.clone());
        self.sampler_params.extend(given);
    }
}

/// Lets a builder that has such `options` be told of them.
macro_rules! answer_options {
    ($builder:ty) => {
        impl $builder {
            /// What chooses the tokens.
            pub fn sampler(mut self, sampler: impl Into<Sampler>) -> Self {
                self.options.sampler = sampler.into();
                self
            }

            /// A parameter of the sampler: `temperature`, `top_p`.
            pub fn sampler_param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
                self.options.sampler_params.insert(name.into(), value.into());
                self
            }

            /// Parameters of the sampler, in place of those before.
            pub fn sampler_params(mut self, params: Map<String, Value>) -> Self {
                self.options.sampler_params = params;
                self
            }

            /// The most tokens of one answer; 512 where nothing is said.
            pub fn max_tokens(mut self, count: usize) -> Self {
                self.options.max_tokens = count;
                self
            }

            /// Strings at which an answer ends, besides those of a chat's template. They are no part of it.
            pub fn stops(mut self, stops: impl IntoIterator<Item = impl Into<String>>) -> Self {
                self.options.stops = stops.into_iter().map(Into::into).collect();
                self
            }

            /// Go on past the tokens that end an answer.
            pub fn ignore_eos(mut self, ignore: bool) -> Self {
                self.options.ignore_eos = ignore;
                self
            }

            /// What random draws depend on; a new one each time where nothing is said.
            pub fn seed(mut self, seed: u64) -> Self {
                self.options.seed = Some(seed);
                self
            }

            /// Report how likely each token was, and the `top` best in its place. Costs one reading of the device a
            /// token.
            pub fn logprobs(mut self, top: u32) -> Self {
                self.options.logprobs = Some(top);
                self
            }

            /// Answers are JSON of this schema, each as a whole: `finish_reason` says where one was cut. In a chat the
            /// model calls no tools then; where its template lets it reason first, it does, and the schema is for what
            /// comes after.
            ///
            /// This, [`regex`](Self::regex) and [`lark`](Self::lark) take the place of each other.
            pub fn json_schema(mut self, schema: impl Into<Value>) -> Self {
                self.options.grammar = Some(GrammarSource::JsonSchema(schema.into()));
                self
            }

            /// Answers match this regular expression as a whole.
            pub fn regex(mut self, expression: impl Into<String>) -> Self {
                self.options.grammar = Some(GrammarSource::Regex(expression.into()));
                self
            }

            /// Answers are of this grammar, written in llguidance's form of Lark.
            pub fn lark(mut self, grammar: impl Into<String>) -> Self {
                self.options.grammar = Some(GrammarSource::Lark(grammar.into()));
                self
            }
        }
    };
}

answer_options!(ChatBuilder);
answer_options!(CompletionBuilder);
