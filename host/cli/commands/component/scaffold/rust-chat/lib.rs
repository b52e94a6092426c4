//! The plain loop: a turn renders the history through the session's template, lets the model answer, and streams the
//! answer as events. It offers the model no tools.

mod config;
mod turn;

mod bindings {
    use super::Component;
    wit_bindgen::generate!({ world: "chat-component", path: "wit" });
    export!(Component with_types_in self);
}

use std::cell::RefCell;
use std::rc::Rc;

use bindings::exports::wasmlx::runner::chat::{self, Event, Guest, GuestConversation, GuestTurn};
use bindings::wasmlx::runner::contexts::{self, Context};
use bindings::wasmlx::runner::types::{Conversation, Error, Saved};
use bindings::wasmlx::runner::{history, templates};
use config::Config;
use turn::Turn;

struct Component;

impl Guest for Component {
    type Conversation = Session;
    type Turn = RefCell<Turn>;
}

/// What lasts from turn to turn.
struct Session {
    config: Config,
    /// One context serves all turns: of a prompt that begins as the last one did, the host reads only what is new.
    context: RefCell<Option<Rc<Context>>>,
}

impl GuestConversation for Session {
    fn open(config: String) -> Result<chat::Conversation, Error> {
        let session = Self { config: Config::parse(&config)?, context: RefCell::new(None) };
        Ok(chat::Conversation::new(session))
    }

    fn send(&self) -> Result<chat::Turn, Error> {
        let prompt = templates::render(&Conversation {
            messages: history::messages(0),
            tools: Vec::new(),
            documents: Vec::new(),
            add_generation_prompt: true,
            options: self.config.options.clone(),
            context: None,
        })?;
        let mut context = self.context.borrow_mut();
        let context = match &mut *context {
            Some(context) => context,
            none => none.insert(Rc::new(contexts::open(None)?)),
        };
        context.prompt(&prompt)?;
        let generation = context.generate(&self.config.generate)?;
        Ok(chat::Turn::new(RefCell::new(Turn::new(generation, Rc::clone(context)))))
    }

    /// There is nothing to save: the host keeps the history.
    fn save(&self) -> Saved {
        Saved { version: 1, bytes: Vec::new() }
    }

    fn restore(config: String, saved: Saved) -> Result<chat::Conversation, Error> {
        match saved.version {
            1 => Self::open(config),
            other => Err(Error::InvalidInput(format!("this chat reads saved states of version 1, not {other}"))),
        }
    }
}

impl GuestTurn for RefCell<Turn> {
    fn next(&self) -> Result<Option<Event>, Error> {
        Ok(self.borrow_mut().next_batch(1)?.pop())
    }

    fn next_batch(&self, max: u32) -> Result<Vec<Event>, Error> {
        self.borrow_mut().next_batch(max)
    }
}
