//! One answer of the model, put together from its pieces.

use crate::bindings::exports::wasmlx::runner::chat::Event;
use crate::bindings::wasmlx::runner::types::{Message, Output, Part, ToolCall};

#[derive(Default)]
pub(crate) struct Answer {
    content: String,
    reasoning: String,
    calls: Vec<ToolCall>,
    /// The call that has begun but not ended. One that never ends is dropped: half of its arguments are no use.
    open: Option<ToolCall>,
}

impl Answer {
    /// Adds a piece; the event that it makes, if any. `new_id` names a call.
    pub(crate) fn push(&mut self, output: Output, new_id: impl FnOnce() -> String) -> Option<Event> {
        match output {
            Output::Content(text) => {
                self.content.push_str(&text);
                Some(Event::Content(text))
            }
            Output::Reasoning(text) => {
                self.reasoning.push_str(&text);
                Some(Event::Reasoning(text))
            }
            Output::ToolCallStart(name) => {
                self.open = Some(ToolCall { id: new_id(), name, arguments: String::new() });
                None
            }
            Output::ToolCallArguments(piece) => {
                self.open.as_mut()?.arguments.push_str(&piece);
                None
            }
            Output::ToolCallEnd => {
                let call = self.open.take()?;
                self.calls.push(call.clone());
                Some(Event::ToolCall(call))
            }
        }
    }

    /// As a message of the log.
    pub(crate) fn into_message(self) -> Message {
        Message {
            role: "assistant".into(),
            content: text(self.content),
            reasoning: Some(self.reasoning).filter(|reasoning| !reasoning.is_empty()),
            tool_calls: self.calls,
            tool_call_id: None,
            name: None,
        }
    }
}

/// The message that answers a call.
pub(crate) fn tool_message(call: &ToolCall, result: String) -> Message {
    Message {
        role: "tool".into(),
        content: text(result),
        reasoning: None,
        tool_calls: Vec::new(),
        tool_call_id: Some(call.id.clone()),
        name: Some(call.name.clone()),
    }
}

fn text(text: String) -> Vec<Part> {
    if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] }
}
