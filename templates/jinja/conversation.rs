//! From a conversation to the context that transformers would build of it.

use serde_json::{Map, Value as Json, json};
use wasmlx_template_support::{Conversation, Error, Message, ToolCall, conversation};

/// What the conversation itself puts into a context, where no option may stand.
const RESERVED: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// The context of a conversation, options included; the special tokens are not among it.
pub(crate) fn context(given: &Conversation, options: Map<String, Json>) -> Result<Map<String, Json>, Error> {
    // Special tokens are trusted text, and options are a caller's.
    if let Some(name) = options.keys().find(|name| RESERVED.contains(&name.as_str()) || name.ends_with("_token")) {
        return Err(Error::InvalidInput(format!("`{name}` cannot be set by an option of a template")));
    }
    let mut context = options;
    let messages = given.messages.iter().map(message).collect();
    let tools = given.tools.iter().map(conversation::tool).collect::<Result<Vec<_>, _>>()?;
    let documents = given.documents.iter();
    let documents = documents.map(|document| json!({"title": document.title, "text": document.text})).collect();
    let or_none = |list: Vec<Json>| if list.is_empty() { Json::Null } else { Json::Array(list) };
    context.insert("messages".to_owned(), Json::Array(messages));
    context.insert("tools".to_owned(), or_none(tools));
    context.insert("documents".to_owned(), or_none(documents));
    context.insert("add_generation_prompt".to_owned(), Json::Bool(given.add_generation_prompt));
    Ok(context)
}

fn message(message: &Message) -> Json {
    let mut entries = Map::new();
    let mut set = |name: &str, value: Json| entries.insert(name.to_owned(), value);
    set("role", message.role.as_str().into());
    set("content", conversation::content(message).into());
    if let Some(reasoning) = &message.reasoning {
        // Templates read it under either name; transformers fills both.
        set("reasoning_content", reasoning.as_str().into());
        set("thinking", reasoning.as_str().into());
    }
    if !message.tool_calls.is_empty() {
        set("tool_calls", message.tool_calls.iter().map(tool_call).collect());
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
    let function = json!({"name": call.name, "arguments": conversation::arguments(call)});
    json!({"type": "function", "id": call.id, "function": function})
}
