//! A chat that answers from documents.
//!
//! Whether a model looks something up is its own choice, and a small one often does not. Here the chat looks up each
//! question with the tool `search` before the model sees it, as if the model had called it: the call and its result go
//! into the log, and the answer comes after them. The model may search again with words of its own.
//!
//! What is found stays in the log, so later questions are answered with it in view, and the prompt of each begins as
//! the last one did.

mod messages;
mod turn;

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::Component;
    wit_bindgen::generate!({ world: "chat-component", path: "../../../wit" });
    export!(Component with_types_in self);
}

use std::cell::RefCell;
use std::rc::Rc;

use bindings::exports::wasmlx::runner::chat::{
    Conversation, Event, Guest, GuestConversation, GuestTurn, Turn as TurnHandle,
};
use bindings::wasmlx::runner::contexts::Context;
use bindings::wasmlx::runner::types::{Error, Saved};
use serde_json::Value;
use turn::Turn;

/// Of what [`GuestConversation::save`] gives, which is nothing: all that lasts is in the log.
const VERSION: u32 = 1;

struct Component;

/// What lasts from turn to turn.
pub(crate) struct Session {
    /// Of templates, as JSON.
    options: String,
    /// One context serves all turns: of a prompt that begins as the last one did, the host reads only what is new.
    context: RefCell<Option<Rc<Context>>>,
}

impl Guest for Component {
    type Conversation = Rc<Session>;
    type Turn = RefCell<Turn>;
}

impl GuestConversation for Rc<Session> {
    fn open(config: String) -> Result<Conversation, Error> {
        let wrong = |why: String| Error::InvalidInput(format!("the configuration is no JSON object: {why}"));
        let options = match serde_json::from_str(&config) {
            Ok(Value::Object(mut config)) => config.remove("options").map(|options| options.to_string()),
            Ok(other) => return Err(wrong(other.to_string())),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let session = Session { options: options.unwrap_or_default(), context: RefCell::new(None) };
        Ok(Conversation::new(Rc::new(session)))
    }

    fn send(&self) -> Result<TurnHandle, Error> {
        Turn::begin(Self::clone(self)).map(|turn| TurnHandle::new(RefCell::new(turn)))
    }

    fn save(&self) -> Saved {
        Saved { version: VERSION, bytes: Vec::new() }
    }

    fn restore(config: String, saved: Saved) -> Result<Conversation, Error> {
        match (saved.version, saved.bytes.is_empty()) {
            (VERSION, true) => Self::open(config),
            _ => Err(Error::InvalidInput("this is no saved state of the retrieval chat, version 1".into())),
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
