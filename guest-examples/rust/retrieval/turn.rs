//! One turn: a search, the answer, and searches that the model asks for meanwhile.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;

use serde_json::json;

use crate::Session;
use crate::bindings::exports::wasmlx::runner::chat::{Event, ToolResult};
use crate::bindings::wasmlx::runner::contexts::{self, Finish, GenerateOptions, Generation, GenerationEvent};
use crate::bindings::wasmlx::runner::types::{
    Conversation, Error, FinishReason, Message, Output, Tool, ToolCall, Usage,
};
use crate::bindings::wasmlx::runner::{history, templates, tools};
use crate::messages::{assistant, found, next_call, question};

/// The tool that searches.
const SEARCH: &str = "search";

/// The most answers of a turn: the last one is given without the tool, so that it is one.
const ROUNDS: u32 = 3;

pub(crate) struct Turn {
    // Before the session, whose context a generation must not outlive: fields are dropped in this order.
    stage: Stage,
    session: Rc<Session>,
    search: Tool,
    rounds: u32,
    usage: Usage,
    /// Events that have happened and were not fetched yet.
    events: VecDeque<Event>,
}

/// What a turn does next.
enum Stage {
    Searching(VecDeque<ToolCall>),
    Asking,
    Answering(Generation, Answer),
    Over,
}

/// An answer as far as it has come.
#[derive(Default)]
struct Answer {
    text: String,
    reasoning: String,
    calls: Vec<ToolCall>,
}

impl Turn {
    /// Begins with a search for what the user said.
    pub(crate) fn begin(session: Rc<Session>) -> Result<Self, Error> {
        let offered = tools::list().into_iter().find(|offered| offered.callable && offered.tool.name == SEARCH);
        let search = offered.ok_or_else(|| {
            Error::NotFound("this chat answers from documents: give it a tool `search` with a parameter `query`".into())
        })?;
        let log = history::messages(0);
        let query = question(&log).ok_or_else(|| Error::InvalidInput("nobody has asked anything yet".into()))?;
        let arguments = json!({"query": query}).to_string();
        let call = ToolCall { id: format!("call_{}", next_call(&log)), name: SEARCH.into(), arguments };
        history::append(&assistant(String::new(), String::new(), vec![call.clone()]))?;
        Ok(Self {
            events: VecDeque::from([Event::ToolCall(call.clone())]),
            stage: Stage::Searching(VecDeque::from([call])),
            session,
            search: search.tool,
            rounds: 0,
            usage: Usage { prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0 },
        })
    }

    pub(crate) fn next_batch(&mut self, max: u32) -> Result<Vec<Event>, Error> {
        if max == 0 {
            return Err(Error::InvalidInput("no events are the end of a turn: ask for one at least".into()));
        }
        while self.events.is_empty() && !matches!(self.stage, Stage::Over) {
            // An error ends the turn.
            self.stage = match mem::replace(&mut self.stage, Stage::Over) {
                Stage::Searching(calls) => self.search(calls)?,
                Stage::Asking => self.ask()?,
                Stage::Answering(generation, answer) => self.read(generation, answer, max)?,
                Stage::Over => Stage::Over,
            };
        }
        let count = self.events.len().min(max as usize);
        Ok(self.events.drain(..count).collect())
    }

    fn search(&mut self, mut calls: VecDeque<ToolCall>) -> Result<Stage, Error> {
        let Some(call) = calls.pop_front() else { return Ok(Stage::Asking) };
        let result = match tools::call(&call.name, &call.arguments) {
            Ok(result) => result,
            // A model that searched wrongly may do better. But an answer without documents is none of this chat's.
            Err(Error::InvalidInput(why)) if self.rounds > 0 => json!({"error": why}).to_string(),
            Err(error) => return Err(error),
        };
        history::append(&found(&call, result.clone()))?;
        self.events.push_back(Event::ToolResult(ToolResult { id: call.id, result }));
        Ok(Stage::Searching(calls))
    }

    fn ask(&mut self) -> Result<Stage, Error> {
        self.rounds += 1;
        let prompt = templates::render(&Conversation {
            messages: history::messages(0),
            tools: vec![self.search.clone()],
            documents: Vec::new(),
            add_generation_prompt: true,
            options: self.session.options.clone(),
            context: None,
        })?;
        let mut kept = self.session.context.borrow_mut();
        let context = match &*kept {
            Some(context) => Rc::clone(context),
            None => Rc::clone(kept.insert(Rc::new(contexts::open(None)?))),
        };
        context.prompt(&prompt)?;
        let tools = if self.rounds < ROUNDS { vec![self.search.clone()] } else { Vec::new() };
        let options = GenerateOptions { max_tokens: None, stops: Vec::new(), seed: None, tools, grammar: None };
        Ok(Stage::Answering(context.generate(&options)?, Answer::default()))
    }

    fn read(&mut self, generation: Generation, mut answer: Answer, max: u32) -> Result<Stage, Error> {
        for event in generation.next_batch(max)? {
            match event {
                GenerationEvent::Finished(finish) => return self.finish(answer, &finish),
                GenerationEvent::Output(Output::Content(text)) => {
                    answer.text.push_str(&text);
                    self.events.push_back(Event::Content(text));
                }
                GenerationEvent::Output(Output::Reasoning(text)) => {
                    answer.reasoning.push_str(&text);
                    self.events.push_back(Event::Reasoning(text));
                }
                GenerationEvent::Output(Output::ToolCallStart(name)) => {
                    answer.calls.push(ToolCall { id: String::new(), name, arguments: String::new() });
                }
                GenerationEvent::Output(Output::ToolCallArguments(text)) => {
                    if let Some(call) = answer.calls.last_mut() {
                        call.arguments.push_str(&text);
                    }
                }
                // Only a call that ended has an id.
                GenerationEvent::Output(Output::ToolCallEnd) => {
                    let number = next_call(&history::messages(0)) + answer.calls.len() - 1;
                    if let Some(call) = answer.calls.last_mut() {
                        call.id = format!("call_{number}");
                        self.events.push_back(Event::ToolCall(call.clone()));
                    }
                }
            }
        }
        Ok(Stage::Answering(generation, answer))
    }

    fn finish(&mut self, mut answer: Answer, Finish { reason, usage }: &Finish) -> Result<Stage, Error> {
        self.usage.prompt_tokens += usage.prompt_tokens;
        self.usage.cached_tokens += usage.cached_tokens;
        self.usage.completion_tokens += usage.completion_tokens;
        answer.calls.retain(|call| !call.id.is_empty());
        let message: Message = assistant(answer.text, answer.reasoning, answer.calls);
        history::append(&message)?;
        if matches!(reason, FinishReason::Stop | FinishReason::ToolCalls) && !message.tool_calls.is_empty() {
            return Ok(Stage::Searching(message.tool_calls.into()));
        }
        self.events.extend([Event::Usage(self.usage), Event::Done(*reason)]);
        Ok(Stage::Over)
    }
}
