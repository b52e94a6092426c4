//! Interface `contexts`: texts that a model reads and goes on with.

use wasmlx_engine::PromptInfo;
use wasmtime::Result;
use wasmtime::component::Resource;

use super::chat::bindings::wasmlx::runner::contexts::{self, Host, HostContext, HostGeneration};
use super::types::{all, count, wit};
use crate::chat_state::{ChatState, HeldContext};
use crate::generation::{Generated, HeldGeneration};
use crate::{ComponentError, ComponentErrorKind, GenerateOptions};

impl Host for ChatState {
    async fn open(&mut self, model: Option<String>) -> Result<Result<Resource<HeldContext>, wit::Error>> {
        let mut state = self.enter();
        let opened = state.open(model.as_deref());
        Ok(state.answer(opened))
    }
}

impl HostContext for ChatState {
    async fn prompt(
        &mut self,
        context: Resource<HeldContext>,
        segments: Vec<wit::Segment>,
    ) -> Result<Result<contexts::PromptInfo, wit::Error>> {
        let mut state = self.enter();
        let read = state.read(&context, move |context| context.prompt(&all(segments))).await?;
        Ok(state.answer(read.map(Into::into)))
    }

    async fn append(
        &mut self,
        context: Resource<HeldContext>,
        segments: Vec<wit::Segment>,
    ) -> Result<Result<contexts::PromptInfo, wit::Error>> {
        let mut state = self.enter();
        let read = state.read(&context, move |context| context.append(&all(segments))).await?;
        Ok(state.answer(read.map(Into::into)))
    }

    async fn tokens(&mut self, context: Resource<HeldContext>) -> Result<Vec<u32>> {
        let mut state = self.enter();
        Ok(state.context(&context)?.map(|context| context.tokens()).unwrap_or_default())
    }

    async fn fork(&mut self, context: Resource<HeldContext>) -> Result<Result<Resource<HeldContext>, wit::Error>> {
        let mut state = self.enter();
        let forked = state.fork(&context).await?;
        Ok(state.answer(forked))
    }

    async fn truncate(&mut self, context: Resource<HeldContext>, length: u32) -> Result<Result<(), wit::Error>> {
        let mut state = self.enter();
        let truncated = state.context(&context)?.map_or(Ok(()), |context| context.truncate(length as usize));
        Ok(state.answer(truncated.map_err(Into::into)))
    }

    async fn generate(
        &mut self,
        context: Resource<HeldContext>,
        options: contexts::GenerateOptions,
    ) -> Result<Result<Resource<HeldGeneration>, wit::Error>> {
        let mut state = self.enter();
        let contexts::GenerateOptions { max_tokens, stops, seed, tools, grammar } = options;
        let generation = match grammar.map(TryInto::try_into).transpose() {
            Ok(grammar) => {
                let options = GenerateOptions { max_tokens, stops, seed, tools, grammar };
                state.generate(&context, options).await?
            }
            Err(error) => Err(error),
        };
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
        let events = state.generated(&generation, 1).await?;
        Ok(state.answer(events.map(|events| events.into_iter().next().map(Into::into))))
    }

    async fn next_batch(
        &mut self,
        generation: Resource<HeldGeneration>,
        max: u32,
    ) -> Result<Result<Vec<contexts::GenerationEvent>, wit::Error>> {
        let mut state = self.enter();
        let events = match max {
            0 => Err(none_asked_for()),
            max => state.generated(&generation, max as usize).await?,
        };
        Ok(state.answer(events.map(all)))
    }

    async fn cancel(&mut self, generation: Resource<HeldGeneration>) -> Result<()> {
        self.enter().table.get(&generation)?.cancel();
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

impl From<PromptInfo> for contexts::PromptInfo {
    fn from(PromptInfo { tokens, cached }: PromptInfo) -> Self {
        Self { tokens: count(tokens), cached: count(cached) }
    }
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
