//! Components against the runtime: good ones, hostile ones, and such as cannot run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chats;
mod guests;
mod hostile;
mod loading;
mod policies;
mod shipped;
mod templates;
