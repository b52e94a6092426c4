//! World `agent`: what a chat imports, interfaces `console` and `key-value`, and WASI.

use wasmtime::Result;
use wasmtime::component::{Component, HasSelf, Linker};

use super::chat::bindings::wasmlx::runner as chat;
use super::logging;
use super::types::wit;
use crate::ComponentError;
use crate::agent::{AgentState, Space};
use crate::chat_state::{ChatState, blocking};
use bindings::wasmlx::runner::{console, key_value};

/// The part of world `agent` that is not bound elsewhere: the rest is a chat's, or WASI's.
#[allow(unreachable_pub, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package wasmlx:host;
            world agent {
                use wasmlx:runner/types@0.1.0.{error};
                import wasmlx:runner/console@0.1.0;
                import wasmlx:runner/key-value@0.1.0;
                export run: func(args: list<string>) -> result<_, error>;
            }
        ",
        world: "wasmlx:host/agent",
        with: { "wasmlx:runner/types": crate::v0_1::types::wit },
        imports: { default: async | trappable | tracing },
        exports: { default: async },
    });
}

pub(crate) type Linked = bindings::AgentPre<AgentState>;

/// Links an agent. All that its world has is there, whatever is granted: what is not answers an error, or is empty.
pub(crate) fn link(mut linker: Linker<AgentState>, code: &Component) -> Result<Linked> {
    let l = &mut linker;
    let session: fn(&mut AgentState) -> &mut ChatState = |state| &mut state.session;
    chat::models::add_to_linker::<_, HasSelf<_>>(l, session)?;
    chat::contexts::add_to_linker::<_, HasSelf<_>>(l, session)?;
    chat::templates::add_to_linker::<_, HasSelf<_>>(l, session)?;
    chat::tools::add_to_linker::<_, HasSelf<_>>(l, session)?;
    chat::history::add_to_linker::<_, HasSelf<_>>(l, session)?;
    chat::store::add_to_linker::<_, HasSelf<_>>(l, session)?;
    logging::link(l)?;
    console::add_to_linker::<_, HasSelf<_>>(l, |state| state)?;
    key_value::add_to_linker::<_, HasSelf<_>>(l, |state| state)?;
    // Whether a component may import a part of WASI has been seen to when its world was read.
    wasmtime_wasi::p2::add_to_linker_async(l)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(l)?;
    bindings::AgentPre::new(linker.instantiate_pre(code)?)
}

impl console::Host for AgentState {
    async fn print(&mut self, text: String) -> Result<Result<(), wit::Error>> {
        let mut session = self.session.enter();
        let printed = self.console.print(&text).await;
        Ok(session.answer(printed))
    }
}

impl key_value::Host for AgentState {
    async fn get(&mut self, space: String, key: String) -> Result<Result<Option<Vec<u8>>, wit::Error>> {
        self.with_space(&space, move |space| space.get(&key)).await
    }

    async fn set(&mut self, space: String, key: String, value: Vec<u8>) -> Result<Result<(), wit::Error>> {
        self.with_space(&space, move |space| space.set(&key, &value)).await
    }

    async fn delete(&mut self, space: String, key: String) -> Result<Result<(), wit::Error>> {
        self.with_space(&space, move |space| space.delete(&key)).await
    }

    async fn list(&mut self, space: String) -> Result<Result<Vec<String>, wit::Error>> {
        self.with_space(&space, |space| space.keys()).await
    }
}

impl AgentState {
    /// Works on a space, if it is given, where blocking is allowed.
    async fn with_space<T: Send + 'static>(
        &mut self,
        space: &str,
        work: impl FnOnce(&Space) -> std::result::Result<T, ComponentError> + Send + 'static,
    ) -> Result<std::result::Result<T, wit::Error>> {
        let mut session = self.session.enter();
        let space = session.permissions.key_value(space).and_then(|()| self.spaces.open(space));
        let done = match space {
            Ok(space) => blocking(&mut session.budget, move || work(&space)).await?,
            Err(error) => Err(error),
        };
        Ok(session.answer(done))
    }
}
