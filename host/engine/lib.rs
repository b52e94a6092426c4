//! The engine: requests, sequences, the scheduler on the device thread, the sampling chain.
//!
//! [`Engine`] is a handle on the thread that owns the device. It loads a [`Model`], whose [`Context`]s hold a text
//! and what the model has read of it, and make [`Generation`]s: streams of [`Event`]s. What chooses the tokens is a
//! [`Chain`], which the engine runs by itself, or a [`Policy`], which is asked at every step.
//!
//! The way of a token: `context` sends a request to the `device` thread, whose `scheduler` gives each `sequence` a
//! step in turn; a step queues the pass after a token before it reads that token; `output` makes it text, looks for
//! stop strings and withholds what may still change, where there is a grammar `constraint` says which tokens may come;
//! `generation` hands it to the caller, and `transcript` keeps it for the prompts to come. `watch` sees to it that nobody
//! waits for ever where the device hangs.
//!
//! Nothing here knows WebAssembly, HTTP or MLX.

mod cancel;
mod chain;
mod constraint;
mod context;
mod device;
mod engine;
mod error;
mod event;
mod footprint;
mod generation;
mod idle;
mod marked;
mod model;
mod observer;
mod output;
mod policy;
mod scheduler;
mod sequence;
mod slot;
mod start;
mod transcript;
mod watch;

pub use cancel::CancelToken;
pub use chain::{Chain, ChainPenalties};
pub use context::{Context, PromptInfo};
pub use engine::{Engine, EngineStats, LoadRequest, QuantizeTask};
pub use error::{EngineError, EngineErrorKind};
pub use event::{Event, FinishReason, Finished, GenerateRequest, Sampling, Timings, TokenLogprobs, Usage};
pub use footprint::Footprint;
pub use generation::{DeviceWork, Generation};
pub use model::Model;
pub use observer::Progress;
pub use policy::{Choice, MAX_BACKTRACK, Policy, PolicyError, PolicyErrorKind, SavedState, StepInfo};
pub use watch::Patience;
