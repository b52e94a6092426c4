//! ChatML: each message between `<|im_start|>` and `<|im_end|>`, with tools as Hermes describes and calls them.

mod answer;
mod json;
mod prompt;

mod bindings {
    use super::ChatMl;
    wit_bindgen::generate!({ world: "prompt-template", path: "wit" });
    export!(ChatMl with_types_in self);
}

use std::cell::RefCell;

use answer::Answer;
use bindings::exports::wasmlx::runner::template::{Guest, GuestParser};
use bindings::wasmlx::runner::types::{AnswerContext, Conversation, Error, Message, Output, Part, Segment, Tool, ToolCall};
use prompt::Prompt;
use serde_json::{Value, json};

const START: &str = "<|im_start|>";
const END: &str = "<|im_end|>";
const BEFORE_TOOLS: &str = "You may call tools. The tools are:\n<tools>\n";
const AFTER_TOOLS: &str =
    "</tools>\nTo call a tool, answer with <tool_call>{\"name\": NAME, \"arguments\": ARGUMENTS}</tool_call>";

struct ChatMl;

impl Guest for ChatMl {
    type Parser = RefCell<Answer>;

    /// This template asks nothing of its configuration.
    fn configure(_: String) -> Result<(), Error> {
        Ok(())
    }

    fn render(conversation: Conversation) -> Result<Vec<Segment>, Error> {
        if conversation.context.is_some() {
            return Err(refusal("a raw context"));
        }
        if !conversation.documents.is_empty() {
            return Err(refusal("documents"));
        }
        let mut prompt = Prompt::default();
        let (system, messages) = match conversation.messages.split_first() {
            Some((first, rest)) if first.role == "system" => (content(first), rest),
            _ => (String::new(), &conversation.messages[..]),
        };
        if !system.is_empty() || !conversation.tools.is_empty() {
            prompt.control(START);
            prompt.trusted("system\n");
            prompt.untrusted(&system);
            if !conversation.tools.is_empty() {
                prompt.trusted(if system.is_empty() { "" } else { "\n\n" });
                describe_tools(&mut prompt, &conversation.tools)?;
            }
            end(&mut prompt);
        }
        for message in messages {
            prompt.control(START);
            prompt.untrusted(&message.role);
            prompt.trusted("\n");
            prompt.untrusted(&content(message));
            if message.role == "assistant" {
                message.tool_calls.iter().for_each(|call| write_call(&mut prompt, call));
            }
            end(&mut prompt);
        }
        if conversation.add_generation_prompt {
            prompt.control(START);
            prompt.trusted("assistant\n");
        }
        Ok(prompt.finish())
    }

    fn stops() -> Vec<String> {
        vec![END.to_owned()]
    }
}

impl GuestParser for RefCell<Answer> {
    fn new(answer: AnswerContext) -> Self {
        RefCell::new(Answer::new(&answer))
    }

    fn push(&self, text: String) -> Vec<Output> {
        self.borrow_mut().push(&text)
    }

    fn finish(&self) -> Vec<Output> {
        self.borrow_mut().finish()
    }
}

fn refusal(what: &str) -> Error {
    Error::InvalidInput(format!("this template takes no {what}: use the model's own, by the jinja template"))
}

fn end(prompt: &mut Prompt) {
    prompt.control(END);
    prompt.trusted("\n");
}

fn content(message: &Message) -> String {
    message.content.iter().map(|Part::Text(text)| text.as_str()).collect()
}

fn describe_tools(prompt: &mut Prompt, tools: &[Tool]) -> Result<(), Error> {
    prompt.trusted(BEFORE_TOOLS);
    for Tool { name, description, parameters } in tools {
        let parameters: Value = json::parse(parameters)
            .map_err(|error| Error::InvalidInput(format!("the parameters of tool `{name}` are not JSON: {error}")))?;
        let function = json!({"name": name, "description": description, "parameters": parameters});
        prompt.untrusted(&json::dumps(&json!({"type": "function", "function": function})));
        prompt.trusted("\n");
    }
    prompt.trusted(AFTER_TOOLS);
    Ok(())
}

fn write_call(prompt: &mut Prompt, call: &ToolCall) {
    prompt.trusted("<tool_call>{\"name\": \"");
    prompt.untrusted(&call.name);
    prompt.trusted("\", \"arguments\": ");
    prompt.untrusted(&match json::parse(&call.arguments) {
        Ok(Value::String(text)) => text,
        Ok(arguments) => json::dumps(&arguments),
        // What a model wrote need not be JSON; then it is the text itself.
        Err(_) => call.arguments.clone(),
    });
    prompt.trusted("}</tool_call>");
}
