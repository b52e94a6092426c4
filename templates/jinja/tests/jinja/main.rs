//! The jinja template against transformers, against forged markers, and by its own cases.

mod cases;
mod conformance;
mod origins;
mod shared;
