//! Interface `tools`: what the embedding application or the user gave the session.

use serde_json::json;
use wasmtime::Result;

use super::chat::bindings::wasmlx::runner::tools::{Host, Offered};
use super::types::wit;
use crate::OfferedTool;
use crate::chat_state::ChatState;
use crate::limits::check_json;

impl Host for ChatState {
    async fn list(&mut self) -> Result<Vec<Offered>> {
        let offered = |OfferedTool { tool, callable }| Offered { tool: wit::Tool::from(&tool), callable };
        Ok(self.enter().host.tools().into_iter().map(offered).collect())
    }

    async fn call(&mut self, name: String, arguments: String) -> Result<Result<String, wit::Error>> {
        let mut state = self.enter();
        let take = state.take("tools.call", || json!({"name": name, "arguments": arguments}))?;
        let result = match (take.given()?, check_json("the text of the arguments", arguments.len())) {
            (Some(result), _) => result,
            (None, Ok(())) => state.call_tool(name, arguments).await,
            (None, Err(error)) => Err(error),
        };
        take.keep(&result);
        Ok(state.answer(result))
    }
}
