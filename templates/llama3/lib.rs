//! Llama 3: each message behind a header of control tokens, tools in the first user message, calls as bare JSON.
//!
//! The text is that of Llama 3.2's `chat_template`, written without Jinja.

use wasmlx_template_support::answer::Format;
use wasmlx_template_support::conversation::{arguments, check_plain, content, object, options, tool};
use wasmlx_template_support::date::{DAY, MONTHS, civil};
use wasmlx_template_support::json::Json;
use wasmlx_template_support::prompt::Prompt;
use wasmlx_template_support::text::strip;
use wasmlx_template_support::{Conversation, Error, Message, PromptTemplate, Segment};

const HEADER: &str = "<|start_header_id|>";
const HEADER_END: &str = "<|end_header_id|>";
const TURN_END: &str = "<|eot_id|>";

/// What the model is told of tools, where they stand in a user's message and where in the system's.
const TOOLS_OF_USER: &str = "Given the following functions, please respond with a JSON for a function call with its \
                             proper arguments that best answers the given prompt.\n\n";
const TOOLS_OF_SYSTEM: &str = "You have access to the following functions. To call a function, please respond with \
                               JSON for a function call.";
const CALL_FORMAT: &str = "Respond in the format {\"name\": function name, \"parameters\": dictionary of argument name \
                           and its value}.Do not use variables.\n\n";

/// The date that stands in the prompt where neither a clock nor the options give one.
const DATE: &str = "26 Jul 2024";

/// The template.
pub struct Llama3 {
    bos_token: String,
}

impl PromptTemplate for Llama3 {
    /// Uses `bos_token`, by default `<|begin_of_text|>`.
    fn configure(config: &str) -> Result<Llama3, Error> {
        let config = Json::Object(object(config, "the template's configuration")?);
        let token = config.get("bos_token").and_then(|token| token.as_str().or_else(|| token.get("content")?.as_str()));
        Ok(Llama3 { bos_token: token.unwrap_or("<|begin_of_text|>").to_owned() })
    }

    fn render(&self, conversation: &Conversation) -> Result<Vec<Segment>, Error> {
        check_plain(conversation)?;
        let (options, clock) = options(conversation)?;
        let options = Json::Object(options);
        let has_tools = !conversation.tools.is_empty();
        let tools_of_user = !matches!(options.get("tools_in_user_message"), Some(Json::Bool(false)));
        let (system, mut messages) = match conversation.messages.split_first() {
            Some((first, rest)) if first.role == "system" => (content(first), rest),
            Some(_) => (String::new(), &conversation.messages[..]),
            None => return Err(Error::InvalidInput("a conversation needs a message".to_owned())),
        };

        let mut prompt = Prompt::default();
        prompt.control(&self.bos_token);
        header(&mut prompt, "system");
        prompt.trusted(if has_tools { "Environment: ipython\n" } else { "" });
        prompt.trusted("Cutting Knowledge Date: December 2023\nToday Date: ");
        write_date(&mut prompt, clock, &options);
        prompt.trusted("\n\n");
        if has_tools && !tools_of_user {
            prompt.trusted(TOOLS_OF_SYSTEM);
            describe_tools(&mut prompt, conversation)?;
        }
        prompt.untrusted(strip(&system));
        prompt.control(TURN_END);

        if has_tools && tools_of_user {
            let Some((first, rest)) = messages.split_first() else {
                let message = "tools stand in the first message after the system's, and there is none";
                return Err(Error::InvalidInput(message.to_owned()));
            };
            messages = rest;
            header(&mut prompt, "user");
            prompt.trusted(TOOLS_OF_USER);
            describe_tools(&mut prompt, conversation)?;
            prompt.untrusted(strip(&content(first)));
            prompt.control(TURN_END);
        }
        for message in messages {
            write(&mut prompt, message)?;
        }
        if conversation.add_generation_prompt {
            header(&mut prompt, "assistant");
        }
        Ok(prompt.finish())
    }

    fn stops(&self) -> Vec<String> {
        vec![TURN_END.to_owned(), "<|eom_id|>".to_owned()]
    }

    fn format(&self) -> Format {
        Format { bare_calls: true, ..Format::default() }
    }
}

fn header(prompt: &mut Prompt, role: &str) {
    prompt.control(HEADER);
    prompt.trusted(role);
    prompt.control(HEADER_END);
    prompt.trusted("\n\n");
}

/// Today: the option `date_string`, else what the clock says.
fn write_date(prompt: &mut Prompt, clock: Option<i64>, options: &Json) {
    match (options.get("date_string"), clock) {
        (Some(Json::String(date)), _) => prompt.untrusted(date),
        (_, Some(seconds)) => {
            let (year, month, day) = civil(seconds.div_euclid(DAY));
            prompt.trusted(&format!("{day:02} {} {year}", &MONTHS[month - 1][..3]));
        }
        (_, None) => prompt.trusted(DATE),
    }
}

fn describe_tools(prompt: &mut Prompt, conversation: &Conversation) -> Result<(), Error> {
    prompt.trusted(CALL_FORMAT);
    for described in &conversation.tools {
        prompt.untrusted(&tool(described)?.dumps_indented(4));
        prompt.trusted("\n\n");
    }
    Ok(())
}

fn write(prompt: &mut Prompt, message: &Message) -> Result<(), Error> {
    match &message.tool_calls[..] {
        [] if matches!(message.role.as_str(), "tool" | "ipython") => {
            header(prompt, "ipython");
            prompt.untrusted(&Json::from(content(message)).dumps());
        }
        [] => {
            prompt.control(HEADER);
            prompt.untrusted(&message.role);
            prompt.control(HEADER_END);
            prompt.trusted("\n\n");
            prompt.untrusted(strip(&content(message)));
        }
        [call] => {
            header(prompt, "assistant");
            prompt.trusted("{\"name\": \"");
            prompt.untrusted(&call.name);
            prompt.trusted("\", \"parameters\": ");
            prompt.untrusted(&arguments(call).dumps());
            prompt.trusted("}");
        }
        _ => return Err(Error::InvalidInput("Llama 3 makes one call of a tool at a time".to_owned())),
    }
    prompt.control(TURN_END);
    Ok(())
}

wasmlx_template_support::component!(crate::Llama3);
