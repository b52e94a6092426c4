//! The parts of a conversation as chat templates of Hugging Face see them.

use serde_json::{Map, Value, json};

use crate::{Conversation, Error, Message, Part, Tool, ToolCall};

/// The text of a message: all its parts together.
pub fn content(message: &Message) -> String {
    message.content.iter().map(|Part::Text(text)| text.as_str()).collect()
}

/// A tool as an object of type `function`.
///
/// # Errors
/// [`Error::InvalidInput`] where its parameters are not JSON.
pub fn tool(tool: &Tool) -> Result<Value, Error> {
    let parameters: Value = match tool.parameters.trim() {
        "" => json!({}),
        parameters => serde_json::from_str(parameters).map_err(|error| {
            Error::InvalidInput(format!("the parameters of tool `{}` are not JSON: {error}", tool.name))
        })?,
    };
    let function = json!({"name": tool.name, "description": tool.description, "parameters": parameters});
    Ok(json!({"type": "function", "function": function}))
}

/// The arguments of a call. What a model wrote need not be JSON; then it is the text itself.
pub fn arguments(call: &ToolCall) -> Value {
    match call.arguments.trim() {
        "" => json!({}),
        arguments => serde_json::from_str(arguments).unwrap_or_else(|_| call.arguments.as_str().into()),
    }
}

/// The options of a conversation.
///
/// # Errors
/// [`Error::InvalidInput`] where they are no JSON object.
pub fn options(conversation: &Conversation) -> Result<Map<String, Value>, Error> {
    match conversation.options.trim() {
        "" => Ok(Map::new()),
        options => serde_json::from_str(options)
            .map_err(|error| Error::InvalidInput(format!("the template's options are no JSON object: {error}"))),
    }
}

/// Takes the host's clock out of the options: `now`, seconds since 1970 in local time.
///
/// # Errors
/// [`Error::InvalidInput`] where it is no number.
pub fn take_clock(options: &mut Map<String, Value>) -> Result<Option<i64>, Error> {
    match options.shift_remove("now") {
        None | Some(Value::Null) => Ok(None),
        Some(now) => match now.as_i64().or_else(|| now.as_f64().map(|seconds| seconds as i64)) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(Error::InvalidInput("the template's option `now` must be a number of seconds".to_owned())),
        },
    }
}

/// That a conversation holds nothing that a template of one fixed format cannot write.
///
/// # Errors
/// [`Error::InvalidInput`] for a raw context, or for documents.
pub fn check_plain(conversation: &Conversation) -> Result<(), Error> {
    let refused = if conversation.context.is_some() {
        "a raw context"
    } else if !conversation.documents.is_empty() {
        "documents"
    } else {
        return Ok(());
    };
    Err(Error::InvalidInput(format!("this template takes no {refused}: use the model's own, by the jinja template")))
}
