//! Reads a model's answer as it streams in: what is content, what is reasoning, what is a call of a tool.
//!
//! Text is said as soon as it is certain. Held back are what may still become a marker, white space that a marker may
//! follow, and a call until its closing tag.

use std::mem;

use serde_json::Value;

use crate::bindings::wasmlx::runner::types::{AnswerContext, Output};
use crate::json;

const THINK: &str = "<think>";
const THINK_END: &str = "</think>";
const CALL: &str = "<tool_call>";
const CALL_END: &str = "</tool_call>";

/// The reader of one answer.
pub(crate) struct Answer {
    state: State,
    /// Whether the model was offered tools. Where it was not, nothing is a call.
    tools: bool,
    /// Text that is not understood yet.
    pending: String,
    /// White space that is said only if more of the same part follows it.
    space: String,
    /// Whether white space at the start of what follows is left out, since a marker stands before it.
    after_marker: bool,
    outputs: Vec<Output>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Before anything but white space.
    Start,
    Reasoning,
    Content,
    Call,
}

impl Answer {
    /// Reads the answer to a prompt of which the context tells.
    pub(crate) fn new(context: &AnswerContext) -> Self {
        let is_open = context.prompt_end.trim_end().ends_with(THINK);
        Self {
            state: if is_open { State::Reasoning } else { State::Start },
            tools: !context.tools.is_empty(),
            pending: String::new(),
            space: String::new(),
            after_marker: is_open,
            outputs: Vec::new(),
        }
    }

    /// The next piece of the text: what it makes certain.
    pub(crate) fn push(&mut self, text: &str) -> Vec<Output> {
        self.pending.push_str(text);
        while self.step() {}
        mem::take(&mut self.outputs)
    }

    /// The text is at its end: what was held back.
    pub(crate) fn finish(&mut self) -> Vec<Output> {
        if self.state == State::Call {
            // It never ended, so it was none.
            self.state = State::Content;
            self.say(CALL);
        }
        let rest = mem::take(&mut self.pending);
        self.say(&rest);
        if self.state != State::Reasoning && !self.after_marker && !self.space.is_empty() {
            self.outputs.push(Output::Content(mem::take(&mut self.space)));
        }
        mem::take(&mut self.outputs)
    }

    /// Understands some of the pending text; whether there may be more to understand.
    fn step(&mut self) -> bool {
        match self.state {
            State::Start => {
                let text = self.pending.trim_start();
                if let Some(rest) = text.strip_prefix(THINK) {
                    self.pending = rest.to_owned();
                    self.pass_marker(State::Reasoning);
                    return true;
                }
                if THINK.starts_with(text) {
                    return false;
                }
                self.state = State::Content;
                true
            }
            State::Reasoning => {
                let found = self.say_until(THINK_END);
                if found {
                    self.pass_marker(State::Content);
                }
                found
            }
            State::Content if !self.tools => {
                let pending = mem::take(&mut self.pending);
                self.say(&pending);
                false
            }
            State::Content => {
                let found = self.say_until(CALL);
                if found {
                    self.state = State::Call;
                }
                found
            }
            State::Call => {
                let Some(end) = self.pending.find(CALL_END) else { return false };
                let written: String = self.pending.drain(..end + CALL_END.len()).collect();
                self.state = State::Content;
                if !self.say_call(&written[..end]) {
                    self.say(CALL);
                    self.say(&written);
                }
                true
            }
        }
    }

    /// Says a call, from the JSON object between its tags; false, and nothing said, where it is none.
    fn say_call(&mut self, written: &str) -> bool {
        let Ok(call) = json::parse(written) else { return false };
        let Some(Value::String(name)) = call.get("name") else { return false };
        let arguments = match call.get("arguments") {
            None => "{}".to_owned(),
            // Some models write the arguments as a string that holds JSON.
            Some(Value::String(text)) => text.clone(),
            Some(arguments) => json::dumps(arguments),
        };
        self.outputs.push(Output::ToolCallStart(name.clone()));
        self.outputs.push(Output::ToolCallArguments(arguments));
        self.outputs.push(Output::ToolCallEnd);
        self.pass_marker(State::Content);
        true
    }

    /// White space around a marker counts for nothing.
    fn pass_marker(&mut self, state: State) {
        self.state = state;
        self.space.clear();
        self.after_marker = true;
    }

    /// Says what stands before a marker and passes it, if it is there; else says what is certain.
    fn say_until(&mut self, marker: &str) -> bool {
        let mut pending = mem::take(&mut self.pending);
        let found = pending.find(marker);
        let said = found.unwrap_or_else(|| {
            let held = (0..marker.len()).rev().find(|&length| pending.ends_with(&marker[..length]));
            pending.len() - held.unwrap_or(0)
        });
        self.say(&pending[..said]);
        pending.drain(..said + if found.is_some() { marker.len() } else { 0 });
        self.pending = pending;
        found.is_some()
    }

    /// Says a text, but for white space at its end; what was held back of such before comes first.
    fn say(&mut self, text: &str) {
        let kept = text.trim_end();
        if !kept.is_empty() {
            let space = mem::take(&mut self.space);
            let said = if mem::take(&mut self.after_marker) { kept.trim_start().to_owned() } else { space + kept };
            self.outputs.push(match self.state {
                State::Reasoning => Output::Reasoning(said),
                _ => Output::Content(said),
            });
        }
        self.space.push_str(&text[kept.len()..]);
    }
}
