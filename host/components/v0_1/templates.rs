//! Interface `templates`: the session's prompt template.

use serde_json::{Map, Value, json};
use wasmtime::Result;

use super::chat::bindings::wasmlx::runner::templates::Host;
use super::types::{all, wit};
use crate::chat_state::ChatState;
use crate::conversation::{Conversation, Document, Tool};
use crate::{ComponentError, ComponentErrorKind};

impl Host for ChatState {
    async fn render(&mut self, conversation: wit::Conversation) -> Result<Result<Vec<wit::Segment>, wit::Error>> {
        render(self, None, conversation).await
    }

    async fn render_for(
        &mut self,
        model: String,
        conversation: wit::Conversation,
    ) -> Result<Result<Vec<wit::Segment>, wit::Error>> {
        render(self, Some(model), conversation).await
    }
}

async fn render(
    state: &mut ChatState,
    model: Option<String>,
    conversation: wit::Conversation,
) -> Result<Result<Vec<wit::Segment>, wit::Error>> {
    let mut state = state.enter();
    let conversation: Conversation = match conversation.try_into() {
        Ok(conversation) => conversation,
        Err(error) => return Ok(state.answer(Err(error))),
    };
    let take = match &model {
        None => state.take("templates.render", || json!({"conversation": conversation}))?,
        Some(model) => state.take("templates.render_for", || json!({"model": model, "conversation": conversation}))?,
    };
    let segments = match take.given()? {
        Some(segments) => segments,
        None => state.render(model.as_deref(), conversation).await?,
    };
    take.keep(&segments);
    Ok(state.answer(segments.map(all)))
}

impl TryFrom<wit::Conversation> for Conversation {
    type Error = ComponentError;

    fn try_from(conversation: wit::Conversation) -> std::result::Result<Self, ComponentError> {
        let wit::Conversation { messages, tools, documents, add_generation_prompt, options, context } = conversation;
        Ok(Self {
            messages: all(messages),
            tools: checked(tools)?,
            documents: documents.into_iter().map(|wit::Document { title, text }| Document { title, text }).collect(),
            add_generation_prompt,
            options: if options.is_empty() { Map::new() } else { object("options", &options)? },
            context: context.map(|context| object("context", &context)).transpose()?,
        })
    }
}

/// Tools of a guest, whose parameters are JSON.
pub(super) fn checked(tools: Vec<wit::Tool>) -> std::result::Result<Vec<Tool>, ComponentError> {
    let tool = |wit::Tool { name, description, parameters }| {
        let parameters = parsed("a tool's parameters", &parameters)?;
        Ok(Tool { name, description, parameters })
    };
    tools.into_iter().map(tool).collect()
}

/// The most bytes of a JSON text. What is made of it may take thirty times as many.
const JSON_BYTES: usize = 4 << 20;

fn parsed(what: &str, text: &str) -> std::result::Result<Value, ComponentError> {
    if text.len() > JSON_BYTES {
        return Err(invalid(format!("{what} has {} bytes; the most is {} MiB", text.len(), JSON_BYTES >> 20)));
    }
    serde_json::from_str(text).map_err(|error| invalid(format!("{what} must be JSON: {error}")))
}

fn object(what: &str, text: &str) -> std::result::Result<Map<String, Value>, ComponentError> {
    match parsed(what, text)? {
        Value::Object(object) => Ok(object),
        _ => Err(invalid(format!("{what} must be a JSON object"))),
    }
}

fn invalid(message: String) -> ComponentError {
    ComponentError::new(ComponentErrorKind::InvalidInput, "", message)
}
