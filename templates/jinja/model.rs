//! The chat template of one model, from its configuration: what the component is once it is configured.

use wasmlx_template_support::answer::{Format, TaggedCall};
use wasmlx_template_support::json::{Entries, Json};
use wasmlx_template_support::prompt::Prompt;
use wasmlx_template_support::{Conversation, Error, PromptTemplate, Segment, conversation};

use crate::python::time::Clock;
use crate::template::Template;
use crate::text::{Origin, Text};

/// A model's chat template and special tokens.
pub struct ModelTemplate {
    template: Template,
    /// What some models render conversations with tools by.
    tool_template: Option<Template>,
    /// `bos_token` and the like, by name.
    tokens: Entries,
    format: Format,
}

impl PromptTemplate for ModelTemplate {
    /// `chat_template` is a template's source, or a list of objects with `name` and `template`.
    fn configure(config: &str) -> Result<ModelTemplate, Error> {
        let config = Json::Object(conversation::object(config, "the template's configuration")?);
        let source = config.get("chat_template").unwrap_or(&Json::Null);
        let named = |name: &str| {
            let is_named = |entry: &&Json| entry.get("name").and_then(Json::as_str) == Some(name);
            source.items().iter().find(is_named)?.get("template")?.as_str()
        };
        let Some(default) = source.as_str().or_else(|| named("default")) else {
            let message = "the model has no `chat_template`: choose a template that needs none, such as chatml";
            return Err(Error::InvalidInput(message.to_owned()));
        };
        let tokens =
            config.entries().iter().filter(|(name, _)| name.ends_with("_token")).filter_map(|(name, token)| {
                let token = token.as_str().or_else(|| token.get("content")?.as_str())?;
                Some((name.clone(), token.into()))
            });
        let sources = default.to_owned() + named("tool_use").unwrap_or_default();
        Ok(ModelTemplate {
            template: parse(default)?,
            tool_template: named("tool_use").map(parse).transpose()?,
            tokens: tokens.collect(),
            format: Format {
                thinking: sources.contains("<think>") || sources.contains("</think>"),
                tagged_calls: sources.contains("<tool_call>").then(|| {
                    // Templates that show one of these use it; more than one none does.
                    if sources.contains("<function=") {
                        TaggedCall::Function
                    } else if sources.contains("<arg_key>") {
                        TaggedCall::Keys
                    } else {
                        TaggedCall::Json
                    }
                }),
                ..Format::default()
            },
        })
    }

    /// What the template wrote is trusted, what the caller supplied is not.
    fn render(&self, conversation: &Conversation) -> Result<Vec<Segment>, Error> {
        let mut prompt = Prompt::default();
        for (piece, origin) in self.text(conversation)?.runs() {
            match origin {
                Origin::Template => prompt.trusted(piece),
                Origin::Caller => prompt.untrusted(piece),
            }
        }
        Ok(prompt.finish())
    }

    fn stops(&self) -> Vec<String> {
        // A template says nothing of where the model stops; the model's end tokens do.
        Vec::new()
    }

    fn format(&self) -> Format {
        self.format
    }
}

impl ModelTemplate {
    fn text(&self, given: &Conversation) -> Result<Text, Error> {
        let (options, seconds) = conversation::options(given)?;
        let clock = seconds.map(|seconds| Clock { seconds });
        let (context, has_tools) = match &given.context {
            Some(context) => {
                let context = Json::Object(conversation::object(context, "the context")?);
                let has_tools = context.get("tools").is_some_and(|tools| !tools.items().is_empty());
                (context.entries().to_vec(), has_tools)
            }
            None => {
                let mut context = crate::conversation::context(given, options)?;
                context.extend_from_slice(&self.tokens);
                (context, !given.tools.is_empty())
            }
        };
        self.template(has_tools).render(&context, &self.tokens, clock).map_err(invalid_input)
    }

    fn template(&self, has_tools: bool) -> &Template {
        self.tool_template.as_ref().filter(|_| has_tools).unwrap_or(&self.template)
    }
}

fn parse(source: &str) -> Result<Template, Error> {
    Template::parse(source).map_err(invalid_input)
}

fn invalid_input(error: crate::Error) -> Error {
    Error::InvalidInput(error.to_string())
}
