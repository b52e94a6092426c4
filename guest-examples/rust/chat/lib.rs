//! The chat component in use where the user names none: the plain loop.
//!
//! A turn renders the log through the session's template, lets the model answer, and streams the answer as events.
//! Where the answer calls tools that can be run, it runs them, appends their results and asks again; calls of the
//! caller's own tools are handed back. What this file does not show is in `turn.rs`, which knows its surroundings
//! only as the traits of `host.rs`: there they are the imports of the world, in tests a script.

mod answer;
mod config;
mod host;
#[cfg(test)]
mod script;
mod session;
#[cfg(test)]
mod tests;
mod turn;

mod bindings {
    #![allow(unsafe_code, missing_docs, unreachable_pub)]
    use super::Component;
    wit_bindgen::generate!({
        world: "chat-component",
        path: "../../../wit",
        additional_derives: [PartialEq],
    });
    export!(Component with_types_in self);
}

use std::cell::RefCell;
use std::rc::Rc;

use bindings::exports::wasmlx::runner::chat::{
    Conversation, Event, Guest, GuestConversation, GuestTurn, Turn as TurnHandle,
};
use bindings::wasmlx::runner::types::{Error, Saved};
use host::Imports;
use session::Session;
use turn::Turn;

struct Component;

impl Guest for Component {
    type Conversation = Rc<Session<Imports>>;
    type Turn = RefCell<Turn<Imports>>;
}

impl GuestConversation for Rc<Session<Imports>> {
    fn open(config: String) -> Result<Conversation, Error> {
        Session::open(Imports, &config).map(|session| Conversation::new(Rc::new(session)))
    }

    fn send(&self) -> Result<TurnHandle, Error> {
        Turn::begin(self).map(|turn| TurnHandle::new(RefCell::new(turn)))
    }

    fn save(&self) -> Saved {
        Session::save(self)
    }

    fn restore(config: String, saved: Saved) -> Result<Conversation, Error> {
        Session::restore(Imports, &config, &saved).map(|session| Conversation::new(Rc::new(session)))
    }
}

impl GuestTurn for RefCell<Turn<Imports>> {
    fn next(&self) -> Result<Option<Event>, Error> {
        self.borrow_mut().next()
    }

    fn next_batch(&self, max: u32) -> Result<Vec<Event>, Error> {
        self.borrow_mut().next_batch(max)
    }
}
