//! The WebAssembly boundary: templates, sampling policies and chats as sandboxed components.
//!
//! [`Runtime`] loads a [`Component`], which becomes what its world is for:
//! - [`Template`] turns conversations into prompts and answers into what they mean.
//! - [`PolicyComponent`] makes [`wasmlx_engine::Policy`] objects, or a plan that the engine runs by itself.
//! - [`ChatSession`] runs a chat, whose imports a [`ChatHost`] serves.
//! - [`AgentRun`] runs an agent, which besides has what of the world outside the user granted.
//!
//! A component gets what its world imports and nothing else: no file, no socket, no clock, no environment, but for
//! agents, and for them what [`Permissions`] say. Each call has a deadline, each instance a memory limit ([`Limits`]),
//! and whatever a component does comes back as a [`ComponentError`]. `wasmtime` is used here and nowhere else, and no
//! type of it, or of the bindings, is public.

#[cfg(feature = "agents")]
mod agent;
mod authority;
mod budget;
mod builtin;
mod cache;
mod call;
mod cancellation;
mod chat;
mod chat_host;
mod chat_state;
mod compiler;
mod component;
mod conversation;
mod deadline;
mod description;
mod error;
mod gauge;
mod generation;
mod grammars;
mod grants;
mod guest_log;
mod handles;
mod limits;
mod log;
mod manifest;
mod permissions;
mod plain;
mod policy;
mod runtime;
mod script;
mod seat;
mod session;
mod slot;
mod store_view;
mod tape;
mod taped;
mod template;
mod ticker;
mod token_budget;
mod v0_1;
mod world;

#[cfg(feature = "agents")]
pub use agent::{AgentComponent, AgentEvent, AgentRun, AgentSetup, Space, Spaces, Surroundings};
pub use authority::Authority;
pub use builtin::{BUILTIN_NAMES, builtin};
pub use chat::{Canceller, ChatComponent, ChatEvent, ChatSession, Turn};
pub use chat_host::{BoxFuture, ChatHost, ChatSeat, GenerateOptions, OfferedTool, TurnEnd};
pub use compiler::{CompilerCommand, compile};
pub use component::Component;
pub use conversation::{Conversation, Document, FinishReason, Message, Output, Part, Tool, ToolCall, Usage};
pub use description::Description;
pub use error::{ComponentError, ComponentErrorKind};
pub use gauge::{Gauge, Reading};
pub use grants::{Grant, GrantedFolder, Grants, InvalidGrant};
pub use limits::{ComputeLimit, KindLimits, Limits};
pub use log::MessageLog;
pub use manifest::{MANIFEST_BYTES, MANIFEST_SECTION, Manifest, Requests};
pub use permissions::Permissions;
pub use policy::{PolicyComponent, Vocabulary};
pub use runtime::{Runtime, RuntimeOptions, WASMTIME_VERSION, read_file};
pub use script::{Round, Script};
pub use seat::Seat;
pub use slot::Slot;
pub use store_view::{MemoryEstimate, ModelDetails, ModelFile, StoreView, StoredModel};
pub use tape::{Divergence, Tape, TapedAnswer, TapedCall};
pub use template::{AnswerContext, Parser, Template, TemplateSetup};
pub use world::ComponentKind;
