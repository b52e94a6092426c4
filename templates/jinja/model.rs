//! The chat template of one model, from its configuration: what the component is once it is configured.

use serde_json::{Map, Value as Json};
use wasmlx_template_support::answer::Format;
use wasmlx_template_support::{Conversation, Message, Part, Segment};

use crate::conversation;
use crate::error::{Error, ErrorKind, Result};
use crate::python::time::Clock;
use crate::template::Template;
use crate::text::{Origin, Text};

/// A model's chat template and special tokens.
pub struct ModelTemplate {
    template: Template,
    /// What some models render conversations with tools by.
    tool_template: Option<Template>,
    /// `bos_token` and the like, by name.
    tokens: Map<String, Json>,
    format: Format,
}

impl ModelTemplate {
    /// Reads a configuration: a JSON object with `chat_template`, a template's source or a list of objects with
    /// `name` and `template`, and the special tokens of the model's `tokenizer_config.json`.
    pub fn configure(config: &str) -> Result<ModelTemplate> {
        let config = object(config, "the configuration of the template")?;
        let source = config.get("chat_template").unwrap_or(&Json::Null);
        let named = |name: &str| {
            let list = source.as_array()?.iter();
            list.filter(|entry| entry["name"] == name).find_map(|entry| entry["template"].as_str())
        };
        let Some(default) = source.as_str().or_else(|| named("default")) else {
            let message = "the model has no `chat_template`: choose a template that needs none, such as chatml";
            return Err(Error::new(ErrorKind::Input, message));
        };
        let tokens = config.iter().filter(|(name, _)| name.ends_with("_token")).filter_map(|(name, token)| {
            let token = token.as_str().or_else(|| token.get("content")?.as_str())?;
            Some((name.clone(), token.into()))
        });
        let mut model = ModelTemplate {
            template: Template::parse(default)?,
            tool_template: named("tool_use").map(Template::parse).transpose()?,
            tokens: tokens.collect(),
            format: Format {
                thinking: default.contains("<think>") || default.contains("</think>"),
                tagged_calls: default.contains("<tool_call>"),
                ..Format::default()
            },
        };
        model.format.starts_thinking = model.format.thinking && model.opens_reasoning();
        Ok(model)
    }

    /// How the model marks its answers, as far as its template tells.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The conversation as segments: what the template wrote is trusted, what the caller supplied is not.
    pub fn render(&self, conversation: &Conversation) -> Result<Vec<Segment>> {
        let mut segments = Vec::new();
        for (piece, origin) in self.text(conversation)?.runs() {
            segments.push(match origin {
                Origin::Template => Segment::Trusted(piece.to_owned()),
                Origin::Caller => Segment::Untrusted(piece.to_owned()),
            });
        }
        Ok(segments)
    }

    fn text(&self, conversation: &Conversation) -> Result<Text> {
        let mut options = match conversation.options.trim() {
            "" => Map::new(),
            options => object(options, "the options of the template")?,
        };
        let clock = match options.shift_remove("now") {
            None | Some(Json::Null) => None,
            Some(now) => {
                let seconds = now.as_i64().or_else(|| now.as_f64().map(|seconds| seconds as i64));
                let message = "the option `now` must be a number of seconds";
                Some(Clock { seconds: seconds.ok_or_else(|| Error::new(ErrorKind::Input, message))? })
            }
        };
        if let Some(context) = &conversation.context {
            let context = object(context, "the context")?;
            let has_tools = context.get("tools").and_then(Json::as_array).is_some_and(|tools| !tools.is_empty());
            return self.template(has_tools).render(&context, clock);
        }
        let mut context = self.tokens.clone();
        context.extend(conversation::context(conversation, options)?);
        self.template(!conversation.tools.is_empty()).render(&context, clock)
    }

    fn template(&self, has_tools: bool) -> &Template {
        self.tool_template.as_ref().filter(|_| has_tools).unwrap_or(&self.template)
    }

    /// Whether the template ends a prompt within `<think>`, so that an answer begins there.
    fn opens_reasoning(&self) -> bool {
        let message = Message {
            role: "user".to_owned(),
            content: vec![Part::Text("Hi".to_owned())],
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
        self.text(&conversation).is_ok_and(|prompt| prompt.as_str().trim_end().ends_with("<think>"))
    }
}

fn object(text: &str, what: &str) -> Result<Map<String, Json>> {
    serde_json::from_str(text)
        .map_err(|error| Error::new(ErrorKind::Input, format!("{what}: not a JSON object: {error}")))
}
