//! Interface `templates`: the session's prompt template.

use serde_json::{Map, Value, json};
use wasmtime::Result;

use super::chat::bindings::wasmlx::runner::templates::Host;
use super::types::{all, wit};
use crate::chat_state::{ChatState, blocking};
use crate::conversation::{Conversation, Document, Message, Tool};
use crate::limits::{check_json, check_text};
use crate::log::bytes_of;
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
    let Measured { conversation, bytes } = match blocking(&mut state.budget, move || conversation.try_into()).await? {
        Ok(measured) => measured,
        Err(error) => return Ok(state.answer(Err(error))),
    };
    let take = match &model {
        None => state.take("templates.render", || json!({"conversation": conversation}))?,
        Some(model) => state.take("templates.render_for", || json!({"model": model, "conversation": conversation}))?,
    };
    let segments = match take.given()? {
        Some(segments) => segments,
        None => state.render(model.as_deref(), conversation, bytes).await?,
    };
    take.keep(&segments);
    Ok(state.answer(segments.map(all)))
}

/// A guest's conversation, and the bytes that it came in, about.
struct Measured {
    conversation: Conversation,
    bytes: usize,
}

impl TryFrom<wit::Conversation> for Measured {
    type Error = ComponentError;

    fn try_from(conversation: wit::Conversation) -> std::result::Result<Self, ComponentError> {
        let wit::Conversation { messages, tools, documents, add_generation_prompt, options, context } = conversation;
        let messages: Vec<Message> = all(messages);
        let beside = options.len() + context.as_ref().map_or(0, String::len);
        let texts = messages.iter().map(bytes_of).chain(tools.iter().map(bytes_of_tool));
        let documents_bytes =
            documents.iter().map(|document| document.title.len() + document.text.len() + size_of::<Document>());
        let bytes = beside + texts.chain(documents_bytes).sum::<usize>();
        check_text("the conversation", bytes)?;
        check_json("the JSON of the conversation", beside + json_bytes(&tools))?;
        let conversation = Conversation {
            messages,
            tools: parsed_tools(tools)?,
            documents: documents.into_iter().map(|wit::Document { title, text }| Document { title, text }).collect(),
            add_generation_prompt,
            options: if options.is_empty() { Map::new() } else { object("options", &options)? },
            context: context.map(|context| object("context", &context)).transpose()?,
        };
        Ok(Self { conversation, bytes })
    }
}

/// Tools of a guest, whose parameters are JSON, where they are no more than make sense.
pub(super) fn checked(tools: Vec<wit::Tool>) -> std::result::Result<Vec<Tool>, ComponentError> {
    check_text("the list of tools", tools.iter().map(bytes_of_tool).sum())?;
    check_json("the JSON of the tools", json_bytes(&tools))?;
    parsed_tools(tools)
}

/// What a tool takes of the host's memory, about, before its parameters are parsed.
fn bytes_of_tool(wit::Tool { name, description, parameters }: &wit::Tool) -> usize {
    size_of::<Tool>() + name.len() + description.len() + parameters.len()
}

fn json_bytes(tools: &[wit::Tool]) -> usize {
    tools.iter().map(|tool| tool.parameters.len()).sum()
}

fn parsed_tools(tools: Vec<wit::Tool>) -> std::result::Result<Vec<Tool>, ComponentError> {
    let tool = |wit::Tool { name, description, parameters }| {
        let parameters = parsed("a tool's parameters", &parameters)?;
        Ok(Tool { name, description, parameters })
    };
    tools.into_iter().map(tool).collect()
}

fn parsed(what: &str, text: &str) -> std::result::Result<Value, ComponentError> {
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
