//! Messages of the log.

use crate::bindings::wasmlx::runner::types::{Message, Part, ToolCall};

/// What the user said last.
pub(crate) fn question(log: &[Message]) -> Option<String> {
    let last = log.iter().rev().find(|message| message.role == "user")?;
    Some(last.content.iter().map(|Part::Text(text)| text.as_str()).collect())
}

/// The number of the next call, behind all of the log.
pub(crate) fn next_call(log: &[Message]) -> usize {
    log.iter().map(|message| message.tool_calls.len()).sum::<usize>() + 1
}

/// What the assistant said, or called.
pub(crate) fn assistant(text: String, reasoning: String, tool_calls: Vec<ToolCall>) -> Message {
    let reasoning = Some(reasoning).filter(|reasoning| !reasoning.is_empty());
    Message { reasoning, tool_calls, ..message("assistant", text) }
}

/// What a search found.
pub(crate) fn found(call: &ToolCall, result: String) -> Message {
    Message { tool_call_id: Some(call.id.clone()), name: Some(call.name.clone()), ..message("tool", result) }
}

fn message(role: &str, text: String) -> Message {
    Message {
        role: role.into(),
        content: if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] },
        reasoning: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
        name: None,
    }
}
