//! Cases of chats: one turn each, with a script in the place of a model.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wasmlx_components::{ChatComponent, ChatEvent, ChatSession, Component, Message, MessageLog};

use super::case_host::CaseHost;
use super::{Case, CaseOutcome, field, lines, runtime};

pub(super) fn run(component: &Component, case: &Case) -> Result<CaseOutcome, String> {
    let config = Value::Object(field(case, "config")?.unwrap_or_default()).to_string();
    let log = MessageLog::new(field(case, "log")?.unwrap_or_default());
    let before = log.len();
    let host = Arc::new(CaseHost::new(component, case)?);
    let chat = ChatComponent::new(component).map_err(|error| error.to_string())?;

    let runtime = runtime()?;
    let session = ChatSession::start(runtime.handle(), chat, config, log.clone(), host.clone());
    let outcome = runtime.block_on(async {
        let mut turn = session.send(Vec::new());
        let mut events = Vec::new();
        while let Some(event) = turn.next().await {
            events.push(event_json(event.map_err(|error| error.to_string())?));
        }
        Ok(events)
    });

    let told = |events: &[Value], appended: &[Value]| lines(&json!({"events": events, "appended": appended}));
    let appended: Vec<Value> = log.messages().split_off(before.min(log.len())).iter().map(message_json).collect();
    if let Some(part) = field::<String>(case, "error")? {
        return Ok(CaseOutcome::of_error(&part, outcome.map(|events| told(&events, &appended))));
    }
    let wanted: Vec<Message> = field(case, "appended")?.unwrap_or_default();
    let wanted: Vec<Value> = wanted.iter().map(message_json).collect();
    let expected = told(&field::<Vec<Value>>(case, "events")?.unwrap_or_default(), &wanted);
    let got = match outcome {
        Ok(events) => told(&events, &appended),
        Err(error) => format!("error: {error}"),
    };
    Ok(CaseOutcome::of(expected, got).or(host.unasked()))
}

/// An event in the form that cases have.
fn event_json(event: ChatEvent) -> Value {
    match event {
        ChatEvent::Content(text) => json!({"content": text}),
        ChatEvent::Reasoning(text) => json!({"reasoning": text}),
        ChatEvent::ToolCall(call) => {
            json!({"tool_call": {"id": call.id, "name": call.name, "arguments": call.arguments}})
        }
        ChatEvent::ToolResult { id, result } => json!({"tool_result": {"id": id, "result": result}}),
        ChatEvent::Usage(usage) => json!({"usage": usage}),
        ChatEvent::Done(reason) => json!({"done": reason}),
    }
}

/// A message in the form that cases have: what is empty is left out.
fn message_json(message: &Message) -> Value {
    let mut object = Map::new();
    let mut insert = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(name.to_owned(), value);
        }
    };
    insert("role", Some(message.role.as_str().into()));
    let text = message.text();
    insert("content", (!text.is_empty()).then(|| text.into()));
    insert("reasoning", message.reasoning.clone().map(Value::from));
    let calls: Vec<Value> = message
        .tool_calls
        .iter()
        .map(|call| json!({"id": call.id, "name": call.name, "arguments": call.arguments}))
        .collect();
    insert("tool_calls", (!calls.is_empty()).then(|| calls.into()));
    insert("tool_call_id", message.tool_call_id.clone().map(Value::from));
    insert("name", message.name.clone().map(Value::from));
    Value::Object(object)
}
