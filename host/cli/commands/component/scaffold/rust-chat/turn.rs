//! One turn: the model's answer to the history's last messages.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::bindings::exports::wasmlx::runner::chat::Event;
use crate::bindings::wasmlx::runner::contexts::{Context, Finish, Generation, GenerationEvent};
use crate::bindings::wasmlx::runner::history;
use crate::bindings::wasmlx::runner::types::{Error, Message, Output, Part};

pub(crate) struct Turn {
    // Before the context, which it must not outlive: fields are dropped in this order.
    generation: Generation,
    _context: Rc<Context>,
    content: String,
    reasoning: String,
    /// Events that have happened and were not fetched yet.
    events: VecDeque<Event>,
    over: bool,
}

impl Turn {
    pub(crate) fn new(generation: Generation, context: Rc<Context>) -> Self {
        Self {
            generation,
            _context: context,
            content: String::new(),
            reasoning: String::new(),
            events: VecDeque::new(),
            over: false,
        }
    }

    pub(crate) fn next_batch(&mut self, max: u32) -> Result<Vec<Event>, Error> {
        if max == 0 {
            return Err(Error::InvalidInput("a batch has at least one event: none is the end".into()));
        }
        while self.events.is_empty() && !self.over {
            let batch = self.generation.next_batch(max)?;
            if batch.is_empty() {
                return Err(Error::ModelFailed("the answer broke off without a reason".into()));
            }
            batch.into_iter().try_for_each(|event| self.take(event))?;
        }
        let count = self.events.len().min(max as usize);
        Ok(self.events.drain(..count).collect())
    }

    fn take(&mut self, event: GenerationEvent) -> Result<(), Error> {
        match event {
            GenerationEvent::Output(Output::Content(text)) => {
                self.content.push_str(&text);
                self.events.push_back(Event::Content(text));
            }
            GenerationEvent::Output(Output::Reasoning(text)) => {
                self.reasoning.push_str(&text);
                self.events.push_back(Event::Reasoning(text));
            }
            // No tool was offered: what looks like a call of one is nothing to act on.
            GenerationEvent::Output(_) => {}
            GenerationEvent::Finished(finish) => self.finish(finish)?,
        }
        Ok(())
    }

    /// The answer is complete, or as complete as it gets: a cut one belongs in the history too, since it was shown.
    fn finish(&mut self, finish: Finish) -> Result<(), Error> {
        let text = std::mem::take(&mut self.content);
        history::append(&Message {
            role: "assistant".into(),
            content: if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] },
            reasoning: Some(std::mem::take(&mut self.reasoning)).filter(|reasoning| !reasoning.is_empty()),
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
        })?;
        self.events.extend([Event::Usage(finish.usage), Event::Done(finish.reason)]);
        self.over = true;
        Ok(())
    }
}
