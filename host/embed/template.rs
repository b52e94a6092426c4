//! A prompt template by itself.

use wasmlx_components::{AnswerContext, Component, Conversation, Output};
use wasmlx_text::Segment;

use super::error::Result;

/// An instance of a template component. Every call blocks until the component returns.
#[derive(Clone)]
pub struct Template(wasmlx_components::Template);

impl Template {
    pub(crate) fn new(component: &Component, config: &str) -> Result<Self> {
        Ok(Self(wasmlx_components::Template::new(component, config)?))
    }

    /// The conversation as a prompt.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) with what the template says of the conversation;
    /// [`ErrorKind::ComponentFailed`](crate::ErrorKind::ComponentFailed) where it trapped.
    pub fn render(&self, conversation: &Conversation) -> Result<Vec<Segment>> {
        Ok(self.0.render(conversation)?)
    }

    /// Strings that end an assistant's turn, besides the model's own end tokens.
    ///
    /// # Errors
    /// [`ErrorKind::ComponentFailed`](crate::ErrorKind::ComponentFailed).
    pub fn stops(&self) -> Result<Vec<String>> {
        Ok(self.0.stops()?)
    }

    /// What an answer means, given in pieces as they come; `answer` tells which prompt it follows.
    ///
    /// # Errors
    /// [`ErrorKind::ComponentFailed`](crate::ErrorKind::ComponentFailed).
    pub fn parse<'a>(&self, answer: &AnswerContext, pieces: impl IntoIterator<Item = &'a str>) -> Result<Vec<Output>> {
        let mut parser = self.0.parser(answer)?;
        let mut outputs = Vec::new();
        for piece in pieces {
            outputs.extend(parser.push(piece)?);
        }
        outputs.extend(parser.finish()?);
        Ok(outputs)
    }
}
