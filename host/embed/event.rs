//! What happens while an answer comes.

use wasmlx_components::ToolCall;

use super::error::{Error, ErrorKind};
use super::report::Report;

/// Something happened in an answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A piece of the answer, in its final form.
    Content(String),
    /// A piece of what the model thinks before it answers.
    Reasoning(String),
    /// The model calls a tool. One that the chat does not run ends the turn with
    /// [`FinishReason::ToolCalls`](crate::FinishReason::ToolCalls).
    ToolCall(ToolCall),
    /// What a tool that the chat ran came to.
    ToolResult {
        /// The call that it answers.
        id: String,
        /// A JSON text, or the error's.
        result: String,
    },
    /// The end. Nothing comes after it.
    Finished(Report),
}

/// A stream that ended without its last event.
pub(crate) fn no_end() -> Error {
    Error::new(ErrorKind::ComponentFailed, "the answer ended without saying why")
}
