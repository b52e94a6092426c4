//! Interface `models`: what there is, and plain text to tokens and back.

use serde::{Deserialize, Serialize};
use serde_json::json;
use wasmlx_text::Segment;
use wasmtime::Result;

use super::chat::bindings::wasmlx::runner::models::{Host, ModelInfo};
use super::types::{all, wit};
use crate::chat_state::{ChatState, blocking, tokenizer};
use crate::limits::check_text;
use crate::{ComponentError, ComponentErrorKind};

impl Host for ChatState {
    async fn list(&mut self) -> Result<Vec<ModelInfo>> {
        let state = self.enter();
        let take = state.take("models.list", || json!({}))?;
        let listed = take.given()?.unwrap_or_else(|| {
            Ok(match state.host.script() {
                Some(_) => vec![Listed::scripted()],
                None => state.models().iter().map(Listed::from).collect(),
            })
        });
        take.keep(&listed);
        Ok(all(listed?))
    }

    async fn encode(&mut self, model: String, text: String) -> Result<Result<Vec<u32>, wit::Error>> {
        let mut state = self.enter();
        let take = state.take("models.encode", || json!({"model": model, "text": text}))?;
        let ids = match (take.given()?, state.model(Some(&model))) {
            (Some(ids), _) => ids,
            (None, Ok(model)) => {
                let encode = move || {
                    check_text("the text", text.len())?;
                    Ok(tokenizer(&model)?.encode(&[Segment::Untrusted(text)])?)
                };
                blocking(&mut state.budget, encode).await?
            }
            (None, Err(error)) => Err(error),
        };
        take.keep(&ids);
        Ok(state.answer(ids))
    }

    async fn decode(&mut self, model: String, tokens: Vec<u32>) -> Result<Result<String, wit::Error>> {
        let mut state = self.enter();
        let take = state.take("models.decode", || json!({"model": model, "tokens": tokens}))?;
        let text = match (take.given()?, state.model(Some(&model))) {
            (Some(text), _) => text,
            (None, Ok(model)) => {
                let decode = move || {
                    check_ids(&model, tokens.len())?;
                    Ok(tokenizer(&model)?.decode(&tokens, false)?)
                };
                blocking(&mut state.budget, decode).await?
            }
            (None, Err(error)) => Err(error),
        };
        take.keep(&text);
        Ok(state.answer(text))
    }
}

/// That a list of tokens is no longer than a text of the model may be. Each is decoded from a text of its own.
fn check_ids(model: &wasmlx_engine::Model, tokens: usize) -> std::result::Result<(), ComponentError> {
    let most = model.info().context_length as usize;
    if tokens <= most {
        return Ok(());
    }
    let message = format!("{tokens} tokens are more than a text of {} may have ({most}): decode fewer", model.name());
    Err(ComponentError::new(ComponentErrorKind::InvalidInput, "", message))
}

/// A model in the list.
#[derive(Serialize, Deserialize)]
struct Listed {
    name: String,
    architecture: String,
    context_length: u32,
    vocabulary_size: u32,
}

impl Listed {
    /// The model that a script stands for.
    fn scripted() -> Self {
        Self { name: "script".into(), architecture: "script".into(), context_length: 4096, vocabulary_size: 256 }
    }
}

impl From<&wasmlx_engine::Model> for Listed {
    fn from(model: &wasmlx_engine::Model) -> Self {
        let info = model.info();
        Self {
            name: model.name().to_owned(),
            architecture: info.architecture.clone(),
            context_length: info.context_length,
            vocabulary_size: info.vocabulary_size,
        }
    }
}

impl From<Listed> for ModelInfo {
    fn from(Listed { name, architecture, context_length, vocabulary_size }: Listed) -> Self {
        Self { name, architecture, context_length, vocabulary_size }
    }
}
