//! Tools that the embedding application gives to a chat.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// What a call of a tool comes to: a JSON value, or a sentence that says why it failed, which the model gets to read.
pub type ToolResult = std::result::Result<Value, String>;

type Run = dyn Fn(Value) -> Pin<Box<dyn Future<Output = ToolResult> + Send>> + Send + Sync;

/// A function that the model may call.
#[derive(Clone)]
pub struct Tool {
    name: String,
    description: String,
    parameters: Value,
    run: Option<Arc<Run>>,
}

impl Tool {
    /// A tool that the chat runs by itself: `run` gets the arguments, a JSON object by the schema `parameters`, and
    /// its result is handed back to the model, which then goes on with its answer.
    pub fn new<F, R>(name: impl Into<String>, description: impl Into<String>, parameters: Value, run: F) -> Self
    where
        F: Fn(Value) -> R + Send + Sync + 'static,
        R: Future<Output = ToolResult> + Send + 'static,
    {
        let run: Arc<Run> = Arc::new(move |arguments| Box::pin(run(arguments)));
        Self { run: Some(run), ..Self::declared(name, description, parameters) }
    }

    /// A tool that is only told to the model. A call of it ends the turn with
    /// [`FinishReason::ToolCalls`](crate::FinishReason::ToolCalls); the application answers with
    /// [`Message::tool`](crate::Message::tool).
    pub fn declared(name: impl Into<String>, description: impl Into<String>, parameters: Value) -> Self {
        Self { name: name.into(), description: description.into(), parameters, run: None }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does, for the model to read.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The JSON Schema of its arguments.
    pub fn parameters(&self) -> &Value {
        &self.parameters
    }

    /// Whether the chat runs it.
    pub fn is_callable(&self) -> bool {
        self.run.is_some()
    }

    /// Runs it; none where it is only declared.
    pub(crate) fn run(&self, arguments: Value) -> Option<impl Future<Output = ToolResult> + Send + use<>> {
        self.run.as_ref().map(|run| run(arguments))
    }
}

impl fmt::Debug for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, description, parameters, run } = self;
        f.debug_struct("Tool")
            .field("name", name)
            .field("description", description)
            .field("parameters", parameters)
            .field("callable", &run.is_some())
            .finish()
    }
}

/// A JSON text with a space after each comma and colon. Models learn from texts that Python's `json.dumps` wrote, which
/// are spaced so, and a small one reads others worse.
pub(crate) fn spaced_json(value: &Value) -> String {
    struct Spaced;
    impl Formatter for Spaced {
        fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }

        fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }

        fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut text = Vec::new();
    // A value always serialises, to UTF-8, and writing to memory does not fail.
    let written = value.serialize(&mut Serializer::with_formatter(&mut text, Spaced)).ok();
    written.and_then(|()| String::from_utf8(text).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_are_spaced_as_python_writes_them() {
        let value = json!({"a": [1, 2.5, "x, y: z"], "b": {}, "c": null});
        assert_eq!(spaced_json(&value), r#"{"a": [1, 2.5, "x, y: z"], "b": {}, "c": null}"#);
    }
}
