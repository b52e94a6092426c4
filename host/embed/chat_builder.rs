//! How a conversation is set up.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::runtime::Handle;
use wasmlx_components::{ComponentKind, Grant, Grants, Message, MessageLog};

use super::answer_options::AnswerOptions;
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
    chat: Option<ComponentRef>,
    template_options: Map<String, Value>,
    tools: Vec<Tool>,
    grants: Grants,
    pub(super) options: AnswerOptions,
}

impl ChatBuilder {
    pub(crate) fn new(model: Model) -> Self {
        Self {
            model,
            system: None,
            template: None,
            chat: None,
            template_options: Map::new(),
            tools: Vec::new(),
            grants: Grants::none(),
            options: AnswerOptions::default(),
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

    /// The conversation, with its components loaded and checked.
    ///
    /// # Errors
    /// `NotFound` and `InvalidComponent` for components, `InvalidInput` for the sampler's parameters and for a grammar,
    /// `InvalidModel` for a model without a tokenizer.
    ///
    /// # Panics
    /// Outside of a tokio runtime: the conversation runs as a task on it.
    pub async fn build(mut self) -> Result<Chat> {
        let bound = || self.model.bindings().system.clone();
        let system = self.system.take().or_else(bound);
        let template_options = std::mem::take(&mut self.template_options);
        let runtime = Handle::current();
        let server = self.serve().await?;
        let component = server.places().chat();
        server.granted().load(server.model(), component.component()).await?;
        server.model().host().register(&server);
        let log = MessageLog::new(system.map(Message::system).into_iter().collect());
        Ok(Chat::new(runtime, server, template_options, log))
    }

    /// What serves a chat or an agent, with what sits in the slots loaded and checked.
    pub(crate) async fn serve(mut self) -> Result<Arc<ChatServer>> {
        self.bind();
        let Self { model, system: _, template, chat, template_options: _, tools, grants, options } = self;
        let AnswerOptions { sampler, sampler_params, max_tokens, stops, ignore_eos, seed, logprobs, grammar } = options;
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
            let grammar = grammar.map(|source| SetGrammar::compile(&loading, source)).transpose()?;
            let settings = Settings { max_tokens, stops, ignore_eos, seed, logprobs, grammar };
            Ok((ChatPlaces::new(loading, has_tools, own, &sampler_params)?, template, settings))
        });
        let (places, template, settings) = loaded.await?;
        let granted = Granted::new(grants, template, has_tools);
        Ok(Arc::new(ChatServer::new(model, places, tools, granted, settings)))
    }

    /// What the user bound the model to takes the place of what was not said.
    fn bind(&mut self) {
        let bound = self.model.bindings();
        let component = |name: &Option<String>| name.as_deref().map(ComponentRef::from);
        self.template = self.template.take().or_else(|| component(&bound.template));
        self.chat = self.chat.take().or_else(|| component(&bound.chat));
        self.options.bind(bound);
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
