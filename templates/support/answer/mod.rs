//! Reads a model's answer as it streams in: what is content, what is reasoning, what is a call of a tool.
//!
//! A reader says a thing as soon as it is certain, whatever pieces the text comes in: it holds back only what may
//! still become a marker, white space that a marker may follow, and the start of a call until its name is known.

mod call;
mod markup;
mod parameters;

use std::rc::Rc;

use crate::{AnswerContext, Output, Tool};
use call::{CallReader, Progress};
use markup::{MarkupReader, Tags};

/// How a model marks the parts of its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// `<think>...</think>` before the answer.
    pub thinking: bool,
    /// What stands in `<tool_call>...</tool_call>`, where the model writes calls so.
    pub tagged_calls: Option<TaggedCall>,
    /// `<|python_tag|>{"name": ..., "parameters": {...}}`, or nothing but such objects, as Llama 3 writes calls.
    pub bare_calls: bool,
}

/// How a call is written between its tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaggedCall {
    /// `{"name": "f", "arguments": {"a": 1}}`, as by Hermes and Qwen3.
    Json,
    /// `<function=f><parameter=a>1</parameter></function>`, as by Qwen3-Coder and Nemotron 3.
    Function,
    /// `f<arg_key>a</arg_key><arg_value>1</arg_value>`, as by GLM-4.5.
    Keys,
}

const THINK: &str = "<think>";
const THINK_END: &str = "</think>";
const CALL: &str = "<tool_call>";
const CALL_END: &str = "</tool_call>";
const PYTHON_TAG: &str = "<|python_tag|>";

/// Where in the answer the text is.
#[derive(Debug)]
enum State {
    /// Before anything but white space.
    Start,
    Content,
    Reasoning {
        /// Nothing but white space so far.
        empty: bool,
    },
    Call(Call),
    /// Behind a tagged call, before its closing tag.
    CallEnd,
    /// Behind a bare call, before the next one, if any.
    NextCall,
}

/// A call that is being read, in whichever way it is written.
#[derive(Debug)]
enum Call {
    Json(CallReader),
    Markup(MarkupReader),
}

impl Call {
    fn bare(marker: &str) -> Call {
        Call::Json(CallReader::bare(marker))
    }

    fn tagged(written: TaggedCall, tools: &Rc<[Tool]>) -> Call {
        let markup = |tags| Call::Markup(MarkupReader::new(tags, CALL, CALL_END, Rc::clone(tools)));
        match written {
            TaggedCall::Json => Call::Json(CallReader::tagged(CALL)),
            TaggedCall::Function => markup(Tags::Function),
            TaggedCall::Keys => markup(Tags::Keys),
        }
    }

    fn is_bare(&self) -> bool {
        matches!(self, Call::Json(call) if call.is_bare())
    }

    fn read(&mut self, text: &str, outputs: &mut Vec<Output>) -> Progress {
        match self {
            Call::Json(call) => call.read(text, outputs),
            Call::Markup(call) => call.read(text, outputs),
        }
    }

    fn abandon(&mut self, outputs: &mut Vec<Output>) -> Option<String> {
        match self {
            Call::Json(call) => call.abandon(outputs),
            Call::Markup(call) => call.abandon(outputs),
        }
    }
}

/// Reads one answer.
#[derive(Debug)]
pub struct AnswerReader {
    format: Format,
    /// The tools that the model was offered.
    tools: Rc<[Tool]>,
    /// The prompt ends within `<think>`, so that the answer begins there.
    starts_thinking: bool,
    state: State,
    /// Text that is not understood yet.
    pending: String,
    /// White space that is said only if more of the same part follows it.
    space: String,
    /// Whether white space at the start of what follows is left out, since a marker stands before it.
    after_marker: bool,
}

impl AnswerReader {
    /// Reads an answer of a model that marks it this way, to a prompt of which the context tells. Of a model that was
    /// offered no tools everything that looks like a call is content.
    pub fn new(format: Format, answer: &AnswerContext) -> AnswerReader {
        let format = match answer.tools.is_empty() {
            false => format,
            true => Format { thinking: format.thinking, ..Format::default() },
        };
        let starts_thinking = format.thinking && answer.prompt_end.trim_end().ends_with(THINK);
        AnswerReader::at_start(format, answer.tools.clone().into(), starts_thinking)
    }

    fn at_start(format: Format, tools: Rc<[Tool]>, starts_thinking: bool) -> AnswerReader {
        let state = match starts_thinking {
            true => State::Reasoning { empty: true },
            false => State::Start,
        };
        let (pending, space) = (String::new(), String::new());
        AnswerReader { format, tools, starts_thinking, state, pending, space, after_marker: starts_thinking }
    }

    /// The next piece of the text: what it makes certain.
    pub fn push(&mut self, text: &str) -> Vec<Output> {
        self.pending.push_str(text);
        let mut outputs = Vec::new();
        while self.step(false, &mut outputs) {}
        merge(outputs)
    }

    /// The text is at its end: what was held back.
    pub fn finish(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        while self.step(true, &mut outputs) {}
        if let State::Call(call) = &mut self.state {
            match call.abandon(&mut outputs) {
                Some(text) => self.say_content(&text, &mut outputs),
                None => self.space.clear(),
            }
        }
        let ends_in_content = matches!(self.state, State::Start | State::Content | State::Call(_));
        if ends_in_content && !self.after_marker && !self.space.is_empty() {
            outputs.push(Output::Content(std::mem::take(&mut self.space)));
        }
        *self = AnswerReader::at_start(self.format, Rc::clone(&self.tools), self.starts_thinking);
        merge(outputs)
    }

    /// Understands some of the pending text; whether there may be more to understand. With `all`, no text follows.
    fn step(&mut self, all: bool, outputs: &mut Vec<Output>) -> bool {
        match &mut self.state {
            State::Start => self.start(all),
            State::Content => self.content(all, outputs),
            State::Reasoning { .. } => self.reasoning(all, outputs),
            State::Call(call) => {
                let text = std::mem::take(&mut self.pending);
                match call.read(&text, outputs) {
                    Progress::More => return false,
                    Progress::Done(rest) => {
                        self.pending = rest;
                        self.state = if call.is_bare() { State::NextCall } else { State::CallEnd };
                    }
                    Progress::Malformed(said, rest) => {
                        self.pending = rest;
                        self.state = State::Content;
                        self.say_content(&said, outputs);
                    }
                }
                true
            }
            State::CallEnd => self.expect(all, &[CALL_END], ""),
            State::NextCall => self.expect(all, &["{"], ";"),
        }
    }

    /// Before the answer proper: which kind it is.
    fn start(&mut self, all: bool) -> bool {
        let text = self.pending.trim_start();
        let space = self.pending.len() - text.len();
        let mut openings = Vec::new();
        if self.format.thinking {
            openings.push(THINK);
        }
        if self.format.bare_calls {
            openings.push("{");
        }
        let opening = openings.iter().find(|opening| text.starts_with(**opening));
        if opening.is_none() && !all && openings.iter().any(|opening| opening.starts_with(text)) {
            return false;
        }
        match opening.copied() {
            Some(THINK) => {
                self.pending.drain(..space + THINK.len());
                self.state = State::Reasoning { empty: true };
                self.after_marker = true;
            }
            Some(_) => {
                self.space.extend(self.pending.drain(..space));
                self.state = State::Call(Call::bare(""));
            }
            None => self.state = State::Content,
        }
        true
    }

    fn content(&mut self, all: bool, outputs: &mut Vec<Output>) -> bool {
        let mut markers = Vec::new();
        if self.format.tagged_calls.is_some() {
            markers.push(CALL);
        }
        if self.format.bare_calls {
            markers.push(PYTHON_TAG);
        }
        let found = markers.iter().filter_map(|marker| Some((self.pending.find(marker)?, *marker))).min();
        let Some((at, marker)) = found else {
            let certain = if all { self.pending.len() } else { certain(&self.pending, &markers) };
            let text: String = self.pending.drain(..certain).collect();
            self.say_content(&text, outputs);
            return false;
        };
        let text: String = self.pending.drain(..at).collect();
        self.say_content(&text, outputs);
        self.pending.drain(..marker.len());
        self.state = State::Call(match self.format.tagged_calls {
            Some(written) if marker == CALL => Call::tagged(written, &self.tools),
            _ => Call::bare(marker),
        });
        true
    }

    fn reasoning(&mut self, all: bool, outputs: &mut Vec<Output>) -> bool {
        let State::Reasoning { empty } = &mut self.state else { return false };
        if *empty {
            // A model that was put inside `<think>` may open it once more.
            let text = self.pending.trim_start();
            if !all && (text.is_empty() || (THINK.starts_with(text) && text.len() < THINK.len())) {
                return false;
            }
            if self.starts_thinking && text.starts_with(THINK) {
                self.pending = text[THINK.len()..].to_owned();
            }
            *empty = false;
        }
        let (certain, ends) = match self.pending.find(THINK_END) {
            Some(at) => (at, true),
            None if all => (self.pending.len(), false),
            None => (certain(&self.pending, &[THINK_END]), false),
        };
        let text: String = self.pending.drain(..certain).collect();
        self.say(&text, Output::Reasoning, outputs);
        if ends {
            self.pending.drain(..THINK_END.len());
            self.marker(State::Content);
        }
        ends
    }

    /// Behind a call: white space, perhaps separators, then one of the markers, or else content.
    fn expect(&mut self, all: bool, markers: &[&str], separators: &str) -> bool {
        let text = self.pending.trim_start_matches(|c: char| c.is_whitespace() || separators.contains(c));
        let marker = markers.iter().find(|marker| text.starts_with(**marker));
        if marker.is_none() && !all && markers.iter().any(|marker| marker.starts_with(text)) {
            return false;
        }
        match marker.copied() {
            Some("{") => {
                self.pending = text.to_owned();
                self.state = State::Call(Call::bare(""));
            }
            Some(marker) => {
                self.pending = text[marker.len()..].to_owned();
                self.marker(State::Content);
            }
            None => self.marker(State::Content),
        }
        true
    }

    /// Passes a marker.
    fn marker(&mut self, state: State) {
        self.state = state;
        self.space.clear();
        self.after_marker = true;
    }

    fn say_content(&mut self, text: &str, outputs: &mut Vec<Output>) {
        self.say(text, Output::Content, outputs);
    }

    /// Says a text, but for white space at its end; what was held back of such before comes first.
    fn say(&mut self, text: &str, output: fn(String) -> Output, outputs: &mut Vec<Output>) {
        let kept = text.trim_end();
        if !kept.is_empty() {
            let space = std::mem::take(&mut self.space);
            match std::mem::take(&mut self.after_marker) {
                true => outputs.push(output(kept.trim_start().to_owned())),
                false => outputs.push(output(space + kept)),
            }
        }
        self.space.push_str(&text[kept.len()..]);
    }
}

/// How much of a text cannot be the start of a marker.
fn certain(text: &str, markers: &[&str]) -> usize {
    let is_start = |at: &usize| markers.iter().any(|marker| marker.starts_with(&text[*at..]));
    text.char_indices().map(|(at, _)| at).filter(|at| text.as_bytes()[*at] == b'<').find(is_start).unwrap_or(text.len())
}

/// Neighbours of one kind as one, and nothing empty.
pub(crate) fn merge(outputs: Vec<Output>) -> Vec<Output> {
    let mut merged: Vec<Output> = Vec::new();
    for output in outputs {
        match (merged.last_mut(), output) {
            (Some(Output::Content(text)), Output::Content(more))
            | (Some(Output::Reasoning(text)), Output::Reasoning(more))
            | (Some(Output::ToolCallArguments(text)), Output::ToolCallArguments(more)) => text.push_str(&more),
            (_, Output::Content(text) | Output::Reasoning(text) | Output::ToolCallArguments(text))
                if text.is_empty() => {}
            (_, output) => merged.push(output),
        }
    }
    merged
}
