//! One turn: the model's answers to the log's last messages, and the tools that it calls meanwhile.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;

use crate::answer::{Answer, tool_message};
use crate::bindings::exports::wasmlx::runner::chat::{Event, ToolResult};
use crate::bindings::wasmlx::runner::contexts::{Finish, GenerationEvent};
use crate::bindings::wasmlx::runner::tools::Offered;
use crate::bindings::wasmlx::runner::types::{Conversation, Error, FinishReason, Message, Tool, ToolCall, Usage};
use crate::host::{Context, Generation, Host};
use crate::session::Session;

pub(crate) struct Turn<H: Host> {
    // Before the session, whose context a generation must not outlive: fields are dropped in this order.
    stage: Stage<H>,
    session: Rc<Session<H>>,
    /// Keeps other turns out; given back at the end.
    admission: Option<Rc<()>>,
    offered: Vec<Offered>,
    /// Events that have happened and were not fetched yet.
    events: VecDeque<Event>,
    /// Answers begun.
    rounds: u32,
    /// Of all answers.
    usage: Usage,
}

type GenerationOf<H> = <<H as Host>::Context as Context>::Generation;

/// What a turn does next.
enum Stage<H: Host> {
    /// Give the log to the model.
    Asking,
    /// Read its answer.
    Answering(GenerationOf<H>, Answer),
    /// Run the calls that the answer made, one at a time.
    Calling(VecDeque<ToolCall>),
    Over,
}

impl<H: Host> Turn<H> {
    pub(crate) fn begin(session: &Rc<Session<H>>) -> Result<Self, Error> {
        Ok(Self {
            stage: Stage::Asking,
            session: session.clone(),
            admission: Some(session.admit()?),
            offered: session.host.tools(),
            events: VecDeque::new(),
            rounds: 0,
            usage: Usage { prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0 },
        })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Event>, Error> {
        Ok(self.next_batch(1)?.pop())
    }

    pub(crate) fn next_batch(&mut self, max: u32) -> Result<Vec<Event>, Error> {
        if max == 0 {
            return Err(Error::InvalidInput("no events are the end of a turn: ask for one at least".into()));
        }
        while self.events.is_empty() && !matches!(self.stage, Stage::Over) {
            self.advance(max)?;
        }
        let count = self.events.len().min(max as usize);
        Ok(self.events.drain(..count).collect())
    }

    /// Does one thing that may wait. An error ends the turn.
    fn advance(&mut self, max: u32) -> Result<(), Error> {
        let stage = mem::replace(&mut self.stage, Stage::Over);
        let next = match stage {
            Stage::Asking => self.ask(),
            Stage::Answering(generation, answer) => self.read(generation, answer, max),
            Stage::Calling(calls) => self.call(calls),
            Stage::Over => Ok(Stage::Over),
        };
        if matches!(next, Ok(Stage::Over) | Err(_)) {
            self.admission = None;
        }
        self.stage = next?;
        Ok(())
    }

    fn ask(&mut self) -> Result<Stage<H>, Error> {
        let Session { host, context, config, .. } = &*self.session;
        let messages = host.messages();
        self.session.skip_call_ids(&messages);
        let tools: Vec<Tool> = self.offered.iter().map(|offered| offered.tool.clone()).collect();
        let prompt = host.render(&Conversation {
            messages,
            tools: tools.clone(),
            documents: Vec::new(),
            add_generation_prompt: true,
            options: serde_json::Value::from(config.options.clone()).to_string(),
            context: None,
        })?;
        let mut context = context.borrow_mut();
        let context = match &mut *context {
            Some(context) => context,
            none => none.insert(host.open()?),
        };
        self.rounds += 1;
        let options = config.generate_options(tools);
        Ok(Stage::Answering(context.answer(&prompt, &options)?, Answer::default()))
    }

    fn read(&mut self, generation: GenerationOf<H>, mut answer: Answer, max: u32) -> Result<Stage<H>, Error> {
        let batch = generation.next_batch(max)?;
        if batch.is_empty() {
            return Err(Error::ModelFailed("the answer broke off without a reason".into()));
        }
        for event in batch {
            match event {
                GenerationEvent::Output(output) => {
                    self.events.extend(answer.push(output, || self.session.new_call_id()));
                }
                GenerationEvent::Finished(finish) => return self.finish(answer, finish),
            }
        }
        Ok(Stage::Answering(generation, answer))
    }

    /// The answer is complete, or as complete as it gets: a cut one belongs in the log as well, since it was shown.
    fn finish(&mut self, answer: Answer, finish: Finish) -> Result<Stage<H>, Error> {
        self.count(finish.usage);
        let message = answer.into_message();
        self.session.host.append(&message)?;
        match finish.reason {
            FinishReason::Stop | FinishReason::ToolCalls if !message.tool_calls.is_empty() => {
                if self.may_run(&message) {
                    return Ok(Stage::Calling(message.tool_calls.into()));
                }
                Ok(self.end(FinishReason::ToolCalls))
            }
            reason => Ok(self.end(reason)),
        }
    }

    /// Whether the turn goes on with the message's calls; else all of them are the caller's.
    fn may_run(&self, message: &Message) -> bool {
        let rounds_left = self.rounds < self.session.config.max_rounds;
        // A tool that does not exist is run, too, where others are: the model learns so and may do better.
        let any_callable = self.offered.iter().any(|offered| offered.callable);
        let callable = |call: &ToolCall| {
            let offered = self.offered.iter().find(|offered| offered.tool.name == call.name);
            offered.map_or(any_callable, |offered| offered.callable)
        };
        rounds_left && message.tool_calls.iter().all(callable)
    }

    fn call(&mut self, mut calls: VecDeque<ToolCall>) -> Result<Stage<H>, Error> {
        let Some(call) = calls.pop_front() else { return Ok(Stage::Asking) };
        match self.session.host.call(&call.name, &call.arguments) {
            Ok(result) => self.answer_call(&call, result)?,
            Err(Error::Cancelled(why)) => {
                // A call without an answer would spoil the log for the next turn.
                for call in [call].into_iter().chain(calls) {
                    self.answer_call(&call, why.clone())?;
                }
                return Ok(self.end(FinishReason::Cancelled));
            }
            // The model can often do something about it, so it is told.
            Err(error) => self.answer_call(&call, sentence(error))?,
        }
        Ok(Stage::Calling(calls))
    }

    fn answer_call(&mut self, call: &ToolCall, result: String) -> Result<(), Error> {
        self.session.host.append(&tool_message(call, result.clone()))?;
        self.events.push_back(Event::ToolResult(ToolResult { id: call.id.clone(), result }));
        Ok(())
    }

    fn end(&mut self, reason: FinishReason) -> Stage<H> {
        self.events.extend([Event::Usage(self.usage), Event::Done(reason)]);
        Stage::Over
    }

    fn count(&mut self, usage: Usage) {
        self.usage.prompt_tokens += usage.prompt_tokens;
        self.usage.cached_tokens += usage.cached_tokens;
        self.usage.completion_tokens += usage.completion_tokens;
    }
}

fn sentence(error: Error) -> String {
    match error {
        Error::InvalidInput(sentence)
        | Error::NotFound(sentence)
        | Error::Denied(sentence)
        | Error::Cancelled(sentence)
        | Error::Deadline(sentence)
        | Error::OutOfMemory(sentence)
        | Error::ContextFull(sentence)
        | Error::ModelFailed(sentence)
        | Error::Busy(sentence)
        | Error::ComponentFailed(sentence)
        | Error::Other(sentence) => sentence,
    }
}
