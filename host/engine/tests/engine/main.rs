//! The engine on the fake backend.

#![allow(clippy::unwrap_used)]

mod contexts;
mod failures;
mod generations;
mod grammars;
mod hangs;
mod loading;
mod machine;
mod memory;
mod policies;
mod reference;
mod support;
