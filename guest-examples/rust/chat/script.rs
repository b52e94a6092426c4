//! A host that plays a case: its model says what the script says. guest-examples/README.md describes the format.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use serde_json::{Value, json};

use crate::bindings::exports::wasmlx::runner::chat::Event;
use crate::bindings::wasmlx::runner::contexts::{Finish, GenerateOptions, GenerationEvent};
use crate::bindings::wasmlx::runner::tools::Offered;
use crate::bindings::wasmlx::runner::types::{
    Conversation, Error, FinishReason, Message, Output, Part, Segment, Tool, ToolCall, Usage,
};
use crate::host::{Context, Generation, Host};

type ToolResult = Result<String, Error>;

/// What a case gives the chat, and what the chat did.
#[derive(Default)]
pub(crate) struct Script {
    tools: Vec<Offered>,
    /// By tool, what its calls answer.
    results: RefCell<HashMap<String, VecDeque<ToolResult>>>,
    answers: RefCell<VecDeque<Vec<GenerationEvent>>>,
    pub(crate) log: RefCell<Vec<Message>>,
    pub(crate) rendered: RefCell<Vec<Conversation>>,
    pub(crate) generated: RefCell<Vec<GenerateOptions>>,
    pub(crate) opened: Cell<u32>,
}

impl Script {
    pub(crate) fn of(case: &Value) -> Rc<Self> {
        let results = case["results"].as_object().into_iter().flatten();
        Rc::new(Self {
            tools: list(&case["tools"]).iter().map(offered).collect(),
            results: RefCell::new(
                results.map(|(tool, results)| (tool.clone(), list(results).iter().map(result).collect())).collect(),
            ),
            answers: RefCell::new(list(&case["script"]).iter().map(answer).collect()),
            log: RefCell::new(list(&case["log"]).iter().map(message).collect()),
            ..Self::default()
        })
    }
}

impl Host for Rc<Script> {
    type Context = Self;

    fn open(&self) -> Result<Self, Error> {
        self.opened.set(self.opened.get() + 1);
        Ok(self.clone())
    }

    fn render(&self, conversation: &Conversation) -> Result<Vec<Segment>, Error> {
        self.rendered.borrow_mut().push(conversation.clone());
        Ok(Vec::new())
    }

    fn tools(&self) -> Vec<Offered> {
        self.tools.clone()
    }

    fn call(&self, name: &str, _arguments: &str) -> Result<String, Error> {
        let mut results = self.results.borrow_mut();
        results.get_mut(name).and_then(VecDeque::pop_front).expect("the script has a result for each call")
    }

    fn messages(&self) -> Vec<Message> {
        self.log.borrow().clone()
    }

    fn append(&self, message: &Message) -> Result<(), Error> {
        self.log.borrow_mut().push(message.clone());
        Ok(())
    }
}

impl Context for Rc<Script> {
    type Generation = RefCell<VecDeque<GenerationEvent>>;

    fn answer(&self, _prompt: &[Segment], options: &GenerateOptions) -> Result<Self::Generation, Error> {
        self.generated.borrow_mut().push(options.clone());
        match self.answers.borrow_mut().pop_front() {
            Some(answer) => Ok(RefCell::new(answer.into())),
            None => Err(Error::ModelFailed("the script is at its end".into())),
        }
    }
}

impl Generation for RefCell<VecDeque<GenerationEvent>> {
    fn next_batch(&self, max: u32) -> Result<Vec<GenerationEvent>, Error> {
        let mut events = self.borrow_mut();
        let count = events.len().min(max as usize);
        Ok(events.drain(..count).collect())
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

fn offered(tool: &Value) -> Offered {
    let (name, description) = (text(&tool["name"]), text(&tool["description"]));
    let parameters = tool["parameters"].to_string();
    Offered { tool: Tool { name, description, parameters }, callable: tool["callable"] == true }
}

fn result(result: &Value) -> ToolResult {
    match (&result["ok"], &result["error"], &result["cancelled"]) {
        (Value::String(text), _, _) => Ok(text.clone()),
        (_, Value::String(why), _) => Err(Error::InvalidInput(why.clone())),
        (_, _, why) => Err(Error::Cancelled(text(why))),
    }
}

fn answer(round: &Value) -> Vec<GenerationEvent> {
    let reason = match round["finish"].as_str() {
        None | Some("stop") => FinishReason::Stop,
        Some("length") => FinishReason::Length,
        Some("tool_calls") => FinishReason::ToolCalls,
        Some("cancelled") => FinishReason::Cancelled,
        Some("none") => return Vec::new(),
        Some(other) => panic!("no reason to finish: {other}"),
    };
    let count = |name: &str| round["usage"][name].as_u64().unwrap_or(0) as u32;
    let usage = Usage {
        prompt_tokens: count("prompt_tokens"),
        cached_tokens: count("cached_tokens"),
        completion_tokens: count("completion_tokens"),
    };
    let outputs = list(&round["outputs"]).iter().map(|output| GenerationEvent::Output(self::output(output)));
    outputs.chain([GenerationEvent::Finished(Finish { reason, usage })]).collect()
}

fn output(output: &Value) -> Output {
    let Some((kind, value)) = output.as_object().and_then(|fields| fields.iter().next()) else {
        assert_eq!(output, "tool_call_end");
        return Output::ToolCallEnd;
    };
    match kind.as_str() {
        "content" => Output::Content(text(value)),
        "reasoning" => Output::Reasoning(text(value)),
        "tool_call_start" => Output::ToolCallStart(text(value)),
        "tool_call_arguments" => Output::ToolCallArguments(text(value)),
        other => panic!("no output: {other}"),
    }
}

fn message(message: &Value) -> Message {
    let optional = |name: &str| message[name].as_str().map(String::from);
    Message {
        role: text(&message["role"]),
        content: optional("content").into_iter().map(Part::Text).collect(),
        reasoning: optional("reasoning"),
        tool_calls: list(&message["tool_calls"])
            .iter()
            .map(|call| ToolCall {
                id: text(&call["id"]),
                name: text(&call["name"]),
                arguments: text(&call["arguments"]),
            })
            .collect(),
        tool_call_id: optional("tool_call_id"),
        name: optional("name"),
    }
}

/// As a case writes it.
pub(crate) fn event_json(event: &Event) -> Value {
    match event {
        Event::Content(text) => json!({ "content": text }),
        Event::Reasoning(text) => json!({ "reasoning": text }),
        Event::ToolCall(call) => json!({ "tool_call": call_json(call) }),
        Event::ToolResult(answer) => json!({ "tool_result": { "id": answer.id, "result": answer.result } }),
        Event::Usage(usage) => json!({ "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
        } }),
        Event::Done(reason) => json!({ "done": match reason {
            FinishReason::Stop => "stop",
            FinishReason::Length => "length",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::Cancelled => "cancelled",
        } }),
    }
}

/// As a case writes it: what is empty is left out.
pub(crate) fn message_json(message: &Message) -> Value {
    let mut fields = json!({ "role": message.role });
    for Part::Text(text) in &message.content {
        fields["content"] = json!(text);
    }
    if !message.tool_calls.is_empty() {
        fields["tool_calls"] = message.tool_calls.iter().map(call_json).collect();
    }
    let optional =
        [("reasoning", &message.reasoning), ("tool_call_id", &message.tool_call_id), ("name", &message.name)];
    for (name, value) in optional {
        if let Some(value) = value {
            fields[name] = json!(value);
        }
    }
    fields
}

fn call_json(call: &ToolCall) -> Value {
    json!({ "id": call.id, "name": call.name, "arguments": call.arguments })
}
