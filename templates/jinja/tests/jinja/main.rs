//! The jinja template against transformers, against forged markers, and by its own cases.

#![allow(clippy::unwrap_used, reason = "a test stops where its surroundings are not as they should be")]

mod cases;
mod conformance;
mod language;
mod origins;
mod shared;
