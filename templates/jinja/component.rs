//! The component: a thin shell around [`ModelTemplate`].

use std::cell::RefCell;

use wasmlx_template_support::answer::{AnswerReader, Format};
use wasmlx_template_support::{Conversation, Error, Guest, GuestParser, Output, Segment};

use crate::model::ModelTemplate;

thread_local! {
    /// The model's template, once configured. A component has one thread.
    static MODEL: RefCell<Option<ModelTemplate>> = const { RefCell::new(None) };
}

struct Component;

wasmlx_template_support::bindings::export!(Component with_types_in wasmlx_template_support::bindings);

fn invalid_input(error: &crate::Error) -> Error {
    Error::InvalidInput(error.to_string())
}

impl Guest for Component {
    type Parser = Parser;

    fn configure(config: String) -> Result<(), Error> {
        let model = ModelTemplate::configure(&config).map_err(|error| invalid_input(&error))?;
        MODEL.set(Some(model));
        Ok(())
    }

    fn render(conversation: Conversation) -> Result<Vec<Segment>, Error> {
        MODEL.with_borrow(|model| match model {
            Some(model) => model.render(&conversation).map_err(|error| invalid_input(&error)),
            None => Err(Error::InvalidInput("the template is not configured".to_owned())),
        })
    }

    fn stops() -> Vec<String> {
        // A template says nothing of where the model stops; its end tokens do.
        Vec::new()
    }
}

struct Parser(RefCell<AnswerReader>);

impl GuestParser for Parser {
    fn new() -> Parser {
        let format = MODEL.with_borrow(|model| model.as_ref().map_or(Format::default(), ModelTemplate::format));
        Parser(RefCell::new(AnswerReader::new(format)))
    }

    fn push(&self, text: String) -> Vec<Output> {
        self.0.borrow_mut().push(&text)
    }

    fn finish(&self) -> Vec<Output> {
        self.0.borrow_mut().finish()
    }
}
