//! Conversations.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use tokio::runtime::Handle;
use wasmlx_components::{ChatSession, Message, MessageLog};
use wasmlx_engine::SavedState;
use wasmlx_text::GrammarSource;

use super::blocking;
use super::chat_builder::chat_config;
use super::chat_server::{ChatServer, SetGrammar, Settings};
use super::components::ComponentRef;
use super::error::{Error, ErrorKind, Result};
use super::report::Tally;
use super::sampler::Sampler;
use super::saved_chat::SavedChat;
use super::slots::{Occupant, Slot};
use super::swap::{self, SwapOptions, SwapReport};
use super::turn::{Permit, Running, TakenOut, Turn};

/// A conversation with a model, made by [`Model::chat`](crate::Model::chat).
///
/// One thing at a time: while a turn runs, what would change the messages fails with [`ErrorKind::Busy`]. Components
/// can be swapped meanwhile; a turn goes on with those it began with. Dropping the chat and its turns ends it.
pub struct Chat {
    runtime: Handle,
    server: Arc<ChatServer>,
    log: MessageLog,
    taken_out: TakenOut,
    running: Running,
    state: Mutex<State>,
}

/// What changes in a chat's life, besides its messages.
struct State {
    session: Arc<ChatSession>,
    template_options: Map<String, Value>,
    /// How many messages there were before the turn that runs or was dropped.
    before: usize,
}

impl Chat {
    pub(crate) fn new(
        runtime: Handle,
        server: Arc<ChatServer>,
        template_options: Map<String, Value>,
        log: MessageLog,
    ) -> Self {
        let session = session(&runtime, &server, &template_options, None, &log);
        let state = State { session, template_options, before: 0 };
        let taken_out = TakenOut::none(log.clone());
        Self { runtime, server, log, taken_out, running: Running::default(), state: Mutex::new(state) }
    }

    /// Says something, and begins the answer. Both are part of the conversation unless the turn fails.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`]. Other errors come as the turn's last event.
    pub async fn send(&self, text: impl Into<String>) -> Result<Turn> {
        self.send_messages(vec![Message::user(text)]).await
    }

    /// Adds messages, such as the results of tools that the application called, and begins the answer.
    ///
    /// # Errors
    /// As [`Chat::send`].
    pub async fn send_messages(&self, messages: Vec<Message>) -> Result<Turn> {
        self.settled().await?;
        let permit = self.running.begin()?;
        Ok(self.turn(permit, messages))
    }

    /// Answers the user's last message anew. The answer before is gone once the new one is complete; it stays where
    /// that fails or is dropped.
    ///
    /// # Errors
    /// As [`Chat::send`]; [`ErrorKind::InvalidInput`] where the user has said nothing yet.
    pub async fn retry(&self) -> Result<Turn> {
        self.settled().await?;
        let mut permit = self.running.begin()?;
        let messages = self.log.messages();
        let Some(last) = messages.iter().rposition(|message| message.role == "user") else {
            permit.end();
            return Err(Error::new(ErrorKind::InvalidInput, "there is no message of the user's to answer again"));
        };
        self.taken_out.set(self.log.split_off(last + 1));
        Ok(self.turn(permit, Vec::new()))
    }

    fn turn(&self, permit: Permit, messages: Vec<Message>) -> Turn {
        self.server.begin(Tally::start(self.server.settings().logprobs.is_some()));
        let mut state = self.state();
        state.before = self.log.len();
        Turn::new(state.session.send(messages), Arc::clone(&self.server), self.taken_out.clone(), permit)
    }

    /// Makes sure that no turn runs, and that of one that was dropped nothing is left.
    async fn settled(&self) -> Result<()> {
        if self.running.is_settled()? {
            return Ok(());
        }
        let session = Arc::clone(&self.state().session);
        // Commands are served in order; what is saved is not wanted here, and whether it could be does not matter.
        let _ = session.save().await;
        // The turn may have come to its end before it was dropped, its last events unread.
        self.log.truncate(self.state().before);
        self.taken_out.put_back();
        self.running.settle();
        Ok(())
    }

    /// All messages, the system prompt included.
    pub fn messages(&self) -> Vec<Message> {
        self.log.messages()
    }

    /// Forgets the conversation; the system prompt stays.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub async fn clear(&self) -> Result<()> {
        self.settled().await?;
        self.log.truncate(usize::from(self.has_system()));
        self.restart(&mut self.state(), None);
        Ok(())
    }

    /// Sets what the model is told before the conversation, or removes it.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub async fn set_system(&self, text: Option<String>) -> Result<()> {
        self.settled().await?;
        let rest = self.log.messages().split_off(usize::from(self.has_system()));
        self.log.replace(text.map(Message::system).into_iter().chain(rest).collect());
        Ok(())
    }

    fn has_system(&self) -> bool {
        self.log.messages().first().is_some_and(|message| message.role == "system")
    }

    /// The most tokens of one answer.
    pub fn set_max_tokens(&self, count: usize) {
        self.server.change(|settings| settings.max_tokens = count);
    }

    /// What random draws depend on.
    pub fn set_seed(&self, seed: u64) {
        self.server.change(|settings| settings.seed = Some(seed));
    }

    /// Sets a parameter of the sampler.
    ///
    /// # Errors
    /// What the sampler says of it; then the parameters stay as they were.
    pub async fn set_sampler_param(&self, name: &str, value: impl Into<Value>) -> Result<()> {
        let mut params = self.server.places().sampler_params();
        params.insert(name.to_owned(), value.into());
        let server = Arc::clone(&self.server);
        blocking::spawn("wasmlx-components", move || server.places().set_sampler_params(&params)).await
    }

    /// Lets answers be JSON of this schema from the next generation on; none lets them be anything.
    ///
    /// # Errors
    /// `InvalidInput` for what is no schema; then all stays as it was.
    pub async fn set_json_schema(&self, schema: Option<Value>) -> Result<()> {
        self.set_grammar(schema.map(GrammarSource::JsonSchema)).await
    }

    /// Lets answers match this regular expression; see [`Chat::set_json_schema`].
    ///
    /// # Errors
    /// As [`Chat::set_json_schema`].
    pub async fn set_regex(&self, expression: Option<String>) -> Result<()> {
        self.set_grammar(expression.map(GrammarSource::Regex)).await
    }

    /// Lets answers be of this Lark grammar; see [`Chat::set_json_schema`].
    ///
    /// # Errors
    /// As [`Chat::set_json_schema`].
    pub async fn set_lark(&self, grammar: Option<String>) -> Result<()> {
        self.set_grammar(grammar.map(GrammarSource::Lark)).await
    }

    async fn set_grammar(&self, source: Option<GrammarSource>) -> Result<()> {
        let model = self.server.model().clone();
        let compile = move || source.map(|source| SetGrammar::compile(&model, source)).transpose();
        let grammar = blocking::spawn("wasmlx-grammar", compile).await?;
        self.server.change(|settings| settings.grammar = grammar);
        Ok(())
    }

    /// Sets an option that templates know, from the next turn on.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`]; where the chat component's state cannot be carried over.
    pub async fn set_template_option(&self, name: &str, value: impl Into<Value>) -> Result<()> {
        self.settled().await?;
        let session = Arc::clone(&self.state().session);
        let saved = session.save().await?;
        let mut state = self.state();
        state.template_options.insert(name.to_owned(), value.into());
        self.restart(&mut state, Some(saved));
        Ok(())
    }

    /// What can be set, as it is now, for a person to read.
    pub fn settings(&self) -> Value {
        let Settings { max_tokens, stops, seed, grammar, .. } = self.server.settings();
        let (state, places) = (self.state(), self.server.places());
        let grammar = match grammar.map(|grammar| grammar.source) {
            Some(GrammarSource::JsonSchema(schema)) => json!({"json_schema": schema}),
            Some(GrammarSource::Regex(expression)) => json!({"regex": expression}),
            Some(GrammarSource::Lark(text)) => json!({"lark": text}),
            _ => Value::Null,
        };
        json!({
            "template": places.name(Slot::Template),
            "sampler": places.name(Slot::Sampler),
            "sampler_params": places.sampler_params(),
            "chat": places.name(Slot::Chat),
            "max_tokens": max_tokens,
            "stops": stops,
            "seed": seed,
            "grammar": grammar,
            "options": state.template_options,
        })
    }

    /// Puts a component into a slot of this chat alone, from the next turn on; see
    /// [`Host::swap_with`](crate::Host::swap_with) for all that is done before and after. From here on swaps of the
    /// host's slot leave this chat alone.
    ///
    /// A new template reads on from what the model has read of the text that it writes like the old one. A new sampler
    /// keeps the parameters where it knows them, else they are dropped. A new chat component takes over what the old
    /// one saves; that waits for the turn that runs.
    ///
    /// # Errors
    /// `NotFound`, `InvalidComponent`, `CasesFailed`; what the component says of the model, the parameters or the old
    /// one's state. Then the old one stays.
    pub async fn swap_with(
        &self,
        slot: Slot,
        component: impl Into<ComponentRef>,
        options: SwapOptions,
    ) -> Result<SwapReport> {
        let loaded = swap::load(self.server.model().host(), slot, component.into(), options.is_forced()).await?;
        self.seat(slot, Occupant::Component(loaded.component.clone()), &options).await?;
        Ok(loaded.report(1))
    }

    /// Writes prompts with another component: [`Chat::swap_with`] with the usual options.
    ///
    /// # Errors
    /// As [`Chat::swap_with`].
    pub async fn swap_template(&self, template: impl Into<ComponentRef>) -> Result<()> {
        self.swap_with(Slot::Template, template, SwapOptions::new()).await.map(drop)
    }

    /// Chooses tokens with another sampler: [`Chat::swap_with`] with the usual options. The parameters stay where the
    /// new one knows them all; else all of them are dropped, and given back.
    ///
    /// # Errors
    /// As [`Chat::swap_with`].
    pub async fn swap_sampler(&self, sampler: impl Into<Sampler>) -> Result<Map<String, Value>> {
        let options = SwapOptions::new();
        let occupant = match sampler.into() {
            Sampler::Component(component) => {
                let host = self.server.model().host();
                Occupant::Component(swap::load(host, Slot::Sampler, component, false).await?.component)
            }
            Sampler::Native(chain) => Occupant::Native(chain),
            Sampler::Default => Occupant::Default,
        };
        let params = self.server.places().sampler_params();
        self.seat(Slot::Sampler, occupant, &options).await?;
        let are_kept = params == self.server.places().sampler_params();
        Ok(if are_kept { Map::new() } else { params })
    }

    /// Lets another component run the conversation: [`Chat::swap_with`] with the usual options.
    ///
    /// # Errors
    /// As [`Chat::swap_with`].
    pub async fn swap_chat(&self, chat: impl Into<ComponentRef>) -> Result<()> {
        self.swap_with(Slot::Chat, chat, SwapOptions::new()).await.map(drop)
    }

    /// Lets an occupant sit in this chat's own slot.
    async fn seat(&self, slot: Slot, occupant: Occupant, options: &SwapOptions) -> Result<()> {
        if let (Slot::Chat, Occupant::Component(component)) = (slot, &occupant) {
            self.server.granted().load(self.server.model(), component).await?;
        }
        let before = self.server.places().next_seat(slot);
        let seat = swap::seat(occupant, options, &before);
        let (server, putting) = (Arc::clone(&self.server), Arc::clone(&seat));
        blocking::spawn("wasmlx-components", move || server.places().swap(slot, &putting)).await?;
        if slot == Slot::Chat {
            let session = Arc::clone(&self.state().session);
            session.take_seat().await?;
        }
        swap::announce(self.server.model().host(), slot, &before, &seat);
        Ok(())
    }

    /// The conversation so far, to be gone on with later.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`]; where the chat component cannot save.
    pub async fn save(&self) -> Result<SavedChat> {
        self.settled().await?;
        let session = Arc::clone(&self.state().session);
        let state = session.save().await?;
        Ok(SavedChat { messages: self.log.messages(), state })
    }

    /// Goes on with a conversation that was saved, in place of this one. A chat component that does not take the
    /// state begins anew with the messages.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub async fn load(&self, saved: &SavedChat) -> Result<()> {
        self.settled().await?;
        self.log.replace(saved.messages.clone());
        self.restart(&mut self.state(), Some(saved.state.clone()));
        Ok(())
    }

    /// A new session on the same log.
    fn restart(&self, state: &mut State, saved: Option<SavedState>) {
        state.session = session(&self.runtime, &self.server, &state.template_options, saved, &self.log);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each use leaves a whole value behind, even where it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session on a log, with the chat component that the server has.
fn session(
    runtime: &Handle,
    server: &Arc<ChatServer>,
    template_options: &Map<String, Value>,
    saved: Option<SavedState>,
    log: &MessageLog,
) -> Arc<ChatSession> {
    let (component, config) = (server.places().chat(), chat_config(template_options));
    let session = ChatSession::resume(runtime, component, config, saved, log.clone(), server.clone());
    let session = Arc::new(session);
    server.attach(&session);
    session
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat").field("messages", &self.log.len()).field("settings", &self.settings()).finish()
    }
}
