//! The general prompt template: renders any model's own `chat_template`, as transformers does.
//!
//! The language is Jinja2 over Python's values, and a prompt must come out byte for byte as the model saw it in
//! training. Beyond that, each byte of the output is known to be the template's or the caller's (`text.rs`), which
//! no engine for Jinja tells; so this one is its own. `lexer.rs`, `parser/` and `interpreter.rs` are its stages, over
//! the values of `value.rs`, which behave as Python's; `model.rs` is what a model's configuration makes of it.

mod arguments;
mod ast;
mod attributes;
mod context;
mod conversation;
mod error;
mod evaluate;
mod filters;
mod functions;
mod interpreter;
mod lexer;
mod loops;
mod markup;
mod methods;
mod model;
mod operators;
mod parser;
mod predicates;
mod python;
mod scopes;
mod template;
mod text;
mod value;

pub use error::{Error, ErrorKind, Result};
pub use model::ModelTemplate;
pub use python::time::Clock;
pub use template::Template;
pub use text::{Origin, Text};

wasmlx_template_support::component!(crate::ModelTemplate);
