//! What a chat needs of its surroundings, and the world's imports as such.

use crate::bindings::wasmlx::runner::contexts::{self, GenerateOptions, GenerationEvent};
use crate::bindings::wasmlx::runner::tools::{self, Offered};
use crate::bindings::wasmlx::runner::types::{Conversation, Error, Message, Segment};
use crate::bindings::wasmlx::runner::{history, templates};

/// The session that the chat runs in.
pub(crate) trait Host {
    type Context: Context;

    /// An empty context of the model that the user chose.
    fn open(&self) -> Result<Self::Context, Error>;
    fn render(&self, conversation: &Conversation) -> Result<Vec<Segment>, Error>;
    fn tools(&self) -> Vec<Offered>;
    /// Runs a tool; arguments and result are JSON texts.
    fn call(&self, name: &str, arguments: &str) -> Result<String, Error>;
    /// The session's messages, those of this turn included.
    fn messages(&self) -> Vec<Message>;
    fn append(&self, message: &Message) -> Result<(), Error>;
}

/// A text that a model has read.
pub(crate) trait Context {
    type Generation: Generation;

    /// Makes it hold this prompt, and lets the model go on with it.
    fn answer(&self, prompt: &[Segment], options: &GenerateOptions) -> Result<Self::Generation, Error>;
}

/// An answer on its way.
pub(crate) trait Generation {
    /// Waits for one event and takes what else is there.
    fn next_batch(&self, max: u32) -> Result<Vec<GenerationEvent>, Error>;
}

/// The imports of the world.
pub(crate) struct Imports;

impl Host for Imports {
    type Context = contexts::Context;

    fn open(&self) -> Result<contexts::Context, Error> {
        contexts::open(None)
    }

    fn render(&self, conversation: &Conversation) -> Result<Vec<Segment>, Error> {
        templates::render(conversation)
    }

    fn tools(&self) -> Vec<Offered> {
        tools::list()
    }

    fn call(&self, name: &str, arguments: &str) -> Result<String, Error> {
        tools::call(name, arguments)
    }

    fn messages(&self) -> Vec<Message> {
        history::messages(0)
    }

    fn append(&self, message: &Message) -> Result<(), Error> {
        history::append(message)
    }
}

impl Context for contexts::Context {
    type Generation = contexts::Generation;

    fn answer(&self, prompt: &[Segment], options: &GenerateOptions) -> Result<contexts::Generation, Error> {
        self.prompt(prompt)?;
        self.generate(options)
    }
}

impl Generation for contexts::Generation {
    fn next_batch(&self, max: u32) -> Result<Vec<GenerationEvent>, Error> {
        self.next_batch(max)
    }
}
