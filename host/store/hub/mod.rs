//! The hub: what is to be had elsewhere, and how it comes here. Hubs speak the protocol of huggingface.co.
//!
//! [`HubClient`] asks; [`HubOptions`] say whom, and as whom. [`HubClient::pull`] brings a model into the store. Nothing
//! that a hub says is believed: what it answers is bounded, what it names is checked, and the bytes that it sends have
//! the hashes that it published.

mod api;
mod client;
mod component_address;
mod component_source;
mod options;
mod plan;
mod pull;
mod refusal;
mod registry;
mod registry_login;
mod retry;
mod search;
mod select;
mod signature;
mod token;
mod transfer;

pub use api::{ModelInfo, RemoteFile};
pub use client::HubClient;
pub use component_address::ComponentAddress;
pub use component_source::{ComponentChecks, FetchedComponent};
pub use options::{DEFAULT_ENDPOINT, HubOptions};
pub use pull::{DEFAULT_CONNECTIONS, PullOptions, Pulled};
pub use registry::SIGNATURE_ANNOTATION;
pub use retry::Patience;
pub use search::{AnswerSource, SearchAnswer, SearchOptions};
pub use select::Selection;
pub use signature::SigningKey;
pub use token::Token;
