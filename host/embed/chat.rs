//! Conversations.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::runtime::Handle;
use wasmlx_components::{
    ChatComponent, ChatSession, ComponentKind, FinishReason as WitFinishReason, Message, MessageLog, TemplateSetup,
};
use wasmlx_engine::SavedState;

use super::blocking;
use super::cancel::Canceller;
use super::chat_server::{ChatServer, Settings};
use super::components::ComponentRef;
use super::error::{Error, ErrorKind, Result};
use super::event::{Event, no_end};
use super::model::{Model, default_template, template_config};
use super::report::{FinishReason, Tally};
use super::sampler::{LoadedSampler, Sampler, vocabulary};
use super::saved_chat::SavedChat;
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
    chat: ComponentRef,
    template_options: Map<String, Value>,
    tools: Vec<Tool>,
    settings: Settings,
}

impl ChatBuilder {
    pub(crate) fn new(model: Model) -> Self {
        Self {
            model,
            system: None,
            template: None,
            sampler: Sampler::Default,
            chat: DEFAULT_CHAT.into(),
            template_options: Map::new(),
            tools: Vec::new(),
            settings: Settings::default(),
        }
    }

    /// What the model is told before the conversation. Nothing is added where nothing is said.
    pub fn system(mut self, text: impl Into<String>) -> Self {
        self.system = Some(text.into());
        self
    }

    /// The component that writes prompts and reads answers; without it the model's own chat template (by `jinja`),
    /// else `chatml`.
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

    /// Parameters of the sampler, a JSON object.
    pub fn sampler_params(mut self, params: Map<String, Value>) -> Self {
        self.settings.sampler_params = params;
        self
    }

    /// The component that runs the conversation.
    pub fn chat_component(mut self, chat: impl Into<ComponentRef>) -> Self {
        self.chat = chat.into();
        self
    }

    /// A tool that the model may call.
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
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

    /// The conversation, with its components loaded and checked.
    ///
    /// # Errors
    /// `NotFound` and `InvalidComponent` for components, `InvalidInput` for the sampler's parameters, `InvalidModel`
    /// for a model without a tokenizer.
    ///
    /// # Panics
    /// Outside of a tokio runtime: the conversation runs as a task on it.
    pub async fn build(self) -> Result<Chat> {
        let Self { model, system, template, sampler, chat, template_options, tools, settings } = self;
        let runtime = Handle::current();
        let (tools_given, loading) = (!tools.is_empty(), model.clone());
        let loaded = blocking::spawn("wasmlx-components", move || {
            let template = load_template(&loading, template, tools_given)?;
            let sampler = load_sampler(&loading, &sampler, &settings.sampler_params).map(|loaded| (sampler, loaded))?;
            Ok((template, sampler, load_chat(&loading, &chat)?, settings))
        });
        let (template, (sampler, loaded_sampler), component, settings) = loaded.await?;
        let server = Arc::new(ChatServer::new(model, template, loaded_sampler, tools, settings));
        let log = MessageLog::new(system.map(Message::system).into_iter().collect());
        let config = chat_config(&template_options);
        let session = ChatSession::start(&runtime, component.clone(), config, log.clone(), server.clone());
        Ok(Chat { runtime, server, session, component, log, sampler, template_options, unsettled: false })
    }
}

/// A conversation with a model. A turn at a time; dropping it ends it.
pub struct Chat {
    runtime: Handle,
    server: Arc<ChatServer>,
    session: ChatSession,
    component: ChatComponent,
    log: MessageLog,
    sampler: Sampler,
    template_options: Map<String, Value>,
    /// A turn was dropped before its end and may still be winding down.
    unsettled: bool,
}

impl Chat {
    /// Says something, and begins the answer. The message is part of the conversation unless the turn fails.
    ///
    /// # Errors
    /// [`ErrorKind::Unloaded`]; most errors come as the turn's last event.
    pub async fn send(&mut self, text: impl Into<String>) -> Result<Turn<'_>> {
        self.send_messages(vec![Message::user(text)]).await
    }

    /// Adds messages, such as the results of tools that the application called, and begins the answer.
    ///
    /// # Errors
    /// As [`Chat::send`].
    pub async fn send_messages(&mut self, messages: Vec<Message>) -> Result<Turn<'_>> {
        self.turn(messages).await
    }

    /// Answers the user's last message anew.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where the user has said nothing yet.
    pub async fn retry(&mut self) -> Result<Turn<'_>> {
        let messages = self.log.messages();
        let Some(last) = messages.iter().rposition(|message| message.role == "user") else {
            return Err(Error::new(ErrorKind::InvalidInput, "there is no message of the user's to answer again"));
        };
        self.settle().await;
        self.log.truncate(last + 1);
        self.turn(Vec::new()).await
    }

    async fn turn(&mut self, messages: Vec<Message>) -> Result<Turn<'_>> {
        self.settle().await;
        self.server.begin(Tally::start(self.server.settings().logprobs.is_some()));
        let turn = self.session.send(messages);
        self.unsettled = true;
        Ok(Turn { chat: self, turn })
    }

    /// Waits until a turn that was dropped has left the log as it was.
    async fn settle(&mut self) {
        if std::mem::take(&mut self.unsettled) {
            // Commands are served in order; what is saved is not wanted here, and whether it could be does not matter.
            let _ = self.session.save().await;
        }
    }

    /// All messages, the system prompt included.
    pub fn messages(&self) -> Vec<Message> {
        self.log.messages()
    }

    /// Forgets the conversation; the system prompt stays.
    pub async fn clear(&mut self) -> Result<()> {
        self.settle().await;
        self.log.truncate(usize::from(self.has_system()));
        self.restart(None);
        Ok(())
    }

    /// Sets what the model is told before the conversation, or removes it.
    pub fn set_system(&mut self, text: Option<String>) {
        let rest = self.log.messages().split_off(usize::from(self.has_system()));
        self.log.replace(text.map(Message::system).into_iter().chain(rest).collect());
    }

    fn has_system(&self) -> bool {
        self.log.messages().first().is_some_and(|message| message.role == "system")
    }

    /// The most tokens of one answer.
    pub fn set_max_tokens(&mut self, count: usize) {
        self.server.change(|settings| settings.max_tokens = count);
    }

    /// What random draws depend on.
    pub fn set_seed(&mut self, seed: u64) {
        self.server.change(|settings| settings.seed = Some(seed));
    }

    /// Sets a parameter of the sampler.
    ///
    /// # Errors
    /// What the sampler says of it; then the parameters stay as they were.
    pub async fn set_sampler_param(&mut self, name: &str, value: impl Into<Value>) -> Result<()> {
        let mut params = self.server.settings().sampler_params;
        params.insert(name.to_owned(), value.into());
        self.use_sampler(self.sampler.clone(), params).await
    }

    /// Sets an option that templates know.
    ///
    /// # Errors
    /// Where the chat component cannot be carried over to it.
    pub async fn set_template_option(&mut self, name: &str, value: impl Into<Value>) -> Result<()> {
        let saved = self.session.save().await?;
        self.template_options.insert(name.to_owned(), value.into());
        self.restart(Some(saved));
        Ok(())
    }

    /// What can be set, as it is now, for a person to read.
    pub fn settings(&self) -> Value {
        let Settings { max_tokens, stops, seed, sampler_params, .. } = self.server.settings();
        serde_json::json!({
            "template": self.server.template_name(),
            "sampler": sampler_params,
            "chat": self.component.component().name(),
            "max_tokens": max_tokens,
            "stops": stops,
            "seed": seed,
            "options": self.template_options,
        })
    }

    /// Writes prompts with another component from the next turn on. What the model has read of the text that both
    /// write alike is not read again.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`, and what the component says of its configuration; then the old one stays.
    pub async fn swap_template(&mut self, template: impl Into<ComponentRef>) -> Result<()> {
        let (model, template, tools) = (self.server.model().clone(), template.into(), self.server.has_tools());
        let load = move || load_template(&model, Some(template), tools);
        self.server.set_template(blocking::spawn("wasmlx-components", load).await?);
        Ok(())
    }

    /// Chooses tokens with another sampler from the next generation on. The parameters stay where the new one knows
    /// them, else they are dropped.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`; then the old one stays.
    pub async fn swap_sampler(&mut self, sampler: impl Into<Sampler>) -> Result<()> {
        let sampler = sampler.into();
        match self.use_sampler(sampler.clone(), self.server.settings().sampler_params).await {
            Err(error) if error.kind() == ErrorKind::InvalidInput => self.use_sampler(sampler, Map::new()).await,
            used => used,
        }
    }

    async fn use_sampler(&mut self, sampler: Sampler, params: Map<String, Value>) -> Result<()> {
        let model = self.server.model().clone();
        let (chosen, given) = (sampler.clone(), params.clone());
        let load = move || load_sampler(&model, &chosen, &given);
        let loaded = blocking::spawn("wasmlx-components", load).await?;
        self.sampler = sampler;
        self.server.set_sampler(loaded);
        self.server.change(|settings| settings.sampler_params = params);
        Ok(())
    }

    /// Lets another component run the conversation from the next turn on, with what the old one saves.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`, and where the new one refuses the old one's state; then the old one stays.
    pub async fn swap_chat(&mut self, chat: impl Into<ComponentRef>) -> Result<()> {
        let (model, chat) = (self.server.model().clone(), chat.into());
        let component = blocking::spawn("wasmlx-components", move || load_chat(&model, &chat)).await?;
        self.session.swap(component.clone()).await?;
        self.component = component;
        Ok(())
    }

    /// The conversation so far, to be gone on with later. A turn that was dropped before its end is no part of it.
    ///
    /// # Errors
    /// Where the chat component cannot save.
    pub async fn save(&mut self) -> Result<SavedChat> {
        let state = self.session.save().await?;
        self.unsettled = false;
        Ok(SavedChat { messages: self.log.messages(), state })
    }

    /// Goes on with a conversation that was saved, in place of this one.
    ///
    /// # Errors
    /// A chat component that refuses the state says so in the next turn.
    pub async fn load(&mut self, saved: &SavedChat) -> Result<()> {
        self.settle().await;
        self.log.replace(saved.messages.clone());
        self.restart(Some(saved.state.clone()));
        Ok(())
    }

    /// A new session on the same log.
    fn restart(&mut self, saved: Option<SavedState>) {
        let config = chat_config(&self.template_options);
        let (component, log, server) = (self.component.clone(), self.log.clone(), self.server.clone());
        self.session = ChatSession::resume(&self.runtime, component, config, saved, log, server);
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").field("messages", &self.log.len()).field("settings", &self.settings()).finish()
    }
}

/// An answer under way. Dropping it before its end breaks it off, and the conversation is as it was before.
pub struct Turn<'a> {
    chat: &'a mut Chat,
    turn: wasmlx_components::Turn,
}

impl Turn<'_> {
    /// The next event, waiting for it; none after [`Event::Finished`] or an error.
    ///
    /// It may be dropped while it waits; nothing is lost.
    pub async fn next(&mut self) -> Option<Result<Event>> {
        use wasmlx_components::ChatEvent;
        loop {
            let event = match self.turn.next().await? {
                Ok(event) => event,
                Err(error) => {
                    self.chat.unsettled = false;
                    return Some(Err(error.into()));
                }
            };
            return Some(Ok(match event {
                ChatEvent::Content(text) => Event::Content(text),
                ChatEvent::Reasoning(text) => Event::Reasoning(text),
                ChatEvent::ToolCall(call) => Event::ToolCall(call),
                ChatEvent::ToolResult { id, result } => Event::ToolResult { id, result },
                // The report has it, counted by the host.
                ChatEvent::Usage(_) => continue,
                ChatEvent::Done(reason) => {
                    self.chat.unsettled = false;
                    match self.chat.server.end() {
                        Some(tally) => Event::Finished(tally.report(reason.into())),
                        None => return Some(Err(no_end())),
                    }
                }
            }));
        }
    }

    /// Breaks the answer off. What was generated by then still comes and stays in the conversation.
    pub fn cancel(&self) {
        self.turn.cancel();
    }

    /// Does the same from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.turn.canceller().into()
    }
}

impl From<WitFinishReason> for FinishReason {
    fn from(reason: WitFinishReason) -> Self {
        match reason {
            WitFinishReason::Stop => Self::Stop,
            WitFinishReason::Length => Self::Length,
            WitFinishReason::ToolCalls => Self::ToolCalls,
            WitFinishReason::Cancelled => Self::Cancelled,
        }
    }
}

/// The template of a model, checked by making an instance of it. Blocks.
fn load_template(model: &Model, template: Option<ComponentRef>, tools: bool) -> Result<TemplateSetup> {
    let tokenizer = model.tokenizer()?;
    let template = template.unwrap_or_else(|| default_template(tokenizer).into());
    let component = model.host().components().load(&template, ComponentKind::Template)?;
    let setup = TemplateSetup { component, config: template_config(tokenizer, tools).to_string() };
    setup.instantiate()?;
    Ok(setup)
}

/// A sampler, its parameters checked by planning or making a policy. Blocks.
fn load_sampler(model: &Model, sampler: &Sampler, params: &Map<String, Value>) -> Result<LoadedSampler> {
    let loaded = sampler.load(model.host().components(), params, model.generation_config())?;
    loaded.sampling(&vocabulary(model))?;
    Ok(loaded)
}

/// A chat component. Blocks.
fn load_chat(model: &Model, chat: &ComponentRef) -> Result<ChatComponent> {
    Ok(ChatComponent::new(&model.host().components().load(chat, ComponentKind::Chat)?)?)
}

/// What a chat component is configured with. What a generation is to be like it does not say: that is asked of the
/// host at each, and so may change.
fn chat_config(template_options: &Map<String, Value>) -> String {
    serde_json::json!({"options": template_options}).to_string()
}
