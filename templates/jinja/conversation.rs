//! From a conversation to the context that transformers would build of it.

use serde_json::{Map, Value as Json, json};
use wasmlx_template_support::{Conversation, Message, Part, Tool, ToolCall};

use crate::error::{Error, ErrorKind, Result};

/// What the conversation itself puts into a context, where no option may stand.
const RESERVED: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];

/// The context of a conversation, options included; the special tokens are not among it.
pub(crate) fn context(conversation: &Conversation, options: Map<String, Json>) -> Result<Map<String, Json>> {
    // Special tokens are trusted text, and options are a caller's.
    if let Some(name) = options.keys().find(|name| RESERVED.contains(&name.as_str()) || name.ends_with("_token")) {
        return Err(Error::new(ErrorKind::Input, format!("`{name}` cannot be set by an option of a template")));
    }
    let mut context = options;
    let messages = conversation.messages.iter().map(message).collect();
    let tools = conversation.tools.iter().map(tool).collect::<Result<Vec<_>>>()?;
    let documents = conversation.documents.iter();
    let documents = documents.map(|document| json!({"title": document.title, "text": document.text})).collect();
    let or_none = |list: Vec<Json>| if list.is_empty() { Json::Null } else { Json::Array(list) };
    context.insert("messages".to_owned(), Json::Array(messages));
    context.insert("tools".to_owned(), or_none(tools));
    context.insert("documents".to_owned(), or_none(documents));
    context.insert("add_generation_prompt".to_owned(), Json::Bool(conversation.add_generation_prompt));
    Ok(context)
}

fn message(message: &Message) -> Json {
    let content: String = message.content.iter().map(|Part::Text(text)| text.as_str()).collect();
    let mut entries = Map::new();
    let mut set = |name: &str, value: Json| entries.insert(name.to_owned(), value);
    set("role", message.role.as_str().into());
    set("content", content.into());
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
    // What a model wrote as arguments need not be JSON; then the template sees the text itself.
    let arguments = match call.arguments.trim() {
        "" => json!({}),
        arguments => serde_json::from_str(arguments).unwrap_or_else(|_| call.arguments.as_str().into()),
    };
    json!({"type": "function", "id": call.id, "function": {"name": call.name, "arguments": arguments}})
}

fn tool(tool: &Tool) -> Result<Json> {
    let parameters: Json = match tool.parameters.trim() {
        "" => json!({}),
        parameters => serde_json::from_str(parameters).map_err(|error| {
            Error::new(ErrorKind::Input, format!("the parameters of tool `{}` are not JSON: {error}", tool.name))
        })?,
    };
    let function = json!({"name": tool.name, "description": tool.description, "parameters": parameters});
    Ok(json!({"type": "function", "function": function}))
}
