//! From a conversation to the context that transformers would build of it.

use wasmlx_template_support::json::{Entries, Json};
use wasmlx_template_support::{Conversation, Error, Message, ToolCall, conversation};

/// What the conversation itself puts into a context, where no option may stand.
const RESERVED: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// The context of a conversation, options included; the special tokens are not among it.
pub(crate) fn context(given: &Conversation, options: Entries) -> Result<Entries, Error> {
    // Special tokens are trusted text, and options are a caller's.
    let reserved = |name: &str| RESERVED.contains(&name) || name.ends_with("_token");
    if let Some((name, _)) = options.iter().find(|(name, _)| reserved(name)) {
        return Err(Error::InvalidInput(format!("`{name}` cannot be set by an option of a template")));
    }
    let messages = given.messages.iter().map(message).collect();
    let tools = given.tools.iter().map(conversation::tool).collect::<Result<Vec<_>, _>>()?;
    let documents = given.documents.iter().map(|document| {
        Json::object([("title", document.title.as_str().into()), ("text", document.text.as_str().into())])
    });
    let or_null = |list: Vec<Json>| if list.is_empty() { Json::Null } else { Json::Array(list) };
    let own =
        [Json::Array(messages), or_null(tools), or_null(documents.collect()), Json::Bool(given.add_generation_prompt)];
    let own = RESERVED.into_iter().map(str::to_owned).zip(own);
    Ok(options.into_iter().chain(own).collect())
}

fn message(message: &Message) -> Json {
    let mut entries = Vec::new();
    let mut set = |name: &str, value: Json| entries.push((name.to_owned(), value));
    set("role", message.role.as_str().into());
    set("content", conversation::content(message).into());
    if let Some(reasoning) = &message.reasoning {
        // Templates read it under either name; transformers fills both.
        set("reasoning_content", reasoning.as_str().into());
        set("thinking", reasoning.as_str().into());
    }
    if !message.tool_calls.is_empty() {
        set("tool_calls", Json::Array(message.tool_calls.iter().map(tool_call).collect()));
    }
    if let Some(id) = &message.tool_call_id {
        set("tool_call_id", id.as_str().into());
    }
    if let Some(name) = &message.name {
        set("name", name.as_str().into());
    }
    Json::Object(entries)
}

fn tool_call(call: &ToolCall) -> Json {
    let name = call.name.as_str().into();
    let function = Json::object([("name", name), ("arguments", conversation::arguments(call))]);
    Json::object([("type", "function".into()), ("id", call.id.as_str().into()), ("function", function)])
}
