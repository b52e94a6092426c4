//! The messages of a chat, which the host owns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Message, Part, ToolCall};

/// The messages of a session, oldest first. Clones are the same log, so it outlives the chat component, a swap of it
/// and the session itself.
#[derive(Debug, Clone, Default)]
pub struct MessageLog(Arc<Mutex<History>>);

#[derive(Debug, Default)]
struct History {
    messages: Vec<Message>,
    /// What they take of the host's memory, about.
    bytes: usize,
}

impl MessageLog {
    /// A log that begins with these.
    pub fn new(messages: Vec<Message>) -> Self {
        Self(Arc::new(Mutex::new(History::of(messages))))
    }

    /// All of them.
    pub fn messages(&self) -> Vec<Message> {
        self.lock().messages.clone()
    }

    /// Those from a place on; 0 is the oldest.
    pub fn messages_from(&self, start: usize) -> Vec<Message> {
        self.lock().messages.get(start..).unwrap_or_default().to_vec()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// What they take of the host's memory, about, in bytes.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds one.
    pub fn push(&self, message: Message) {
        self.extend(vec![message]);
    }

    /// Adds some; returns how many there were before.
    pub fn extend(&self, messages: Vec<Message>) -> usize {
        let mut log = self.lock();
        let before = log.messages.len();
        log.bytes += bytes_of_all(&messages);
        log.messages.extend(messages);
        before
    }

    /// Forgets all but the first `len`.
    pub fn truncate(&self, len: usize) {
        drop(self.split_off(len));
    }

    /// Takes out all but the first `len`.
    pub fn split_off(&self, len: usize) -> Vec<Message> {
        let mut log = self.lock();
        let len = len.min(log.messages.len());
        let rest = log.messages.split_off(len);
        log.bytes -= bytes_of_all(&rest);
        rest
    }

    /// Puts others in their place.
    pub fn replace(&self, messages: Vec<Message>) {
        *self.lock() = History::of(messages);
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        // Each method leaves a whole history behind, even where it panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    fn of(messages: Vec<Message>) -> Self {
        let bytes = bytes_of_all(&messages);
        Self { messages, bytes }
    }
}

fn bytes_of_all(messages: &[Message]) -> usize {
    messages.iter().map(bytes_of).sum()
}

/// What a message takes of the host's memory, about.
pub(crate) fn bytes_of(message: &Message) -> usize {
    let Message { role, content, reasoning, tool_calls, tool_call_id, name } = message;
    let texts = content.iter().map(|Part::Text(text)| text.len() + size_of::<Part>());
    let calls = tool_calls
        .iter()
        .map(|ToolCall { id, name, arguments }| id.len() + name.len() + arguments.len() + size_of::<ToolCall>());
    let optional = [reasoning, tool_call_id, name].into_iter().flatten().map(String::len);
    size_of::<Message>() + role.len() + texts.chain(calls).chain(optional).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_bytes_are_those_of_its_messages() {
        let log = MessageLog::new(vec![Message::user("one")]);
        let one = log.bytes();
        assert!(one > "one".len());
        log.push(Message::user("two"));
        assert_eq!(log.bytes(), 2 * one);
        log.truncate(5);
        assert_eq!(log.split_off(1).len(), 1);
        assert_eq!(log.bytes(), one);
        log.replace(Vec::new());
        assert_eq!(log.bytes(), 0);
    }
}
