//! wasmlx: the programmable local language-model runner, as a library.
//!
//! The host runs models on this machine (MLX: Metal on Apple silicon, the CPU or CUDA on Linux). How a prompt is
//! written, how the next token is chosen and how a conversation runs are WebAssembly components in three slots, each
//! of which can be given another component while the host runs: *template*, *sampler* and *chat*.
//!
//! ```no_run
//! use serde_json::{Value, json};
//! use wasmlx::{Event, Host, Tool};
//!
//! # async fn example() -> wasmlx::Result<()> {
//! let host = Host::builder().build()?;
//! let model = host.load("builtin").await?;
//! let weather = Tool::new("get_weather", "The weather in a city.",
//!     json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
//!     |arguments: Value| async move { Ok(json!({"city": arguments["city"], "sky": "clear"})) });
//! let chat = model.chat().system("Be brief.").tool(weather).build().await?;
//! let mut turn = chat.send("What is the weather in Rome?").await?;
//! while let Some(event) = turn.next().await {
//!     if let Event::Content(text) = event? {
//!         print!("{text}");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The parts
//! - [`Host`] is where everything starts. Building one touches nothing; the device comes up at the first
//!   [`Host::load`]. What needs no model, such as [`Host::template`], works where the device does not.
//! - [`Model`] is a loaded model. [`Host::load`] takes `builtin`, a name in the store, or a folder as on Hugging Face;
//!   [`LoadOptions`] has the type of weights, a progress callback and a token to cancel with.
//! - [`Chat`] is a conversation, made by [`Model::chat`]. [`Chat::send`] gives a [`Turn`], a stream of [`Event`]s that
//!   ends with [`Event::Finished`] and its [`Report`]. [`Turn::canceller`] breaks it off from elsewhere; dropping it
//!   does too, and takes the turn back.
//! - [`Completion`] goes on with a prompt as it stands: [`Model::complete`] takes text, segments or token ids.
//! - [`ChatBuilder::run_agent`] runs an agent in place of a conversation: a program with models at hand, and what of
//!   the world outside a [`Grant`] each gives it.
//! - [`Tool`] is a function that the model may call: run by the chat, or handed back to the application.
//! - [`ComponentRef`] names a component: built in or installed, a file, or bytes. [`Host::inspect_component`] looks
//!   into one, [`Host::install_component`] keeps it by its name. [`Host::swap`] puts one into a [`Slot`] of all chats
//!   while they run, [`Chat::swap_with`] into that of one; what the model has read stays read as far as it still holds.
//!   [`Host::slot_events`] tells what happens to slots by itself.
//! - [`Error`] has an [`ErrorKind`] to act on, a sentence for a person, and often a hint.
//!
//! # Runtimes and threads
//! One thread owns the device; handles on it are cheap to clone and `Send`. Futures here need no particular async
//! runtime, but for chats: [`ChatBuilder::build`] must be called on a tokio runtime, on which the conversation then
//! runs as a task. Generations make progress whether or not they are waited on. Loads run one after the other and
//! pause generations.
//!
//! # Features
//! `agents` (on by default) runs agents, for which it brings WASI and an HTTP client.
//! `mcp` (on by default) is `McpServer`, the tools of MCP servers.
//! `mlx` (on by default) is the MLX backend; without it, give [`HostBuilder::backend`] one of your own.
//! `default-model` (on by default) is the model `builtin`, 23 MB of the program. `cli` (on by default, since the program
//! is in this package) is for the `wasmlx` program alone: embedders switch it off.
//! On Linux a program that embeds this library must repeat two `[patch]` lines: see `docs/EMBEDDING.md`.

#![warn(missing_docs)]

mod embed;

pub use embed::*;

pub use wasmlx_backend as backend;
pub use wasmlx_backend::{Dtype, LoadProgress, Memory, ModelInfo};
pub use wasmlx_components::{
    AnswerContext, Conversation, Document, Message, Output, Part, Tool as ToolDefinition, ToolCall,
};
pub use wasmlx_components::{Authority, Grant, GrantedFolder, Grants, InvalidGrant};
pub use wasmlx_components::{ComponentKind, ComputeLimit, KindLimits, MANIFEST_SECTION, Manifest, Requests};
pub use wasmlx_engine::{CancelToken, Chain, ChainPenalties, TokenLogprobs, Usage};
#[cfg(feature = "hub")]
pub use wasmlx_store::hub::{AnswerSource, SearchAnswer, SearchOptions};
pub use wasmlx_store::{Basis, Holding, MemoryEstimate, ModelMemory, Quantization, Runnable, SizeClass, Task};
pub use wasmlx_store::{
    Bindings, BrokenModel, Content, Digest, Fault, GitHash, Imported, Manifest as ModelManifest, ManifestFile,
    ModelFacts, ModelList, Name as ModelName, Progress, Removed, Source, Stage, StoredModel, Swept, UnfinishedModel,
    Usage as ModelUsage, Verified,
};
pub use wasmlx_store::{Candidate, CatalogueEntry, Fits, Found, Origin, SearchQuery, Sort, catalogue, catalogue_entry};
pub use wasmlx_text::Segment;

#[cfg(feature = "mlx")]
pub use wasmlx_backend_mlx::Installation as MlxInstallation;

/// What of MLX is on this machine: its library, the BLAS, a GPU.
///
/// # Errors
/// [`ErrorKind::NotAvailable`] says why MLX cannot be used.
#[cfg(feature = "mlx")]
pub fn mlx_installation() -> Result<MlxInstallation> {
    wasmlx_backend_mlx::installation().map_err(|error| Error::new(ErrorKind::NotAvailable, error))
}
