//! Cases of chats: one turn each, with a script in the place of a model.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wasmlx_components::{ChatComponent, ChatEvent, ChatSession, Component, Message, MessageLog};
use wasmlx_engine::CancelToken;

use super::case_host::CaseHost;
use super::{Case, CaseOutcome, block_on, field, lines, refuse_beside_error, refuse_unknown, runtime};

const FIELDS: [&str; 10] =
    ["name", "config", "log", "tools", "results", "script", "now", "events", "appended", "error"];

pub(super) fn run(
    component: &Component,
    case: &Case,
    mended: &mut Case,
    cancel: &CancelToken,
) -> Result<CaseOutcome, String> {
    refuse_unknown("it", case, &FIELDS)?;
    refuse_beside_error(case, &["events", "appended"])?;
    if !["events", "error"].into_iter().any(|name| case.contains_key(name)) {
        return Err("it has neither `events` nor `error`".to_owned());
    }
    let host = Arc::new(CaseHost::scripted(component, case)?);
    // The log has what the turn answers.
    let outcome = turns(component, case, &host, vec![Vec::new()], cancel)?.remove(0);
    let told = |events: &[Value], appended: &[Value]| lines(&json!({"events": events, "appended": appended}));
    if let Some(part) = field::<String>(case, "error")? {
        let got = outcome.error.map_or_else(|| Ok(told(&outcome.events, &outcome.appended)), Err);
        return Ok(CaseOutcome::of_error(&part, got, mended));
    }
    let wanted: Vec<Message> = field(case, "appended")?.unwrap_or_default();
    let wanted: Vec<Value> = wanted.iter().map(message_json).collect();
    let expected = told(&field::<Vec<Value>>(case, "events")?.unwrap_or_default(), &wanted);
    let got = match outcome.error {
        None => told(&outcome.events, &outcome.appended),
        Some(error) => return Ok(CaseOutcome::Failed { expected, got: format!("error: {error}") }),
    };
    if expected != got {
        mended.insert("events".to_owned(), outcome.events.into());
        mended.insert("appended".to_owned(), outcome.appended.into());
    }
    Ok(CaseOutcome::of(expected, got).or(host.unasked()))
}

/// What a recorded chat says: its `turns`, a user's text each, and what comes of them.
pub(super) fn perform(
    component: &Component,
    run: &Case,
    host: &Arc<CaseHost>,
    cancel: &CancelToken,
) -> Result<Value, String> {
    let texts: Vec<String> = field(run, "turns")?.unwrap_or_default();
    if texts.is_empty() {
        return Err("`run` has no `turns`".to_owned());
    }
    let messages = texts.into_iter().map(|text| vec![Message::user(text)]).collect();
    let turns = turns(component, run, host, messages, cancel)?;
    let turn = |TurnOutcome { events, appended, error }| match error {
        None => json!({"events": events, "appended": appended}),
        Some(error) => json!({"events": events, "error": error}),
    };
    Ok(json!({"turns": turns.into_iter().map(turn).collect::<Vec<_>>()}))
}

/// What a turn comes to: its events, and the messages that the component added.
struct TurnOutcome {
    events: Vec<Value>,
    appended: Vec<Value>,
    error: Option<String>,
}

/// Runs turns of one conversation, each with its new messages, up to the first that fails.
fn turns(
    component: &Component,
    case: &Case,
    host: &Arc<CaseHost>,
    turns: Vec<Vec<Message>>,
    cancel: &CancelToken,
) -> Result<Vec<TurnOutcome>, String> {
    let config = Value::Object(field(case, "config")?.unwrap_or_default()).to_string();
    let log = MessageLog::new(field(case, "log")?.unwrap_or_default());
    let chat = ChatComponent::new(component).map_err(|error| error.to_string())?;
    let runtime = runtime()?;
    let session = ChatSession::start(runtime.handle(), chat, config, log.clone(), host.clone());
    let mut outcomes = Vec::new();
    for new in turns {
        let before = log.len() + new.len();
        let (mut events, mut error) = (Vec::new(), None);
        block_on(&runtime, cancel, async {
            let mut turn = session.send(new);
            while let Some(event) = turn.next().await {
                match event {
                    Ok(event) => events.push(event_json(event)),
                    Err(failed) => error = Some(failed.to_string()),
                }
            }
            // What a component saves after its turn it may ask the host for.
            let _ = session.save().await;
        })?;
        let appended = log.messages().split_off(before.min(log.len())).iter().map(message_json).collect();
        let failed = error.is_some();
        outcomes.push(TurnOutcome { events, appended, error });
        if failed {
            break;
        }
    }
    Ok(outcomes)
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
