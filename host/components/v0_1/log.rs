//! Interface `log`: the session's messages.

use wasmtime::Result;

use super::chat::bindings::wasmlx::runner::log::Host;
use super::types::{all, wit};
use crate::chat_state::ChatState;

impl Host for ChatState {
    async fn messages(&mut self) -> Result<Vec<wit::Message>> {
        Ok(all(self.enter().log.messages()))
    }

    async fn append(&mut self, message: wit::Message) -> Result<()> {
        Ok(self.enter().append(message.into())?)
    }
}
