//! Interface `types`: to and from the host's own types.

use serde_json::{Map, Value};
use wasmlx_text::Segment;

#[allow(unreachable_pub, reason = "the bindings of the other worlds re-export it")]
pub use super::template::bindings::wasmlx::runner::types as wit;
use crate::conversation::{Conversation, Document, FinishReason, Message, Output, Part, Tool, ToolCall, Usage};
use crate::{AnswerContext, ComponentError, ComponentErrorKind};

impl From<wit::Part> for Part {
    fn from(part: wit::Part) -> Self {
        match part {
            wit::Part::Text(text) => Self::Text(text),
        }
    }
}

impl From<Part> for wit::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Text(text) => Self::Text(text),
        }
    }
}

impl From<wit::ToolCall> for ToolCall {
    fn from(wit::ToolCall { id, name, arguments }: wit::ToolCall) -> Self {
        Self { id, name, arguments }
    }
}

impl From<ToolCall> for wit::ToolCall {
    fn from(ToolCall { id, name, arguments }: ToolCall) -> Self {
        Self { id, name, arguments }
    }
}

impl From<wit::Message> for Message {
    fn from(message: wit::Message) -> Self {
        let wit::Message { role, content, reasoning, tool_calls, tool_call_id, name } = message;
        Self { role, content: all(content), reasoning, tool_calls: all(tool_calls), tool_call_id, name }
    }
}

impl From<Message> for wit::Message {
    fn from(message: Message) -> Self {
        let Message { role, content, reasoning, tool_calls, tool_call_id, name } = message;
        Self { role, content: all(content), reasoning, tool_calls: all(tool_calls), tool_call_id, name }
    }
}

/// By reference: parsed JSON is many times its text, so it is not copied to be written.
impl From<&Tool> for wit::Tool {
    fn from(Tool { name, description, parameters }: &Tool) -> Self {
        // A schema is an object. A text in its place is one that the caller wrote out, right or wrong.
        let parameters = parameters.as_str().map_or_else(|| parameters.to_string(), str::to_owned);
        Self { name: name.clone(), description: description.clone(), parameters }
    }
}

/// By reference, as a [`Tool`].
impl From<&Conversation> for wit::Conversation {
    fn from(conversation: &Conversation) -> Self {
        let Conversation { messages, tools, documents, add_generation_prompt, options, context } = conversation;
        let document = |Document { title, text }: &Document| wit::Document { title: title.clone(), text: text.clone() };
        Self {
            messages: all(messages.clone()),
            tools: tools.iter().map(wit::Tool::from).collect(),
            documents: documents.iter().map(document).collect(),
            add_generation_prompt: *add_generation_prompt,
            options: object_json(options),
            context: context.as_ref().map(object_json),
        }
    }
}

/// The text of a JSON object. Writing what was parsed, or made, as one does not fail.
fn object_json(object: &Map<String, Value>) -> String {
    serde_json::to_string(object).unwrap_or_default()
}

impl From<wit::Segment> for Segment {
    fn from(segment: wit::Segment) -> Self {
        match segment {
            wit::Segment::Control(name) => Self::Control(name),
            wit::Segment::Trusted(text) => Self::Trusted(text),
            wit::Segment::Untrusted(text) => Self::Untrusted(text),
        }
    }
}

impl From<Segment> for wit::Segment {
    fn from(segment: Segment) -> Self {
        match segment {
            Segment::Control(name) => Self::Control(name),
            Segment::Trusted(text) => Self::Trusted(text),
            Segment::Untrusted(text) => Self::Untrusted(text),
        }
    }
}

impl From<wit::Output> for Output {
    fn from(output: wit::Output) -> Self {
        match output {
            wit::Output::Content(text) => Self::Content(text),
            wit::Output::Reasoning(text) => Self::Reasoning(text),
            wit::Output::ToolCallStart(name) => Self::ToolCallStart(name),
            wit::Output::ToolCallArguments(text) => Self::ToolCallArguments(text),
            wit::Output::ToolCallEnd => Self::ToolCallEnd,
        }
    }
}

impl From<Output> for wit::Output {
    fn from(output: Output) -> Self {
        match output {
            Output::Content(text) => Self::Content(text),
            Output::Reasoning(text) => Self::Reasoning(text),
            Output::ToolCallStart(name) => Self::ToolCallStart(name),
            Output::ToolCallArguments(text) => Self::ToolCallArguments(text),
            Output::ToolCallEnd => Self::ToolCallEnd,
        }
    }
}

impl From<&AnswerContext> for wit::AnswerContext {
    fn from(AnswerContext { prompt_end, tools }: &AnswerContext) -> Self {
        Self { prompt_end: prompt_end.clone(), tools: tools.iter().map(wit::Tool::from).collect() }
    }
}

impl From<wit::FinishReason> for FinishReason {
    fn from(reason: wit::FinishReason) -> Self {
        match reason {
            wit::FinishReason::Stop => Self::Stop,
            wit::FinishReason::Length => Self::Length,
            wit::FinishReason::ToolCalls => Self::ToolCalls,
            wit::FinishReason::Cancelled => Self::Cancelled,
        }
    }
}

impl From<wit::Usage> for Usage {
    fn from(usage: wit::Usage) -> Self {
        let wit::Usage { prompt_tokens, cached_tokens, completion_tokens } = usage;
        Self { prompt_tokens, cached_tokens, completion_tokens }
    }
}

impl From<FinishReason> for wit::FinishReason {
    fn from(reason: FinishReason) -> Self {
        match reason {
            FinishReason::Stop => Self::Stop,
            FinishReason::Length => Self::Length,
            FinishReason::ToolCalls => Self::ToolCalls,
            FinishReason::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Usage> for wit::Usage {
    fn from(Usage { prompt_tokens, cached_tokens, completion_tokens }: Usage) -> Self {
        Self { prompt_tokens, cached_tokens, completion_tokens }
    }
}

impl From<wasmlx_engine::FinishReason> for FinishReason {
    fn from(reason: wasmlx_engine::FinishReason) -> Self {
        match reason {
            wasmlx_engine::FinishReason::Stop => Self::Stop,
            wasmlx_engine::FinishReason::Length => Self::Length,
            wasmlx_engine::FinishReason::Cancelled => Self::Cancelled,
        }
    }
}

impl From<wasmlx_engine::Usage> for Usage {
    fn from(usage: wasmlx_engine::Usage) -> Self {
        Self {
            prompt_tokens: count(usage.prompt_tokens),
            cached_tokens: count(usage.cached_tokens),
            completion_tokens: count(usage.completion_tokens),
        }
    }
}

/// An error that a guest answered, as that of no component yet.
impl From<wit::Error> for ComponentError {
    fn from(error: wit::Error) -> Self {
        let (kind, message) = match error {
            wit::Error::InvalidInput(message) => (ComponentErrorKind::InvalidInput, message),
            wit::Error::NotFound(message) => (ComponentErrorKind::NotFound, message),
            wit::Error::Denied(message) => (ComponentErrorKind::Denied, message),
            wit::Error::Cancelled(message) => (ComponentErrorKind::Cancelled, message),
            wit::Error::Deadline(message) => (ComponentErrorKind::Deadline, message),
            wit::Error::OutOfMemory(message) => (ComponentErrorKind::OutOfMemory, message),
            wit::Error::ContextFull(message) => (ComponentErrorKind::ContextFull, message),
            wit::Error::ModelFailed(message) => (ComponentErrorKind::ModelFailed, message),
            wit::Error::Busy(message) => (ComponentErrorKind::Busy, message),
            wit::Error::ComponentFailed(message) => (ComponentErrorKind::ComponentFailed, message),
            wit::Error::Other(message) => (ComponentErrorKind::Other, message),
        };
        Self::new(kind, "", message)
    }
}

/// An error of the host, or of another component, as a guest gets to see it.
impl From<ComponentError> for wit::Error {
    fn from(error: ComponentError) -> Self {
        let message = error.to_string();
        match error.kind() {
            ComponentErrorKind::InvalidInput => Self::InvalidInput(message),
            ComponentErrorKind::NotFound => Self::NotFound(message),
            ComponentErrorKind::Denied => Self::Denied(message),
            ComponentErrorKind::Cancelled => Self::Cancelled(message),
            ComponentErrorKind::Deadline => Self::Deadline(message),
            ComponentErrorKind::OutOfMemory => Self::OutOfMemory(message),
            ComponentErrorKind::ContextFull => Self::ContextFull(message),
            ComponentErrorKind::ModelFailed => Self::ModelFailed(message),
            ComponentErrorKind::Busy => Self::Busy(message),
            ComponentErrorKind::NotAComponent
            | ComponentErrorKind::UnsupportedVersion
            | ComponentErrorKind::MissingExport
            | ComponentErrorKind::WrongKind
            | ComponentErrorKind::ImportDenied
            | ComponentErrorKind::InvalidManifest
            | ComponentErrorKind::Trapped
            | ComponentErrorKind::PolicyFailed
            | ComponentErrorKind::ComponentFailed => Self::ComponentFailed(message),
            ComponentErrorKind::CompilerFailed
            | ComponentErrorKind::InvalidCache
            | ComponentErrorKind::Io
            | ComponentErrorKind::Unavailable
            | ComponentErrorKind::Other => Self::Other(message),
        }
    }
}

/// Converts each of a list.
pub(crate) fn all<A, B: From<A>>(list: Vec<A>) -> Vec<B> {
    list.into_iter().map(B::from).collect()
}

/// A count for a guest; no text is long enough to exceed it.
pub(crate) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_told_what_kind_of_error_it_is_and_no_other_is_its_own_fault() {
        let told = |kind| wit::Error::from(ComponentError::new(kind, "jinja", "it broke"));
        for kind in [ComponentErrorKind::Trapped, ComponentErrorKind::PolicyFailed, ComponentErrorKind::WrongKind] {
            assert!(matches!(told(kind), wit::Error::ComponentFailed(why) if why == "component jinja: it broke"));
        }
        assert!(matches!(told(ComponentErrorKind::Io), wit::Error::Other(_)));
        assert!(matches!(told(ComponentErrorKind::InvalidInput), wit::Error::InvalidInput(_)));
        for kind in [
            ComponentErrorKind::InvalidInput,
            ComponentErrorKind::NotFound,
            ComponentErrorKind::Denied,
            ComponentErrorKind::Cancelled,
            ComponentErrorKind::Deadline,
            ComponentErrorKind::OutOfMemory,
            ComponentErrorKind::ContextFull,
            ComponentErrorKind::ModelFailed,
            ComponentErrorKind::Busy,
            ComponentErrorKind::ComponentFailed,
            ComponentErrorKind::Other,
        ] {
            assert_eq!(ComponentError::from(told(kind)).kind(), kind, "there and back");
        }
    }
}
