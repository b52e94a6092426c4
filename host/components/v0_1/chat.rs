//! World `chat-component`: its export, interface `chat`.

use wasmtime::component::{Component, HasSelf, Linker};

use super::logging::{self, Logs};
use super::types::wit as types;
use crate::chat::ChatEvent;
use crate::chat_state::ChatState;
use crate::guest_log::GuestLog;

#[allow(unreachable_pub, reason = "generated")]
pub(crate) mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "chat-component",
        with: {
            "wasmlx:runner/types": crate::v0_1::types::wit,
            "wasmlx:runner/contexts.context": crate::chat_state::HeldContext,
            "wasmlx:runner/contexts.generation": crate::generation::HeldGeneration,
        },
        imports: { default: async | trappable | tracing },
        exports: { default: async },
    });
}

pub(crate) use bindings::ChatComponent as World;
pub(crate) use bindings::exports::wasmlx::runner::chat::Event;
use bindings::wasmlx::runner::{contexts, history, models, store, templates, tools};

pub(crate) type Linked = bindings::ChatComponentPre<ChatState>;

/// Links a chat: it gets models, contexts, the session's template, tools, the history, the store
/// and a log.
pub(crate) fn link(mut linker: Linker<ChatState>, code: &Component) -> wasmtime::Result<Linked> {
    models::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    contexts::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    templates::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    tools::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    history::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    store::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    logging::link(&mut linker)?;
    bindings::ChatComponentPre::new(linker.instantiate_pre(code)?)
}

impl types::Host for ChatState {}

impl Logs for ChatState {
    fn guest_log(&self) -> &GuestLog {
        &self.guest_log
    }
}

impl From<Event> for ChatEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Content(text) => Self::Content(text),
            Event::Reasoning(text) => Self::Reasoning(text),
            Event::ToolCall(call) => Self::ToolCall(call.into()),
            Event::ToolResult(result) => Self::ToolResult { id: result.id, result: result.result },
            Event::Usage(usage) => Self::Usage(usage.into()),
            Event::Done(reason) => Self::Done(reason.into()),
        }
    }
}
