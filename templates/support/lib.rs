//! What prompt templates share.

pub mod json;
