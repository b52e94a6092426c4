//! End-to-end tests of the `wasmlx` program, on its built-in model.

#![allow(clippy::unwrap_used, reason = "these are tests, their helpers too")]

mod agents;
mod bench;
#[cfg(unix)]
mod chat;
mod completion;
mod component;
mod component_sources;
mod doctor;
mod folders;
mod grammar;
mod https;
mod languages;
#[path = "../../host/store/tests/store/minisign.rs"]
mod minisign;
#[cfg(feature = "hub")]
mod pull;
mod quantize;
mod run;
mod search;
mod store;
mod support;
#[cfg(unix)]
mod swaps;
mod template;
mod test_command;
#[cfg(unix)]
mod tools;
mod usage;
#[cfg(unix)]
mod watch;
