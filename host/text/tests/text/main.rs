//! The crate's tests through its public face, in one binary: each would link the tokenizers anew.

mod common;
mod forging;
mod segments;
mod vectors;
