//! The messages of a chat, which the host owns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Message;

/// The messages of a session, oldest first. Clones are the same log, so it outlives the chat component, a swap of it
/// and the session itself.
#[derive(Debug, Clone, Default)]
pub struct MessageLog(Arc<Mutex<Vec<Message>>>);

impl MessageLog {
    /// A log that begins with these.
    pub fn new(messages: Vec<Message>) -> Self {
        Self(Arc::new(Mutex::new(messages)))
    }

    /// All of them.
    pub fn messages(&self) -> Vec<Message> {
        self.lock().clone()
    }

    /// Those from a place on; 0 is the oldest.
    pub fn messages_from(&self, start: usize) -> Vec<Message> {
        self.lock().get(start..).unwrap_or_default().to_vec()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one.
    pub fn push(&self, message: Message) {
        self.lock().push(message);
    }

    /// Adds some; returns how many there were before.
    pub fn extend(&self, messages: Vec<Message>) -> usize {
        let mut log = self.lock();
        let before = log.len();
        log.extend(messages);
        before
    }

    /// Forgets all but the first `len`.
    pub fn truncate(&self, len: usize) {
        self.lock().truncate(len);
    }

    /// Takes out all but the first `len`.
    pub fn split_off(&self, len: usize) -> Vec<Message> {
        let mut log = self.lock();
        let len = len.min(log.len());
        log.split_off(len)
    }

    /// Puts others in their place.
    pub fn replace(&self, messages: Vec<Message>) {
        *self.lock() = messages;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Message>> {
        // Each method leaves a whole list behind, even where it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
