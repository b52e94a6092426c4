//! Going on with a prompt as it stands.

use serde_json::{Map, Value};
use wasmlx_engine::{Event as EngineEvent, GenerateRequest, Generation};
use wasmlx_text::{Grammar, GrammarSource, Segment};

use super::blocking;
use super::cancel::Canceller;
use super::error::{Error, Result};
use super::event::Event;
use super::model::Model;
use super::report::{Report, Tally};
use super::sampler::{Sampler, random_seed, vocabulary};

/// What to go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prompt {
    /// A text that its author vouches for: markers in it become the tokens they name, and the tokens that the
    /// tokenizer puts around a text are added.
    Text(String),
    /// Pieces of text, each with the trust it has.
    Segments(Vec<Segment>),
    /// Token ids; they need no tokenizer.
    Tokens(Vec<u32>),
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u32>> for Prompt {
    fn from(tokens: Vec<u32>) -> Self {
        Self::Tokens(tokens)
    }
}

impl From<Vec<Segment>> for Prompt {
    fn from(segments: Vec<Segment>) -> Self {
        Self::Segments(segments)
    }
}

/// How to go on. What is left out has the meaning it has for a chat.
#[must_use]
pub struct CompletionBuilder {
    model: Model,
    prompt: Prompt,
    sampler: Sampler,
    sampler_params: Map<String, Value>,
    max_tokens: usize,
    stops: Vec<String>,
    ignore_eos: bool,
    seed: Option<u64>,
    logprobs: Option<u32>,
    grammar: Option<GrammarSource>,
}

impl CompletionBuilder {
    pub(crate) fn new(model: Model, prompt: Prompt) -> Self {
        Self {
            model,
            prompt,
            sampler: Sampler::default(),
            sampler_params: Map::new(),
            max_tokens: super::DEFAULT_MAX_TOKENS,
            stops: Vec::new(),
            ignore_eos: false,
            seed: None,
            logprobs: None,
            grammar: None,
        }
    }

    /// What chooses the tokens.
    pub fn sampler(mut self, sampler: impl Into<Sampler>) -> Self {
        self.sampler = sampler.into();
        self
    }

    /// A parameter of the sampler: `temperature`, `top_p`.
    pub fn sampler_param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.sampler_params.insert(name.into(), value.into());
        self
    }

    /// Parameters of the sampler, in place of those before.
    pub fn sampler_params(mut self, params: Map<String, Value>) -> Self {
        self.sampler_params = params;
        self
    }

    /// The most tokens to generate; 512 where nothing is said.
    pub fn max_tokens(mut self, count: usize) -> Self {
        self.max_tokens = count;
        self
    }

    /// Strings at which the answer ends. They are no part of it.
    pub fn stops(mut self, stops: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.stops = stops.into_iter().map(Into::into).collect();
        self
    }

    /// Go on past the tokens that end an answer.
    pub fn ignore_eos(mut self, ignore: bool) -> Self {
        self.ignore_eos = ignore;
        self
    }

    /// What random draws depend on; a new one each time where nothing is said.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Report how likely each token was, and the `top` best in its place. Costs one reading of the device a token.
    pub fn logprobs(mut self, top: u32) -> Self {
        self.logprobs = Some(top);
        self
    }

    /// The answer is JSON of this schema, from its first token to its last; `finish_reason` says where it was cut.
    ///
    /// This, [`regex`](Self::regex) and [`lark`](Self::lark) take the place of each other.
    pub fn json_schema(self, schema: impl Into<Value>) -> Self {
        self.grammar(GrammarSource::JsonSchema(schema.into()))
    }

    /// The answer matches this regular expression as a whole.
    pub fn regex(self, expression: impl Into<String>) -> Self {
        self.grammar(GrammarSource::Regex(expression.into()))
    }

    /// The answer is of this grammar, written in llguidance's form of Lark.
    pub fn lark(self, grammar: impl Into<String>) -> Self {
        self.grammar(GrammarSource::Lark(grammar.into()))
    }

    fn grammar(mut self, source: GrammarSource) -> Self {
        self.grammar = Some(source);
        self
    }

    /// Begins.
    ///
    /// # Errors
    /// `InvalidInput`, `ContextFull`, `Unloaded`; what the sampler fails with.
    pub async fn start(self) -> Result<Completion> {
        let tally = Tally::start(self.logprobs.is_some());
        let mut context = self.model.engine_model().new_context();
        match &self.prompt {
            Prompt::Tokens(ids) => context.set_tokens(ids)?,
            Prompt::Segments(segments) => {
                self.model.tokenizer()?;
                context.prompt(segments)?
            }
            Prompt::Text(text) => context.set_tokens(&self.model.tokenizer()?.encode_plain(text, true)?)?,
        };
        let (model, sampler, params) = (self.model.clone(), self.sampler, self.sampler_params);
        let end_tokens = if self.ignore_eos { Vec::new() } else { self.model.end_tokens() };
        let (source, ends) = (self.grammar, end_tokens.clone());
        let sampling = blocking::spawn("wasmlx-sampler", move || {
            let sampler = sampler.load(model.host().components(), &params, model.generation_config())?;
            let compile = |source| Ok::<_, Error>(Grammar::compile(model.tokenizer()?, &source)?);
            Ok((sampler.sampling(&vocabulary(&model, &ends))?, source.map(compile).transpose()?))
        });
        let (sampling, grammar) = sampling.await?;
        let generation = context.generate(GenerateRequest {
            sampling,
            max_tokens: self.max_tokens,
            stops: self.stops,
            end_tokens,
            grammar,
            seed: self.seed.unwrap_or_else(random_seed),
            logprobs: self.logprobs,
            ..GenerateRequest::default()
        })?;
        Ok(Completion { generation, tally: Some(tally) })
    }
}

/// An answer under way. It makes progress whether or not it is waited on, and ends when it is dropped.
pub struct Completion {
    generation: Generation,
    /// None once the answer has ended.
    tally: Option<Tally>,
}

impl Completion {
    /// The next event, waiting for it: [`Event::Content`] until [`Event::Finished`] or an error, then none.
    ///
    /// It may be dropped while it waits; nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        self.tally.as_ref()?;
        loop {
            let event = match self.generation.next().await? {
                Ok(event) => event,
                Err(error) => {
                    self.tally = None;
                    return Some(Err(error.into()));
                }
            };
            let tally = self.tally.as_mut()?;
            tally.add(&event);
            match event {
                // Within a character, and at the end, a token adds no text.
                EngineEvent::Token { text, .. } if text.is_empty() => {}
                EngineEvent::Token { text, .. } => return Some(Ok(Event::Content(text))),
                EngineEvent::Finished(finished) => {
                    let report = self.tally.take()?.report(finished.reason.into());
                    return Some(Ok(Event::Finished(report)));
                }
            }
        }
    }

    /// Waits for the end and gives the report, for callers that want no text.
    ///
    /// # Errors
    /// What the answer fails with.
    pub async fn finish(mut self) -> Result<Report> {
        while let Some(event) = self.next().await {
            if let Event::Finished(report) = event? {
                return Ok(report);
            }
        }
        Err(super::event::no_end())
    }

    /// Ends the answer within one step; the report then says [`FinishReason::Cancelled`](crate::FinishReason::Cancelled).
    pub fn cancel(&self) {
        self.generation.cancel();
    }

    /// Does the same from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.generation.cancel_token().into()
    }
}
