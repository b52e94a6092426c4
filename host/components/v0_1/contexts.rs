//! Interface `contexts`: texts that a model reads and goes on with.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wasmlx_engine::{Context, EngineError, PromptInfo};
use wasmlx_text::{GrammarSource, Segment};
use wasmtime::Result;
use wasmtime::component::Resource;

use super::chat::bindings::wasmlx::runner::contexts::{self, Host, HostContext, HostGeneration};
use super::templates::checked;
use super::types::{all, count, wit};
use crate::chat_state::{ChatState, HeldContext, blocking};
use crate::generation::{Generated, HeldGeneration};
use crate::limits::check_text;
use crate::{ComponentError, ComponentErrorKind, GenerateOptions};

impl Host for ChatState {
    async fn open(&mut self, model: Option<String>) -> Result<Result<Resource<HeldContext>, wit::Error>> {
        let mut state = self.enter();
        let take = state.take("contexts.open", || json!({"model": model}))?;
        let opened = match take.given::<u32>()? {
            Some(given) => given.and_then(|_| state.stand_in_context()),
            None => state.open(model.as_deref()),
        };
        state.keep_handle(&take, &opened);
        Ok(state.answer(opened))
    }
}

impl HostContext for ChatState {
    async fn prompt(
        &mut self,
        context: Resource<HeldContext>,
        segments: Vec<wit::Segment>,
    ) -> Result<Result<contexts::PromptInfo, wit::Error>> {
        read(self, "context.prompt", &context, segments, Context::prompt).await
    }

    async fn append(
        &mut self,
        context: Resource<HeldContext>,
        segments: Vec<wit::Segment>,
    ) -> Result<Result<contexts::PromptInfo, wit::Error>> {
        read(self, "context.append", &context, segments, Context::append).await
    }

    async fn tokens(&mut self, context: Resource<HeldContext>) -> Result<Vec<u32>> {
        let mut state = self.enter();
        let number = state.number(&context);
        let take = state.take("context.tokens", || json!({"context": number}))?;
        let tokens = match take.given()? {
            Some(tokens) => tokens,
            None => Ok(state.context(&context)?.map(|context| context.tokens()).unwrap_or_default()),
        };
        take.keep(&tokens);
        Ok(tokens?)
    }

    async fn fork(&mut self, context: Resource<HeldContext>) -> Result<Result<Resource<HeldContext>, wit::Error>> {
        let mut state = self.enter();
        let number = state.number(&context);
        let take = state.take("context.fork", || json!({"context": number}))?;
        let forked = match take.given::<u32>()? {
            Some(given) => given.and_then(|_| state.stand_in_context()),
            None => state.fork(&context).await?,
        };
        state.keep_handle(&take, &forked);
        Ok(state.answer(forked))
    }

    async fn truncate(&mut self, context: Resource<HeldContext>, length: u32) -> Result<Result<(), wit::Error>> {
        let mut state = self.enter();
        let number = state.number(&context);
        let take = state.take("context.truncate", || json!({"context": number, "length": length}))?;
        let truncated = match take.given()? {
            Some(truncated) => truncated,
            None => {
                let truncate = |context: &mut Context| context.truncate(length as usize);
                state.context(&context)?.map_or(Ok(()), truncate).map_err(Into::into)
            }
        };
        take.keep(&truncated);
        Ok(state.answer(truncated))
    }

    async fn generate(
        &mut self,
        context: Resource<HeldContext>,
        options: contexts::GenerateOptions,
    ) -> Result<Result<Resource<HeldGeneration>, wit::Error>> {
        let mut state = self.enter();
        let contexts::GenerateOptions { max_tokens, stops, seed, tools, grammar } = options;
        let parse = move || Ok((checked(tools)?, grammar.map(GrammarSource::try_from).transpose()?));
        let (tools, grammar) = match blocking(&mut state.budget, parse).await? {
            Ok(parsed) => parsed,
            Err(error) => return Ok(state.answer(Err(error))),
        };
        let options = GenerateOptions { max_tokens, stops, seed, tools, grammar };
        let number = state.number(&context);
        let take = state.take("context.generate", || json!({"context": number, "options": options_json(&options)}))?;
        let generation = match take.given::<u32>()? {
            Some(given) => given.and_then(|_| state.stand_in_generation()),
            None => state.generate(&context, options).await?,
        };
        state.keep_handle(&take, &generation);
        Ok(state.answer(generation))
    }

    async fn drop(&mut self, context: Resource<HeldContext>) -> Result<()> {
        self.enter().table.delete(context)?;
        Ok(())
    }
}

impl HostGeneration for ChatState {
    async fn next(
        &mut self,
        generation: Resource<HeldGeneration>,
    ) -> Result<Result<Option<contexts::GenerationEvent>, wit::Error>> {
        let mut state = self.enter();
        let number = state.number(&generation);
        let take = state.take("generation.next", || json!({"generation": number}))?;
        let event = match take.given()? {
            Some(event) => event,
            None => state.generated(&generation, 1).await?.map(|events| events.into_iter().next()),
        };
        take.keep(&event);
        Ok(state.answer(event.map(|event| event.map(Into::into))))
    }

    async fn next_batch(
        &mut self,
        generation: Resource<HeldGeneration>,
        max: u32,
    ) -> Result<Result<Vec<contexts::GenerationEvent>, wit::Error>> {
        let mut state = self.enter();
        let number = state.number(&generation);
        let take = state.take("generation.next_batch", || json!({"generation": number, "max": max}))?;
        let events = match (take.given()?, max) {
            (Some(events), _) => events,
            (None, 0) => Err(none_asked_for()),
            (None, max) => state.generated(&generation, max as usize).await?,
        };
        take.keep(&events);
        Ok(state.answer(events.map(all)))
    }

    async fn cancel(&mut self, generation: Resource<HeldGeneration>) -> Result<()> {
        let state = self.enter();
        let number = state.number(&generation);
        let take = state.take("generation.cancel", || json!({"generation": number}))?;
        state.table.get(&generation)?.cancel();
        take.keep(&Ok(()));
        Ok(())
    }

    async fn drop(&mut self, generation: Resource<HeldGeneration>) -> Result<()> {
        self.enter().table.delete(generation)?;
        Ok(())
    }
}

/// An empty list of events means the end, so nobody may ask for one.
fn none_asked_for() -> ComponentError {
    ComponentError::new(ComponentErrorKind::InvalidInput, "", "`next-batch` was asked for 0 events; 1 is the least")
}

/// Has a context read segments, by `read`, which is called `call` on a tape.
async fn read(
    state: &mut ChatState,
    call: &str,
    context: &Resource<HeldContext>,
    segments: Vec<wit::Segment>,
    read: fn(&mut Context, &[Segment]) -> std::result::Result<PromptInfo, EngineError>,
) -> Result<Result<contexts::PromptInfo, wit::Error>> {
    let mut state = state.enter();
    let segments: Vec<Segment> = all(segments);
    let number = state.number(context);
    let take = state.take(call, || json!({"context": number, "segments": segments}))?;
    let bytes = segments.iter().map(|segment| segment.text().len()).sum();
    let prompted = match (take.given()?, check_text("the text", bytes)) {
        (Some(prompted), _) => prompted,
        (None, Ok(())) => {
            let prompted = state.read(context, move |context| read(context, &segments)).await?;
            prompted.map(Prompted::from)
        }
        (None, Err(error)) => Err(error),
    };
    take.keep(&prompted);
    Ok(state.answer(prompted.map(Into::into)))
}

/// How much of a prompt is new, as guests and tapes have it.
#[derive(Debug, Serialize, Deserialize)]
struct Prompted {
    tokens: u32,
    cached: u32,
}

impl From<PromptInfo> for Prompted {
    fn from(PromptInfo { tokens, cached }: PromptInfo) -> Self {
        Self { tokens: count(tokens), cached: count(cached) }
    }
}

impl From<Prompted> for contexts::PromptInfo {
    fn from(Prompted { tokens, cached }: Prompted) -> Self {
        Self { tokens, cached }
    }
}

/// Options as tapes have them: what is not said is left out.
fn options_json(options: &GenerateOptions) -> Value {
    let GenerateOptions { max_tokens, stops, seed, tools, grammar } = options;
    let grammar = grammar.as_ref().map(|grammar| match grammar {
        GrammarSource::JsonSchema(schema) => json!({"json_schema": schema}),
        GrammarSource::Regex(expression) => json!({"regex": expression}),
        GrammarSource::Lark(text) => json!({"lark": text}),
        _ => Value::Null,
    });
    let said = [
        ("max_tokens", max_tokens.map(Value::from)),
        ("stops", (!stops.is_empty()).then(|| json!(stops))),
        ("seed", seed.map(Value::from)),
        ("tools", (!tools.is_empty()).then(|| json!(tools))),
        ("grammar", grammar),
    ];
    let said = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(said.collect::<Map<_, _>>())
}

impl From<Generated> for contexts::GenerationEvent {
    fn from(event: Generated) -> Self {
        match event {
            Generated::Output(output) => Self::Output(output.into()),
            Generated::Finished { reason, usage } => {
                Self::Finished(contexts::Finish { reason: reason.into(), usage: usage.into() })
            }
        }
    }
}
