//! Interface `models`: what there is, and plain text to tokens and back.

use wasmlx_text::Segment;
use wasmtime::Result;

use super::chat::bindings::wasmlx::runner::models::{Host, ModelInfo};
use super::types::wit;
use crate::chat_state::{ChatState, blocking, tokenizer};

impl Host for ChatState {
    async fn list(&mut self) -> Result<Vec<ModelInfo>> {
        let info = |model: &wasmlx_engine::Model| ModelInfo {
            name: model.name().to_owned(),
            architecture: model.info().architecture.clone(),
            context_length: model.info().context_length,
            vocabulary_size: model.info().vocabulary_size,
        };
        let state = self.enter();
        if state.host.script().is_some() {
            return Ok(vec![scripted()]);
        }
        Ok(state.models().iter().map(info).collect())
    }

    async fn encode(&mut self, model: String, text: String) -> Result<Result<Vec<u32>, wit::Error>> {
        let mut state = self.enter();
        let ids = match state.model(Some(&model)) {
            Ok(model) => {
                blocking(&mut state.budget, move || Ok(tokenizer(&model)?.encode(&[Segment::Untrusted(text)])?)).await?
            }
            Err(error) => Err(error),
        };
        Ok(state.answer(ids))
    }

    async fn decode(&mut self, model: String, tokens: Vec<u32>) -> Result<Result<String, wit::Error>> {
        let mut state = self.enter();
        let text = match state.model(Some(&model)) {
            Ok(model) => blocking(&mut state.budget, move || Ok(tokenizer(&model)?.decode(&tokens, false)?)).await?,
            Err(error) => Err(error),
        };
        Ok(state.answer(text))
    }
}

/// The model that a script stands for.
fn scripted() -> ModelInfo {
    ModelInfo { name: "script".into(), architecture: "script".into(), context_length: 4096, vocabulary_size: 256 }
}
