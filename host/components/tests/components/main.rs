//! Components against the runtime: good ones, hostile ones, and such as cannot run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "agents")]
mod agents;
mod attacks;
mod chats;
mod guests;
mod hostile;
mod isolation;
mod loading;
mod logging;
mod others;
mod policies;
mod shipped;
mod templates;
