//! What prompt templates share.
//!
//! A template is plain Rust, a [`PromptTemplate`]; [`component!`] makes it a component of the world `prompt-template`,
//! whose types are in [`bindings`]. [`prompt`] puts segments together, [`answer`] reads what a model writes back,
//! [`json`] spells JSON as models saw it in training, and [`cases`] reads the case files that stand beside each
//! template.

pub mod answer;
pub mod cases;
mod component;
pub mod conversation;
pub mod date;
pub mod json;
pub mod prompt;
pub mod text;

/// The world `prompt-template`, generated from `wit/`.
#[allow(missing_docs, unreachable_pub, unsafe_code, clippy::all, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        world: "prompt-template",
        path: "../../wit",
        pub_export_macro: true,
        default_bindings_module: "wasmlx_template_support::bindings",
        additional_derives: [PartialEq, Eq],
    });
}

pub use bindings::exports::wasmlx::runner::template::{Guest, GuestParser};
pub use bindings::wasmlx::runner::types::{
    AnswerContext, Conversation, Document, Error, Message, Output, Part, Segment, Tool, ToolCall,
};
pub use component::PromptTemplate;
