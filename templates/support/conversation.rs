//! The parts of a conversation as chat templates of Hugging Face see them.

use crate::json::{Entries, Json};
use crate::{Conversation, Error, Message, Part, Tool, ToolCall};

/// The text of a message: all its parts together.
pub fn content(message: &Message) -> String {
    message.content.iter().map(|Part::Text(text)| text.as_str()).collect()
}

/// A tool as an object of type `function`.
///
/// # Errors
/// [`Error::InvalidInput`] where its parameters are not JSON.
pub fn tool(tool: &Tool) -> Result<Json, Error> {
    let parameters = match tool.parameters.trim() {
        "" => Json::object([]),
        parameters => Json::read(parameters).map_err(|error| {
            Error::InvalidInput(format!("the parameters of tool `{}` are not JSON: {error}", tool.name))
        })?,
    };
    let (name, description) = (tool.name.as_str().into(), tool.description.as_str().into());
    let function = Json::object([("name", name), ("description", description), ("parameters", parameters)]);
    Ok(Json::object([("type", "function".into()), ("function", function)]))
}

/// The arguments of a call. What a model wrote need not be JSON; then it is the text itself.
pub fn arguments(call: &ToolCall) -> Json {
    match call.arguments.trim() {
        "" => Json::object([]),
        arguments => Json::read(arguments).unwrap_or_else(|_| call.arguments.as_str().into()),
    }
}

/// The entries of a JSON object.
///
/// # Errors
/// [`Error::InvalidInput`] where the text, which the sentence calls `what`, is none.
pub fn object(text: &str, what: &str) -> Result<Entries, Error> {
    match Json::read(text) {
        Ok(Json::Object(entries)) => Ok(entries),
        Ok(_) => Err(Error::InvalidInput(format!("{what} must be a JSON object"))),
        Err(error) => Err(Error::InvalidInput(format!("{what} must be a JSON object: {error}"))),
    }
}

/// The options of a conversation, and apart from them the host's clock: `now`, seconds since 1970 in local time.
///
/// # Errors
/// [`Error::InvalidInput`] where they are no JSON object, or the clock is no number.
pub fn options(conversation: &Conversation) -> Result<(Entries, Option<i64>), Error> {
    let mut options = match conversation.options.trim() {
        "" => Vec::new(),
        text => object(text, "the template's options")?,
    };
    let Some(at) = options.iter().position(|(name, _)| name == "now") else { return Ok((options, None)) };
    let clock = match options.remove(at).1 {
        Json::Null => None,
        Json::Integer(seconds) => i64::try_from(seconds).ok(),
        Json::Float(seconds) => Some(seconds as i64),
        _ => return Err(Error::InvalidInput("the template's option `now` must be a number of seconds".to_owned())),
    };
    Ok((options, clock))
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
