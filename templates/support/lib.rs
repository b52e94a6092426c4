//! What prompt templates share.
//!
//! A template is a component of the world `prompt-template`; [`bindings`] holds its types and the `export!` macro
//! that makes a crate one. [`answer`] reads what a model writes back, [`json`] spells JSON as models saw it in
//! training, and [`cases`] runs a template against the case files that stand beside it.

pub mod answer;
pub mod json;

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
    Conversation, Document, Error, Message, Output, Part, Segment, Tool, ToolCall,
};
