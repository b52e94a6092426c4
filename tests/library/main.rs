//! Tests of the library as an embedding application sees it, on the fake backend.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agents;
mod chats;
mod completions;
mod components;
mod containment;
mod embed_example;
mod errors;
mod grammars;
#[path = "../../host/components/tests/components/guests.rs"]
#[allow(dead_code, reason = "the components' own tests use more of it")]
mod guests;
mod installed;
mod models;
mod rollbacks;
mod server;
mod support;
mod swaps;
mod trapping;
