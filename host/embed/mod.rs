//! The embedding API: [`Host`] and what hangs on it. The crate's page tells how it fits together.

#[cfg(feature = "agents")]
mod agent;
mod answer_options;
mod blocking;
mod cancel;
mod cases;
mod chat;
mod chat_builder;
mod chat_places;
mod chat_server;
mod completion;
mod components;
mod cost;
mod error;
mod estimate;
mod event;
#[cfg(feature = "hub")]
mod fetched;
mod generation_config;
mod granted;
mod host;
mod inspection;
mod installed;
mod manifest;
#[cfg(feature = "mcp")]
mod mcp;
mod model;
mod place;
#[cfg(feature = "hub")]
mod pull;
mod quantize;
mod report;
mod sampler;
mod saved_chat;
#[cfg(feature = "hub")]
mod search;
mod slot_events;
mod slots;
mod store;
mod store_view;
mod swap;
mod template;
mod tool;
mod turn;

#[cfg(feature = "agents")]
pub use agent::AgentRun;
pub use cancel::Canceller;
pub use cases::{CaseOutcome, CaseResult, TestOptions, TestReport};
pub use chat::Chat;
pub use chat_builder::{ChatBuilder, DEFAULT_CHAT};
pub use completion::{Completion, CompletionBuilder, Prompt};
pub use components::ComponentRef;
pub use cost::{CallCost, CostCard, CostChange, CostComparison, Machine, Spread};
pub use error::{Error, ErrorKind, Result};
pub use estimate::{architectures, model_memory};
pub use event::Event;
#[cfg(feature = "hub")]
pub use fetched::{FetchOptions, FetchedComponent, SIGNATURE_ANNOTATION, is_remote_component};
pub use host::{Device, Host, HostBuilder, LoadOptions};
pub use inspection::{ComponentOrigin, Inspection};
pub use installed::{
    ComponentList, ComponentSource, InstallOptions, InstallReport, ListedComponent, Signer, is_component_name,
};
pub use manifest::{embed_manifest, parse_manifest, read_manifest};
#[cfg(feature = "mcp")]
pub use mcp::McpServer;
pub use model::Model;
#[cfg(feature = "hub")]
pub use pull::{PullOptions, PullReport};
pub use quantize::QuantizeOptions;
pub use report::{Cost, FinishReason, Report};
pub use sampler::{DEFAULT_POLICY, Sampler};
pub use saved_chat::SavedChat;
pub use slot_events::{SlotEvent, SlotEvents};
pub use slots::Slot;
pub use store::{BindRequest, ImportRequest, ModelStore, WorkOptions};
pub use swap::{DEFAULT_TRIAL_TURNS, SwapOptions, SwapReport, compile_component};
pub use template::Template;
pub use tool::{Tool, ToolResult};
pub use turn::Turn;

/// The most tokens of an answer where nobody says.
pub const DEFAULT_MAX_TOKENS: usize = 512;
