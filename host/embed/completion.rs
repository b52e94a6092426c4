//! Going on with a prompt as it stands.

use wasmlx_engine::{Event as EngineEvent, GenerateRequest, Generation};
use wasmlx_text::{Grammar, Segment};

use super::answer_options::AnswerOptions;
use super::blocking;
use super::cancel::Canceller;
use super::error::{Error, Result};
use super::event::Event;
use super::model::Model;
use super::report::{Report, Tally};
use super::sampler::{random_seed, vocabulary};

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
    pub(super) options: AnswerOptions,
}

impl CompletionBuilder {
    pub(crate) fn new(model: Model, prompt: Prompt) -> Self {
        Self { model, prompt, options: AnswerOptions::default() }
    }

    /// Begins.
    ///
    /// # Errors
    /// `InvalidInput`, `ContextFull`, `Unloaded`; what the sampler fails with.
    pub async fn start(self) -> Result<Completion> {
        let Self { model, prompt, mut options } = self;
        options.bind(model.bindings());
        let AnswerOptions { sampler, sampler_params, max_tokens, stops, ignore_eos, seed, logprobs, grammar } = options;
        let tally = Tally::start(logprobs.is_some());
        let mut context = model.engine_model().new_context();
        match &prompt {
            Prompt::Tokens(ids) => context.set_tokens(ids)?,
            Prompt::Segments(segments) => {
                model.tokenizer()?;
                context.prompt(segments)?
            }
            Prompt::Text(text) => context.set_tokens(&model.tokenizer()?.encode_plain(text, true)?)?,
        };
        let end_tokens = if ignore_eos { Vec::new() } else { model.end_tokens() };
        let ends = end_tokens.clone();
        let sampling = blocking::spawn("wasmlx-sampler", move || {
            let sampler = sampler.load(model.host().components(), &sampler_params, model.generation_config())?;
            let compile = |source| Ok::<_, Error>(Grammar::compile(model.tokenizer()?, &source)?);
            Ok((sampler.sampling(&vocabulary(&model, &ends))?, grammar.map(compile).transpose()?))
        });
        let (sampling, grammar) = sampling.await?;
        let generation = context.generate(GenerateRequest {
            sampling,
            max_tokens,
            stops,
            end_tokens,
            grammar,
            seed: seed.unwrap_or_else(random_seed),
            logprobs,
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
