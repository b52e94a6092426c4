//! Text and tokens: a prompt's segments become ids, ids become text as they stream, and stop strings end it.
//!
//! - [`Tokenizer`] loads a model's tokenizer files and is cheap to clone.
//! - [`Segment`] is what a prompt template writes: a control token by name, trusted text, or untrusted text.
//!   [`Tokenizer::encode`] joins the segments and lets no untrusted byte take part in a control token.
//! - [`Detokenizer`] turns ids into text that is never taken back and never ends in half a character.
//! - [`Grammar`] says what a text must look like, and its [`GrammarMatcher`] which tokens may come next.
//! - [`StopMatcher`] finds stop strings across the borders of tokens.
//!
//! Nothing here knows of models, devices, requests or components.

mod added_tokens;
mod byte_level;
mod chat_template;
mod detokenizer;
mod encode;
mod error;
mod folder;
mod grammar;
mod growth;
mod segment;
mod stop;
mod tokenizer;
mod tokenizer_config;
mod tokenizer_json;
mod trie;
mod vocab_merges;

pub use added_tokens::AddedToken;
pub use chat_template::ChatTemplates;
pub use detokenizer::Detokenizer;
pub use encode::EncodedToken;
pub use error::{TextError, TextErrorKind};
pub use grammar::{Grammar, GrammarAccount, GrammarMatcher, GrammarSource};
pub use segment::Segment;
pub use stop::{Emit, StopMatcher};
pub use tokenizer::Tokenizer;
pub use tokenizer_config::SpecialTokens;
