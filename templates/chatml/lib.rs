//! ChatML: each message between `<|im_start|>` and `<|im_end|>`, with tools as Hermes describes and calls them.
//!
//! The text is that of the built-in model's own `chat_template`, written without Jinja: a template is some fifty
//! lines of any language that compiles to WebAssembly.

use wasmlx_template_support::answer::{Format, TaggedCall};
use wasmlx_template_support::conversation::{arguments, check_plain, content, tool};
use wasmlx_template_support::json::Json;
use wasmlx_template_support::prompt::Prompt;
use wasmlx_template_support::{Conversation, Error, Message, PromptTemplate, Segment};

const START: &str = "<|im_start|>";
const END: &str = "<|im_end|>";

/// What stands before the tools, one a line, and after them.
const TOOLS: [&str; 2] = [
    "You may call tools. The tools are:\n<tools>\n",
    "</tools>\nTo call a tool, answer with <tool_call>{\"name\": NAME, \"arguments\": ARGUMENTS}</tool_call>",
];

/// The template. It asks nothing of its configuration.
pub struct ChatMl;

impl PromptTemplate for ChatMl {
    fn configure(_: &str) -> Result<ChatMl, Error> {
        Ok(ChatMl)
    }

    fn render(&self, conversation: &Conversation) -> Result<Vec<Segment>, Error> {
        check_plain(conversation)?;
        let mut prompt = Prompt::default();
        let (system, messages) = match conversation.messages.split_first() {
            Some((first, rest)) if first.role == "system" => (content(first), rest),
            _ => (String::new(), &conversation.messages[..]),
        };
        if !system.is_empty() || !conversation.tools.is_empty() {
            prompt.control(START);
            prompt.trusted("system\n");
            prompt.untrusted(&system);
            describe_tools(&mut prompt, conversation, !system.is_empty())?;
            end(&mut prompt);
        }
        for message in messages {
            prompt.control(START);
            prompt.untrusted(&message.role);
            prompt.trusted("\n");
            prompt.untrusted(&content(message));
            write_calls(&mut prompt, message);
            end(&mut prompt);
        }
        if conversation.add_generation_prompt {
            prompt.control(START);
            prompt.trusted("assistant\n");
        }
        Ok(prompt.finish())
    }

    fn stops(&self) -> Vec<String> {
        vec![END.to_owned()]
    }

    fn format(&self) -> Format {
        Format { thinking: true, tagged_calls: Some(TaggedCall::Json), ..Format::default() }
    }
}

fn end(prompt: &mut Prompt) {
    prompt.control(END);
    prompt.trusted("\n");
}

fn describe_tools(prompt: &mut Prompt, conversation: &Conversation, after_text: bool) -> Result<(), Error> {
    if conversation.tools.is_empty() {
        return Ok(());
    }
    prompt.trusted(if after_text { "\n\n" } else { "" });
    prompt.trusted(TOOLS[0]);
    for described in &conversation.tools {
        prompt.untrusted(&tool(described)?.dumps());
        prompt.trusted("\n");
    }
    prompt.trusted(TOOLS[1]);
    Ok(())
}

/// The calls that an assistant's message made; other messages make none.
fn write_calls(prompt: &mut Prompt, message: &Message) {
    if message.role != "assistant" {
        return;
    }
    for call in &message.tool_calls {
        prompt.trusted("<tool_call>{\"name\": \"");
        prompt.untrusted(&call.name);
        prompt.trusted("\", \"arguments\": ");
        prompt.untrusted(&match arguments(call) {
            Json::String(text) => text,
            arguments => arguments.dumps(),
        });
        prompt.trusted("}</tool_call>");
    }
}

wasmlx_template_support::component!(crate::ChatMl);
