//! One question to a model, and what it answers: what the agents here share.
//!
//! A guest that uses this has the bindings of `contexts`, `templates` and `types` from here (`with` of
//! `wit_bindgen::generate!`), so that their types are the same.

/// The interfaces that asking takes.
pub mod bindings {
    #![allow(unsafe_code, missing_docs)]
    wit_bindgen::generate!({
        inline: "
            package wasmlx:asking;
            world asking {
                import wasmlx:runner/contexts@0.1.0;
                import wasmlx:runner/templates@0.1.0;
            }
        ",
        path: "../../../wit",
        world: "wasmlx:asking/asking",
        generate_all,
    });
}

use bindings::wasmlx::runner::contexts::{self, Context, GenerateOptions, GenerationEvent, PromptInfo};
use bindings::wasmlx::runner::templates;
use bindings::wasmlx::runner::types::{Conversation, Error, Message, Output, Part};

/// How many events of an answer are taken at once.
const BATCH: u32 = 64;

/// A context of a model that holds a question, and how many tokens that is.
///
/// # Errors
/// `denied` for a model that was not granted; what the template says of the question.
pub fn ask(model: &str, question: &str) -> Result<(Context, PromptInfo), Error> {
    let context = contexts::open(Some(model))?;
    let prompt = context.prompt(&templates::render_for(model, &one_message(question))?)?;
    Ok((context, prompt))
}

/// Goes on with a context; gives the answer's content as it comes, reasoning left out.
///
/// # Errors
/// What ends the answer before its end, and those of `tell`.
pub fn answer(
    context: &Context,
    max_tokens: Option<u32>,
    seed: Option<u64>,
    mut tell: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let options = GenerateOptions { max_tokens, stops: Vec::new(), seed, tools: Vec::new(), grammar: None };
    let generation = context.generate(&options)?;
    loop {
        let events = generation.next_batch(BATCH)?;
        if events.is_empty() {
            return Ok(());
        }
        for event in events {
            if let GenerationEvent::Output(Output::Content(text)) = event {
                tell(&text)?;
            }
        }
    }
}

/// A conversation of one message, which is to be answered.
fn one_message(text: &str) -> Conversation {
    let message = Message {
        role: "user".into(),
        content: vec![Part::Text(text.into())],
        reasoning: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
        name: None,
    };
    Conversation {
        messages: vec![message],
        tools: Vec::new(),
        documents: Vec::new(),
        add_generation_prompt: true,
        options: String::new(),
        context: None,
    }
}
