//! The shell that makes a prompt template a component.

use crate::answer::Format;
use crate::{Conversation, Error, Segment};

/// A prompt template as plain Rust. [`component!`](crate::component) makes a component of it.
pub trait PromptTemplate: Sized {
    /// Reads a configuration: a JSON object with the special tokens of the model's `tokenizer_config.json` and, where
    /// the model has one, its `chat_template`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where the template cannot work with it.
    fn configure(config: &str) -> Result<Self, Error>;

    /// The conversation as segments.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] where the template cannot write this conversation.
    fn render(&self, conversation: &Conversation) -> Result<Vec<Segment>, Error>;

    /// Strings that end an assistant's turn, besides the model's own end tokens.
    fn stops(&self) -> Vec<String>;

    /// How the model marks the parts of its answers.
    fn format(&self) -> Format;
}

/// Exports a [`PromptTemplate`] as a component of the world `prompt-template`. Where the target is not WebAssembly it
/// does nothing, since a linker there knows no names such as `wasmlx:runner/template`.
#[macro_export]
macro_rules! component {
    ($template:ty) => {
        #[cfg(target_arch = "wasm32")]
        mod component {
            use std::cell::RefCell;

            use $crate::answer::AnswerReader;
            use $crate::{AnswerContext, Conversation, Error, Guest, GuestParser, Output, PromptTemplate, Segment};

            thread_local! {
                /// The template, once configured. A component has one thread.
                static TEMPLATE: RefCell<Option<$template>> = const { RefCell::new(None) };
            }

            struct Component;

            $crate::bindings::export!(Component with_types_in $crate::bindings);

            impl Guest for Component {
                type Parser = Parser;

                fn configure(config: String) -> Result<(), Error> {
                    TEMPLATE.set(Some(PromptTemplate::configure(&config)?));
                    Ok(())
                }

                fn render(conversation: Conversation) -> Result<Vec<Segment>, Error> {
                    TEMPLATE.with_borrow(|template| match template {
                        Some(template) => template.render(&conversation),
                        None => Err(Error::InvalidInput("the template is not configured".to_owned())),
                    })
                }

                fn stops() -> Vec<String> {
                    TEMPLATE.with_borrow(|template| template.as_ref().map(PromptTemplate::stops).unwrap_or_default())
                }
            }

            struct Parser(RefCell<AnswerReader>);

            impl GuestParser for Parser {
                fn new(answer: AnswerContext) -> Parser {
                    let format = TEMPLATE.with_borrow(|template| template.as_ref().map(PromptTemplate::format));
                    Parser(RefCell::new(AnswerReader::new(format.unwrap_or_default(), &answer)))
                }

                fn push(&self, text: String) -> Vec<Output> {
                    self.0.borrow_mut().push(&text)
                }

                fn finish(&self) -> Vec<Output> {
                    self.0.borrow_mut().finish()
                }
            }
        }
    };
}
