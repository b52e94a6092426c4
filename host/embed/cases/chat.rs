//! Cases of chats: one turn each, with a script in the place of a model.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use wasmlx_components::{
    BoxFuture, ChatComponent, ChatEvent, ChatHost, ChatSession, Component, ComponentError, ComponentErrorKind,
    FinishReason, GenerateOptions, Message, MessageLog, OfferedTool, Output, Round, Script, TemplateSetup, Tool, Usage,
};
use wasmlx_engine::{GenerateRequest, Model};

use super::{Case, CaseOutcome, field, lines};

pub(super) fn run(component: &Component, case: &Case) -> Result<CaseOutcome, String> {
    let config = Value::Object(field(case, "config")?.unwrap_or_default()).to_string();
    let log = MessageLog::new(field(case, "log")?.unwrap_or_default());
    let before = log.len();
    let host = Arc::new(CaseHost::new(component, case)?);
    let chat = ChatComponent::new(component).map_err(|error| error.to_string())?;

    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|error| error.to_string())?;
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
    if expected == got && host.script.left() > 0 {
        let asked = |rounds| format!("{rounds} rounds of the script are left");
        return Ok(CaseOutcome::Failed { expected: asked(0), got: asked(host.script.left()) });
    }
    Ok(CaseOutcome::of(expected, got))
}

/// Serves a chat from what its case says.
struct CaseHost {
    script: Script,
    tools: Vec<OfferedTool>,
    results: Mutex<HashMap<String, VecDeque<CallResult>>>,
    template: Arc<TemplateSetup>,
}

#[derive(Deserialize)]
struct RoundOfCase {
    #[serde(default)]
    outputs: Vec<Output>,
    #[serde(default = "stop")]
    finish: FinishReason,
    #[serde(default)]
    usage: Usage,
}

fn stop() -> FinishReason {
    FinishReason::Stop
}

#[derive(Deserialize)]
struct ToolOfCase {
    #[serde(flatten)]
    tool: Tool,
    #[serde(default)]
    callable: bool,
}

/// What a call of a tool answers.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum CallResult {
    Ok(String),
    Error(String),
    Cancelled(String),
}

impl CaseHost {
    fn new(component: &Component, case: &Case) -> Result<Self, String> {
        let rounds: Vec<RoundOfCase> = field(case, "script")?.unwrap_or_default();
        let round = |RoundOfCase { outputs, finish, usage }| Round { outputs, finish, usage };
        let tools: Vec<ToolOfCase> = field(case, "tools")?.unwrap_or_default();
        let tool = |ToolOfCase { tool, callable }| OfferedTool { tool, callable };
        Ok(Self {
            script: Script::new(rounds.into_iter().map(round)),
            tools: tools.into_iter().map(tool).collect(),
            results: Mutex::new(field(case, "results")?.unwrap_or_default()),
            // A script renders nothing, so this is never instantiated.
            template: Arc::new(TemplateSetup { component: component.clone(), config: String::new() }),
        })
    }

    fn result(&self, name: &str) -> Result<String, ComponentError> {
        let error = |kind, message: String| Err(ComponentError::new(kind, "", message));
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        match results.get_mut(name).and_then(VecDeque::pop_front) {
            Some(CallResult::Ok(result)) => Ok(result),
            Some(CallResult::Error(message)) => error(ComponentErrorKind::InvalidInput, message),
            Some(CallResult::Cancelled(message)) => error(ComponentErrorKind::Cancelled, message),
            None => error(ComponentErrorKind::NotFound, format!("the case has no result for this call of {name}")),
        }
    }
}

impl ChatHost for CaseHost {
    fn models(&self) -> Vec<Model> {
        Vec::new()
    }

    fn template(&self) -> Arc<TemplateSetup> {
        Arc::clone(&self.template)
    }

    fn request(&self, _: &Model, _: &GenerateOptions) -> Result<GenerateRequest, ComponentError> {
        Ok(GenerateRequest::default())
    }

    fn tools(&self) -> Vec<OfferedTool> {
        self.tools.clone()
    }

    fn call_tool(&self, name: String, _: String) -> BoxFuture<Result<String, ComponentError>> {
        Box::pin(std::future::ready(self.result(&name)))
    }

    fn script(&self) -> Option<&Script> {
        Some(&self.script)
    }
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
