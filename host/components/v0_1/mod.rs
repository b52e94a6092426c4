//! The interfaces of `wasmlx:runner` 0.1: bindings and what turns their types into the host's own. One file an
//! interface; nothing of it is seen outside this crate.

#[cfg(feature = "agents")]
pub(crate) mod agent;
pub(crate) mod chat;
mod contexts;
mod grammars;
mod history;
pub(crate) mod logging;
mod logits;
mod models;
pub(crate) mod policy;
mod store;
pub(crate) mod template;
mod templates;
mod tools;
pub(crate) mod types;
mod vocabulary;
