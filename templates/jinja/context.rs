//! What a template is given: JSON, whose every string is the caller's, but for the model's own tokens.

use wasmlx_template_support::json::Json;

use crate::text::{Origin, Text};
use crate::value::{Dict, Value};

/// Roles that templates know. A template may build a marker from one (`'<|' + message.role + '|>'`), and that
/// must come out as the model was trained on it. So a role that is exactly one of these words counts as the
/// template's own: which of a fixed list of words stands there is all that the caller decides.
const ROLES: [&str; 12] = [
    "assistant",
    "context",
    "critic",
    "developer",
    "documents",
    "function",
    "ipython",
    "model",
    "observation",
    "system",
    "tool",
    "user",
];

/// A JSON value of the caller's.
pub(crate) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Integer(value) => Value::Int(*value),
        Json::Float(value) => Value::Float(*value),
        Json::String(text) => Value::caller(text),
        Json::Array(items) => Value::list(items.iter().map(value).collect()),
        Json::Object(entries) => dict(entries, |_, json| value(json)),
    }
}

fn dict(entries: &[(String, Json)], value: impl Fn(&str, &Json) -> Value) -> Value {
    let mut dict = Dict::default();
    for (key, json) in entries {
        dict.insert_text(Text::new(key, Origin::Caller), value(key, json));
    }
    Value::dict(dict)
}

/// A variable of the context. The special tokens of the model (`bos_token` and the like) are the template's text:
/// those of `tokens`, and not what a caller may put under such a name.
pub(crate) fn variable(name: &str, json: &Json, tokens: &[(String, Json)]) -> Value {
    let is_token = || tokens.iter().any(|(known, token)| known == name && token == json);
    match json {
        Json::String(token) if is_token() => Value::template(token),
        Json::Array(messages) if name == "messages" => Value::list(messages.iter().map(message).collect()),
        _ => value(json),
    }
}

fn message(json: &Json) -> Value {
    let Json::Object(entries) = json else { return value(json) };
    dict(entries, |key, json| {
        let known_role = json.as_str().filter(|role| key == "role" && ROLES.contains(role));
        known_role.map_or_else(|| value(json), Value::template)
    })
}
