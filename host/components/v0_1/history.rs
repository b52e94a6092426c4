//! Interface `history`: the session's messages.

use wasmtime::Result;

use super::chat::bindings::wasmlx::runner::history::Host;
use super::types::{all, count, wit};
use crate::chat_state::ChatState;

impl Host for ChatState {
    async fn length(&mut self) -> Result<u32> {
        Ok(count(self.enter().log.len()))
    }

    async fn messages(&mut self, start: u32) -> Result<Vec<wit::Message>> {
        Ok(all(self.enter().log.messages_from(start as usize)))
    }

    async fn append(&mut self, message: wit::Message) -> Result<Result<(), wit::Error>> {
        let mut state = self.enter();
        let appended = state.append(message.into());
        Ok(state.answer(appended))
    }
}
