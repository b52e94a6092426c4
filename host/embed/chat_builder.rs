//! How a conversation is set up.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::runtime::Handle;
use wasmlx_components::{ComponentKind, Grant, Grants, Message, MessageLog};
use wasmlx_text::GrammarSource;

use super::blocking;
use super::chat::Chat;
use super::chat_places::{ChatPlaces, Own};
use super::chat_server::{ChatServer, SetGrammar, Settings};
use super::components::ComponentRef;
use super::error::Result;
use super::granted::Granted;
use super::model::Model;
use super::sampler::Sampler;
use super::slots::Occupant;
use super::tool::Tool;

/// The chat component that nobody has to ask for.
pub const DEFAULT_CHAT: &str = "chat";

/// How a conversation is to be.
#[must_use]
pub struct ChatBuilder {
    model: Model,
    system: Option<String>,
    template: Option<ComponentRef>,
    sampler: Sampler,
    sampler_params: Map<String, Value>,
    chat: Option<ComponentRef>,
    template_options: Map<String, Value>,
    tools: Vec<Tool>,
    grammar: Option<GrammarSource>,
    grants: Grants,
    settings: Settings,
}

impl ChatBuilder {
    pub(crate) fn new(model: Model) -> Self {
        Self {
            model,
            system: None,
            template: None,
            sampler: Sampler::Default,
            sampler_params: Map::new(),
            chat: None,
            template_options: Map::new(),
            tools: Vec::new(),
            grammar: None,
            grants: Grants::none(),
            settings: Settings::default(),
        }
    }

    /// What the model is told before the conversation. Nothing is added where nothing is said.
    pub fn system(mut self, text: impl Into<String>) -> Self {
        self.system = Some(text.into());
        self
    }

    /// The component that writes prompts and reads answers; without it what sits in the host's slot: the model's own
    /// chat template (by `jinja`), else `chatml`, until a [swap](crate::Host::swap).
    pub fn template(mut self, template: impl Into<ComponentRef>) -> Self {
        self.template = Some(template.into());
        self
    }

    /// An option that templates know: `enable_thinking`.
    pub fn template_option(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.template_options.insert(name.into(), value.into());
        self
    }

    /// What chooses the tokens.
    pub fn sampler(mut self, sampler: impl Into<Sampler>) -> Self {
        self.sampler = sampler.into();
        self
    }

    /// A parameter of the sampler: `temperature`, `top_p`.
    pub fn sampler_param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.sampler_params.insert(name.into(), value.into());
        self
    }

    /// Parameters of the sampler, in place of those before.
    pub fn sampler_params(mut self, params: Map<String, Value>) -> Self {
        self.sampler_params = params;
        self
    }

    /// The component that runs the conversation.
    pub fn chat_component(mut self, chat: impl Into<ComponentRef>) -> Self {
        self.chat = Some(chat.into());
        self
    }

    /// A tool that the model may call.
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Grants the component that runs the conversation, or the agent, one thing more. It is given where the component
    /// asks for it in its manifest.
    pub fn grant(mut self, grant: Grant) -> Self {
        self.grants.extend([grant]);
        self
    }

    /// What the component is granted, in place of what was before.
    pub fn grants(mut self, grants: impl IntoIterator<Item = Grant>) -> Self {
        self.grants = grants.into_iter().collect();
        self
    }

    /// The most tokens of one answer; 512 where nothing is said.
    pub fn max_tokens(mut self, count: usize) -> Self {
        self.settings.max_tokens = count;
        self
    }

    /// Strings at which an answer ends, besides those of the template. They are no part of it.
    pub fn stops(mut self, stops: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.stops = stops.into_iter().map(Into::into).collect();
        self
    }

    /// Go on past the tokens that end an answer.
    pub fn ignore_eos(mut self, ignore: bool) -> Self {
        self.settings.ignore_eos = ignore;
        self
    }

    /// What random draws depend on; a new one each time where nothing is said.
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Report how likely each token was, and the `top` best in its place. Costs one reading of the device a token.
    pub fn logprobs(mut self, top: u32) -> Self {
        self.settings.logprobs = Some(top);
        self
    }

    /// Answers are JSON of this schema, each as a whole: `finish_reason` says where one was cut. The model calls no tools
    /// then. Where its template lets it reason first, it does, and the schema is for what comes after.
    ///
    /// This, [`regex`](Self::regex) and [`lark`](Self::lark) take the place of each other.
    pub fn json_schema(self, schema: impl Into<Value>) -> Self {
        self.grammar(GrammarSource::JsonSchema(schema.into()))
    }

    /// Answers match this regular expression as a whole.
    pub fn regex(self, expression: impl Into<String>) -> Self {
        self.grammar(GrammarSource::Regex(expression.into()))
    }

    /// Answers are of this grammar, written in llguidance's form of Lark.
    pub fn lark(self, grammar: impl Into<String>) -> Self {
        self.grammar(GrammarSource::Lark(grammar.into()))
    }

    fn grammar(mut self, source: GrammarSource) -> Self {
        self.grammar = Some(source);
        self
    }

    /// The conversation, with its components loaded and checked.
    ///
    /// # Errors
    /// `NotFound` and `InvalidComponent` for components, `InvalidInput` for the sampler's parameters and for a grammar,
    /// `InvalidModel` for a model without a tokenizer.
    ///
    /// # Panics
    /// Outside of a tokio runtime: the conversation runs as a task on it.
    pub async fn build(mut self) -> Result<Chat> {
        let (system, template_options) = (self.system.take(), std::mem::take(&mut self.template_options));
        let runtime = Handle::current();
        let server = self.serve().await?;
        let component = server.places().chat();
        server.granted().load(server.model(), component.component()).await?;
        server.model().host().register(&server);
        let log = MessageLog::new(system.map(Message::system).into_iter().collect());
        Ok(Chat::new(runtime, server, template_options, log))
    }

    /// What serves a chat or an agent, with what sits in the slots loaded and checked.
    pub(crate) async fn serve(self) -> Result<Arc<ChatServer>> {
        let Self {
            model,
            system: _,
            template,
            sampler,
            sampler_params,
            chat,
            template_options: _,
            tools,
            grammar,
            grants,
            mut settings,
        } = self;
        let (has_tools, loading) = (!tools.is_empty(), model.clone());
        let loaded = blocking::spawn("wasmlx-components", move || {
            let components = loading.host().components();
            let load = |component: Option<ComponentRef>, kind| {
                component.map(|component| components.load(&component, kind).map(Occupant::Component)).transpose()
            };
            let own = Own {
                template: load(template, ComponentKind::Template)?,
                sampler: match sampler {
                    Sampler::Default => None,
                    sampler => Some(sampler.occupant(components)?),
                },
                chat: load(chat, ComponentKind::Chat)?,
            };
            let template = own.template.clone().unwrap_or(Occupant::Default);
            settings.grammar = grammar.map(|source| SetGrammar::compile(&loading, source)).transpose()?;
            Ok((ChatPlaces::new(loading, has_tools, own, &sampler_params)?, template, settings))
        });
        let (places, template, settings) = loaded.await?;
        let granted = Granted::new(grants, template, has_tools);
        Ok(Arc::new(ChatServer::new(model, places, tools, granted, settings)))
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }
}

/// What a chat component is configured with. What a generation is to be like it does not say: that is asked of the
/// host at each, and so may change.
pub(crate) fn chat_config(template_options: &Map<String, Value>) -> String {
    serde_json::json!({"options": template_options}).to_string()
}
