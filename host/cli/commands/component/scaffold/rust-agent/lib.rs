//! An agent that asks the model a question, its arguments, and prints the answer as it comes.

mod bindings {
    use super::Component;
    wit_bindgen::generate!({ world: "agent", path: "wit", generate_all });
    export!(Component with_types_in self);
}

use bindings::wasmlx::runner::contexts::{self, GenerateOptions, GenerationEvent};
use bindings::wasmlx::runner::types::{Conversation, Error, FinishReason, Message, Output, Part, Segment};
use bindings::wasmlx::runner::{console, templates};

/// The most tokens of an answer.
const TOKENS: u32 = 512;

struct Component;

impl bindings::Guest for Component {
    /// What fails here is shown to the user as the reason why the agent failed; so is what the host fails with.
    fn run(args: Vec<String>) -> Result<(), Error> {
        if args.is_empty() {
            return Err(Error::InvalidInput("usage: QUESTION".into()));
        }
        answer(&prompt(args.join(" "))?)
    }
}

/// A conversation that is one question, as the session's template writes it.
fn prompt(question: String) -> Result<Vec<Segment>, Error> {
    let message = Message {
        role: "user".into(),
        content: vec![Part::Text(question)],
        reasoning: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
        name: None,
    };
    templates::render(&Conversation {
        messages: vec![message],
        tools: Vec::new(),
        documents: Vec::new(),
        add_generation_prompt: true,
        options: "{}".into(),
        context: None,
    })
}

/// Prints the model's answer as it comes.
fn answer(prompt: &[Segment]) -> Result<(), Error> {
    let context = contexts::open(None)?;
    context.prompt(prompt)?;
    let generation = context.generate(&GenerateOptions {
        max_tokens: Some(TOKENS),
        stops: Vec::new(),
        seed: None,
        tools: Vec::new(),
        grammar: None,
    })?;
    let mut said = false;
    while let Some(event) = generation.next()? {
        match event {
            GenerationEvent::Output(Output::Content(text)) => {
                said = true;
                console::print(&text)?;
            }
            // Reasoning is not for the user, and no tool was offered.
            GenerationEvent::Output(_) => {}
            GenerationEvent::Finished(_) if !said => return Err(Error::ModelFailed("the model said nothing".into())),
            GenerationEvent::Finished(finish) => {
                console::print(if finish.reason == FinishReason::Length { " [cut]\n" } else { "\n" })?;
            }
        }
    }
    Ok(())
}
