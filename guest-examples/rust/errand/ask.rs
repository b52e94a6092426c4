//! A question to a model that is granted by name.

use crate::bindings::wasmlx::runner::console::print;
use crate::bindings::wasmlx::runner::contexts::{self, GenerateOptions, GenerationEvent};
use crate::bindings::wasmlx::runner::templates;
use crate::bindings::wasmlx::runner::types::{Conversation, Error, Message, Output, Part};

pub(crate) fn ask(model: &str, question: &str) -> Result<(), Error> {
    // Without the grant this is `denied`.
    let context = contexts::open(Some(model))?;
    let message = Message {
        role: "user".into(),
        content: vec![Part::Text(question.into())],
        reasoning: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
        name: None,
    };
    let conversation = Conversation {
        messages: vec![message],
        tools: Vec::new(),
        documents: Vec::new(),
        add_generation_prompt: true,
        options: String::new(),
        context: None,
    };
    context.prompt(&templates::render_for(model, &conversation)?)?;
    let generation = context.generate(&GenerateOptions {
        max_tokens: None,
        stops: Vec::new(),
        seed: None,
        tools: false,
        grammar: None,
    })?;
    loop {
        let events = generation.next_batch(64)?;
        if events.is_empty() {
            return print("\n");
        }
        for event in events {
            if let GenerationEvent::Output(Output::Content(text)) = event {
                print(&text)?;
            }
        }
    }
}
