//! The crate's tests through its public face, in one binary: each would link the tokenizers anew.

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod common;
mod detokenizer;
mod forging;
mod grammars;
mod loading;
mod segments;
mod stop;
mod vectors;
