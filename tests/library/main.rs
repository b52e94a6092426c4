//! Tests of the library as an embedding application sees it, on the fake backend.

mod chats;
mod completions;
mod components;
mod embed_example;
mod errors;
mod models;
mod support;
