//! What the host keeps beside a chat's instance, and what its imports do.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use cpu_time::ThreadTime;
use serde_json::json;
use wasmlx_engine::{
    Context, DeviceWork, EngineError, EngineErrorKind, Footprint, GenerateRequest, Generation, Model, PromptInfo,
};
use wasmlx_text::{Segment, Tokenizer};
use wasmtime::component::{Resource, ResourceTable};

use crate::budget::Budget;
use crate::cancellation::{Cancellation, Wish};
use crate::conversation::Conversation;
use crate::generation::{Generated, HeldGeneration};
use crate::guest_log::GuestLog;
use crate::limits::{BYTES_PER_CALL, MemoryMeter, TRIAL_BYTES, check_stops};
use crate::log::bytes_of;
use crate::taped::Taped;
use crate::template::Template;
use crate::token_budget::{Reservation, TokenBudget};
use crate::v0_1::types::wit;
use crate::{
    AnswerContext, ChatHost, ComponentError, ComponentErrorKind, ComponentKind, GenerateOptions, Message, MessageLog,
    Permissions, TemplateSetup,
};

/// The most contexts and generations of a session at once, and the most generations that the device is at work on.
const MOST_HANDLES: usize = 64;

/// The most tokens that a session's contexts may hold together, on the device too, in context lengths of the model.
const MOST_HELD: usize = 4;

/// The most messages that a component may append in one turn.
const MOST_APPENDED: usize = 1024;

/// The most messages that a session may come to have by what its component appends, turn after turn, and their bytes
/// together. A context of a million tokens has some 4 MiB of text.
const HISTORY_MESSAGES: usize = 65_536;
const HISTORY_BYTES: usize = 64 << 20;

/// The state of a chat's store.
pub(crate) struct ChatState {
    pub(crate) memory: MemoryMeter,
    pub(crate) budget: Budget,
    pub(crate) host: Arc<dyn ChatHost>,
    pub(crate) log: MessageLog,
    pub(crate) guest_log: GuestLog,
    pub(crate) table: ResourceTable,
    pub(crate) permissions: Permissions,
    pub(crate) taped: Taped,
    tokens: TokenBudget,
    /// What the templates of this turn are made of: that of the user's model first, then others by their models.
    setups: Vec<(Option<String>, Arc<TemplateSetup>)>,
    /// The session's instances of templates, and what they were made of.
    templates: Vec<(Arc<TemplateSetup>, Template)>,
    cancellation: Cancellation,
    /// Messages that the guest appended in this turn, and their bytes.
    appended: usize,
    appended_bytes: usize,
    /// The last error that the guest was told, as it was before it lost its kind and its component.
    told: Option<ComponentError>,
    /// What an earlier instance of the session had read, for the first context that this one opens.
    kept: Option<Context>,
    /// What the session's contexts take up: of those that there are, and of those that were dropped while their
    /// generations run.
    footprints: Vec<Footprint>,
    /// What the device does for the session's generations, those that were dropped before their end among them.
    works: Vec<DeviceWork>,
    /// The context that was used last, by its handle's number.
    used: Option<u32>,
    /// The components that broke down in this turn.
    faults: Vec<(ComponentKind, ComponentError)>,
    /// Whether the guest was told of a failure in this turn that it had no part in.
    is_excused: bool,
}

/// A context that a guest holds.
#[allow(unreachable_pub, reason = "the bindings re-export it")]
pub enum HeldContext {
    /// None once a panic has lost it.
    Model(Option<Context>),
    /// What a script or a tape has in the place of one: it holds nothing.
    Scripted,
}

impl ChatState {
    /// The state of a new instance.
    pub(crate) fn new(
        memory: MemoryMeter,
        budget: Budget,
        host: Arc<dyn ChatHost>,
        permissions: Permissions,
        tokens: TokenBudget,
        log: MessageLog,
        guest_log: GuestLog,
    ) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MOST_HANDLES);
        let setups = vec![(None, host.template())];
        let taped = Taped::new(host.tape());
        Self {
            memory,
            budget,
            host,
            log,
            guest_log,
            table,
            permissions,
            taped,
            tokens,
            setups,
            templates: Vec::new(),
            // What a component does before its first turn is part of none.
            cancellation: Cancellation::ended(),
            appended: 0,
            appended_bytes: 0,
            told: None,
            kept: None,
            footprints: Vec::new(),
            works: Vec::new(),
            used: None,
            faults: Vec::new(),
            is_excused: false,
        }
    }

    /// A turn begins. What sits in the template slot now is the turn's template.
    pub(crate) fn begin_turn(&mut self, cancellation: Cancellation) {
        self.cancellation = cancellation;
        self.setups = vec![(None, self.host.template())];
        (self.appended, self.appended_bytes) = (0, 0);
        self.told = None;
        self.faults.clear();
        self.is_excused = false;
    }

    /// The guest trapped, or ran into a limit. That is its own fault but where something else had failed before.
    pub(crate) fn broke_down(&mut self, error: &ComponentError) {
        if error.is_fault() && !self.is_excused {
            self.faults.push((ComponentKind::Chat, error.clone()));
        }
    }

    /// The components that broke down in this turn.
    pub(crate) fn take_faults(&mut self) -> Vec<(ComponentKind, ComponentError)> {
        std::mem::take(&mut self.faults)
    }

    /// Lets the first context that is opened be this one, which is vacant.
    pub(crate) fn keep(&mut self, context: Context) {
        self.footprints.push(context.footprint());
        self.kept = Some(context);
    }

    /// The context that was used last, for the session's next instance.
    pub(crate) fn take_context(&mut self) -> Option<Context> {
        let used = self.used.take().and_then(|number| self.table.delete(Resource::new_own(number)).ok());
        match used {
            Some(HeldContext::Model(Some(context))) => Some(context),
            _ => self.kept.take(),
        }
    }

    /// What a component did that works for the guest. A breakdown is noted.
    fn watched<T>(&mut self, kind: ComponentKind, outcome: Result<T, ComponentError>) -> Result<T, ComponentError> {
        outcome.inspect_err(|error| {
            if error.is_fault() {
                self.faults.push((kind, error.clone()));
            }
        })
    }

    /// The guest calls the host: until the result is dropped, nothing counts as its compute.
    pub(crate) fn enter(&mut self) -> Entered<'_> {
        self.budget.pause(Instant::now());
        if self.cancellation.wish() != Wish::Answer {
            self.budget.cancel();
        }
        Entered(self)
    }

    /// What the guest is told of an outcome.
    pub(crate) fn answer<T>(&mut self, outcome: Result<T, ComponentError>) -> Result<T, wit::Error> {
        outcome.map_err(|error| {
            use ComponentErrorKind as Kind;
            let is_others =
                matches!(error.kind(), Kind::ModelFailed | Kind::PolicyFailed | Kind::ContextFull | Kind::Cancelled);
            let device_is_full = error.engine_kind() == Some(EngineErrorKind::OutOfMemory);
            self.is_excused |= is_others || device_is_full || error.is_fault();
            self.told = Some(error.clone());
            error.into()
        })
    }

    /// An error that the guest answered. Where it is one that it was told, it has its kind and component again.
    pub(crate) fn answered(&mut self, error: wit::Error, component: &str) -> ComponentError {
        let answered = ComponentError::from(error);
        match self.told.take() {
            Some(told) if told.to_string() == answered.message() => told.of(component),
            _ => answered.of(component),
        }
    }

    /// The models that the component is given: the user's choice first.
    pub(crate) fn models(&self) -> Vec<Model> {
        let mut models = self.host.models();
        let mut is_first = true;
        models.retain(|model| std::mem::take(&mut is_first) || self.permissions.model(model.name()).is_ok());
        models
    }

    /// The model of a name; without one that of the user's choice.
    pub(crate) fn model(&self, name: Option<&str>) -> Result<Model, ComponentError> {
        let models = self.models();
        let found = models.iter().find(|model| name.is_none_or(|name| name == model.name()));
        found.cloned().ok_or_else(|| {
            let name = name.unwrap_or_default();
            if let Err(error) = self.permissions.model(name)
                && error.kind() == ComponentErrorKind::Denied
            {
                return error;
            }
            let names: Vec<&str> = models.iter().map(Model::name).collect();
            let message = format!("the session has no model `{name}`: it has {}", names.join(", "));
            ComponentError::new(ComponentErrorKind::NotFound, "", message)
        })
    }

    /// A new context.
    pub(crate) fn open(&mut self, model: Option<&str>) -> Result<Resource<HeldContext>, ComponentError> {
        let held = match self.host.script() {
            Some(_) => HeldContext::Scripted,
            None => {
                let model = self.model(model)?;
                match self.kept.take_if(|context| context.model().is_same(&model)) {
                    Some(kept) => HeldContext::Model(Some(kept)),
                    None => self.counted(model.new_context()),
                }
            }
        };
        self.hold(held)
    }

    /// A new context, which from here on is among those that the session is to hold no more than it may of.
    fn counted(&mut self, context: Context) -> HeldContext {
        self.footprints.retain(|footprint| footprint.tokens().is_some());
        self.footprints.push(context.footprint());
        HeldContext::Model(Some(context))
    }

    /// A handle of a context or a generation.
    pub(crate) fn hold<T: Send + 'static>(&mut self, held: T) -> Result<Resource<T>, ComponentError> {
        self.table.push(held).map_err(|_| too_many())
    }

    /// A context that the guest holds; none where a script has taken its place.
    pub(crate) fn context(&mut self, context: &Resource<HeldContext>) -> wasmtime::Result<Option<&mut Context>> {
        match self.table.get_mut(context)? {
            HeldContext::Scripted => Ok(None),
            HeldContext::Model(Some(context)) => Ok(Some(context)),
            HeldContext::Model(None) => Err(lost()),
        }
    }

    /// Has a context read a prompt.
    pub(crate) async fn read(
        &mut self,
        context: &Resource<HeldContext>,
        read: impl FnOnce(&mut Context) -> Result<PromptInfo, EngineError> + Send + 'static,
    ) -> wasmtime::Result<Result<PromptInfo, ComponentError>> {
        match self.context(context)? {
            Some(_) => self.with_context(context, move |context| Ok(read(context)?)).await,
            None => Ok(Ok(PromptInfo { tokens: 0, cached: 0 })),
        }
    }

    /// Works on a model's context off this thread: tokenising a long text takes a while.
    async fn with_context<T: Send + 'static>(
        &mut self,
        handle: &Resource<HeldContext>,
        work: impl FnOnce(&mut Context) -> Result<T, ComponentError> + Send + 'static,
    ) -> wasmtime::Result<Result<T, ComponentError>> {
        self.used = Some(handle.rep());
        let HeldContext::Model(held) = self.table.get_mut(handle)? else { return Err(lost()) };
        let mut context = held.take().ok_or_else(lost)?;
        let (context, result) = blocking(&mut self.budget, move || {
            let result = work(&mut context);
            Ok((context, result))
        })
        .await??;
        *self.table.get_mut(handle)? = HeldContext::Model(Some(context));
        Ok(result)
    }

    /// A second context with the same text.
    pub(crate) async fn fork(
        &mut self,
        context: &Resource<HeldContext>,
    ) -> wasmtime::Result<Result<Resource<HeldContext>, ComponentError>> {
        let (cancellation, held) = (self.cancellation.clone(), self.held());
        let fork = match self.context(context)? {
            Some(context) => {
                if let Err(error) = check_held(context.model(), held, context.held()) {
                    return Ok(Err(error));
                }
                tokio::select! {
                    biased;
                    fork = context.fork() => fork.map_err(Into::into),
                    // The device makes it between two steps, of which one may take long.
                    () = cancellation.cancelled() => Err(cancelled()),
                }
            }
            None => return Ok(self.hold(HeldContext::Scripted)),
        };
        Ok(fork.and_then(|fork| {
            let fork = self.counted(fork);
            self.hold(fork)
        }))
    }

    /// Goes on with a context's text.
    pub(crate) async fn generate(
        &mut self,
        context: &Resource<HeldContext>,
        options: GenerateOptions,
    ) -> wasmtime::Result<Result<Resource<HeldGeneration>, ComponentError>> {
        if let Err(error) = self.in_turn("generate") {
            return Ok(Err(error));
        }
        if self.cancellation.wish() != Wish::Answer {
            return Ok(Err(cancelled()));
        }
        if let Err(error) = check_stops(&options.stops) {
            return Ok(Err(error));
        }
        if let Some(script) = self.host.script() {
            return Ok(match script.next() {
                Ok(round) => self.hold(HeldGeneration::scripted(round)),
                Err(error) => Err(error),
            });
        }
        self.works.retain(|work| !work.is_over());
        if self.works.len() >= MOST_HANDLES {
            return Ok(Err(too_many()));
        }
        let Some(read) = self.context(context)? else { return Err(lost()) };
        let model = read.model().clone();
        let template = match self.template(&model).await? {
            Ok(template) => template,
            Err(error) => return Ok(Err(error)),
        };
        let (host, cancellation, tokens) = (Arc::clone(&self.host), self.cancellation.clone(), self.tokens.clone());
        let (is_recorded, held) = (self.taped.is_recording(), self.held());
        // Each failure with the component whose it would be.
        let begin = move |context: &mut Context| {
            let of = |kind| move |error: ComponentError| (kind, error);
            let (template_failed, policy_failed) = (of(ComponentKind::Template), of(ComponentKind::Policy));
            let mut request = host.request(context.model(), &options).map_err(policy_failed)?;
            for stop in options.stops.into_iter().chain(template.stops().map_err(template_failed)?) {
                if !request.stops.contains(&stop) {
                    request.stops.push(stop);
                }
            }
            let tokenizer = tokenizer(context.model()).map_err(template_failed)?;
            // Where the answer is to be of a grammar, nothing in it is a call.
            let tools = if request.grammar.is_some() { Vec::new() } else { options.tools };
            let answer = AnswerContext::of_tokens(tokenizer, &context.tokens(), tools).map_err(template_failed)?;
            if let Some(grammar) = request.grammar.take() {
                request.grammar = Some(match template.reasoning_end(&answer).map_err(template_failed)? {
                    Some(end) => grammar.after(end),
                    None => grammar,
                });
            }
            let parser = template.parser(&answer).map_err(template_failed)?;
            let more = context.held_by_answer(request.max_tokens) - context.held();
            check_held(context.model(), held, more).map_err(policy_failed)?;
            let (generation, reservation) = generate(context, request, &tokens).map_err(policy_failed)?;
            cancellation.covers(generation.cancel_token());
            Ok(HeldGeneration::new(generation, parser, reservation, is_recorded))
        };
        let begun = self.with_context(context, move |context| Ok(begin(context))).await?;
        Ok(match begun {
            Ok(Ok(generation)) => {
                self.works.extend(generation.work());
                self.hold(generation)
            }
            Ok(Err((kind, error))) => self.watched(kind, Err(error)),
            Err(error) => Err(error),
        })
    }

    /// How many tokens the session's contexts hold together.
    fn held(&self) -> usize {
        self.footprints.iter().filter_map(Footprint::tokens).sum()
    }

    /// The next events of a generation.
    pub(crate) async fn generated(
        &mut self,
        generation: &Resource<HeldGeneration>,
        max: usize,
    ) -> wasmtime::Result<Result<Vec<Generated>, ComponentError>> {
        let batch = self.table.get_mut(generation)?.next_batch(max, self.host.as_ref(), &mut self.budget).await?;
        // What comes of the engine is the policy's, what comes of the reader the template's.
        let kind = match &batch {
            Err(error) if error.engine_kind().is_some() => ComponentKind::Policy,
            _ => ComponentKind::Template,
        };
        Ok(self.watched(kind, batch))
    }

    /// A prompt by the template of a model, or of the user's choice, of a conversation of so many bytes.
    pub(crate) async fn render(
        &mut self,
        model: Option<&str>,
        mut conversation: Conversation,
        bytes: usize,
    ) -> wasmtime::Result<Result<Vec<Segment>, ComponentError>> {
        if self.host.script().is_some() {
            return Ok(Ok(Vec::new()));
        }
        let model = match self.model(model) {
            Ok(model) => model,
            Err(error) => return Ok(Err(error)),
        };
        let now = self.host.now();
        conversation.options.entry("now").or_insert_with(|| json!(now));
        let template = match self.template(&model).await? {
            Ok(template) => template,
            Err(error) => return Ok(Err(error)),
        };
        let rendered = blocking(&mut self.budget, move || template.render(&conversation)).await?;
        Ok(if bytes <= TRIAL_BYTES { self.watched(ComponentKind::Template, rendered) } else { rendered })
    }

    /// Runs a tool.
    pub(crate) async fn call_tool(&mut self, name: String, arguments: String) -> Result<String, ComponentError> {
        self.in_turn("call tools")?;
        let call = self.host.call_tool(name, arguments);
        tokio::select! {
            biased;
            () = self.cancellation.cancelled() => Err(cancelled()),
            result = call => result,
        }
    }

    /// Adds a message to the log.
    pub(crate) fn append(&mut self, message: Message) -> Result<(), ComponentError> {
        self.in_turn("append messages")?;
        if self.appended == MOST_APPENDED {
            let message = format!("it appended more than {MOST_APPENDED} messages in a turn");
            return Err(ComponentError::new(ComponentErrorKind::OutOfMemory, "", message));
        }
        self.appended_bytes = self.appended_bytes.saturating_add(bytes_of(&message));
        if self.appended_bytes > BYTES_PER_CALL {
            let message = format!("it appended messages of more than {} MiB in a turn", BYTES_PER_CALL >> 20);
            return Err(ComponentError::new(ComponentErrorKind::OutOfMemory, "", message));
        }
        if self.log.len() >= HISTORY_MESSAGES || self.log.bytes() + bytes_of(&message) > HISTORY_BYTES {
            let message = format!(
                "the conversation has {} messages of {} MiB; the most is {HISTORY_MESSAGES}, of {} MiB together: begin \
                 another",
                self.log.len(),
                self.log.bytes() >> 20,
                HISTORY_BYTES >> 20
            );
            return Err(ComponentError::new(ComponentErrorKind::OutOfMemory, "", message));
        }
        self.appended += 1;
        self.log.push(message);
        Ok(())
    }

    /// What has an effect outside of the component is done in a turn, which can be cancelled and taken back: not while
    /// it is constructed, saved or restored.
    fn in_turn(&self, what: &str) -> Result<(), ComponentError> {
        if !self.cancellation.has_ended() {
            return Ok(());
        }
        let message = format!("a component may {what} in a turn alone");
        Err(ComponentError::new(ComponentErrorKind::Denied, "", message))
    }

    /// The session's instance of what sits in the template slot, for a model.
    async fn template(&mut self, model: &Model) -> wasmtime::Result<Result<Template, ComponentError>> {
        let setup = self.setup(model);
        if let Some((_, template)) = self.templates.iter().find(|(made_of, _)| Arc::ptr_eq(made_of, &setup)) {
            return Ok(Ok(template.clone()));
        }
        let of = Arc::clone(&setup);
        let template = blocking(&mut self.budget, move || of.instantiate()).await?;
        let template = self.watched(ComponentKind::Template, template);
        if let Ok(template) = &template {
            // What a swap has put aside is not asked for again.
            let setups = &self.setups;
            self.templates.retain(|(made_of, _)| setups.iter().any(|(_, setup)| Arc::ptr_eq(made_of, setup)));
            self.templates.push((setup, template.clone()));
        }
        Ok(template)
    }

    /// What the template of a model is made of in this turn.
    fn setup(&mut self, model: &Model) -> Arc<TemplateSetup> {
        let is_first = self.host.models().first().is_none_or(|first| first.name() == model.name());
        let name = (!is_first).then(|| model.name().to_owned());
        if let Some((_, setup)) = self.setups.iter().find(|(of, _)| *of == name) {
            return Arc::clone(setup);
        }
        let setup = self.host.template_for(model);
        self.setups.push((name, Arc::clone(&setup)));
        setup
    }
}

/// The host at work for a guest.
pub(crate) struct Entered<'a>(&'a mut ChatState);

impl Deref for Entered<'_> {
    type Target = ChatState;

    fn deref(&self) -> &ChatState {
        self.0
    }
}

impl DerefMut for Entered<'_> {
    fn deref_mut(&mut self) -> &mut ChatState {
        self.0
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.budget.resume(Instant::now());
    }
}

/// Runs what may take a while, or is a template's, where blocking is allowed, and counts what it computes as the
/// session's: a guest could otherwise have the host work for it without end. A panic there is a trap here.
pub(crate) async fn blocking<T: Send + 'static>(
    budget: &mut Budget,
    work: impl FnOnce() -> Result<T, ComponentError> + Send + 'static,
) -> wasmtime::Result<Result<T, ComponentError>> {
    let grammars = budget.grammars().clone();
    let timed = move || {
        let start = ThreadTime::now();
        let result = grammars.during(work);
        (result, start.elapsed())
    };
    let done = tokio::task::spawn_blocking(timed).await;
    let (result, computed) = done.map_err(|error| wasmtime::Error::msg(format!("the host failed: {error}")))?;
    budget.charge(computed);
    Ok(result)
}

/// The tokenizer of a model.
pub(crate) fn tokenizer(model: &Model) -> Result<&Tokenizer, ComponentError> {
    model.tokenizer().ok_or_else(|| {
        let message = format!("the model {} was loaded without a tokenizer", model.name());
        ComponentError::new(ComponentErrorKind::NotFound, "", message)
    })
}

/// Begins a generation, for which the session's tokens a minute are taken out.
fn generate(
    context: &mut Context,
    mut request: GenerateRequest,
    tokens: &TokenBudget,
) -> Result<(Generation, Option<Reservation>), ComponentError> {
    let reservation = tokens.reserve(request.max_tokens, context.unread(), Instant::now())?;
    if let Some(reservation) = &reservation {
        request.max_tokens = reservation.tokens();
    }
    match context.generate(request) {
        Ok(generation) => Ok((generation, reservation)),
        Err(error) => {
            if let Some(reservation) = reservation {
                reservation.settle(0);
            }
            Err(error.into())
        }
    }
}

/// That a session's contexts, which hold so many tokens, may come to hold `more`.
fn check_held(model: &Model, held: usize, more: usize) -> Result<(), ComponentError> {
    let most = (model.info().context_length as usize).saturating_mul(MOST_HELD);
    let held = held.saturating_add(more);
    if held <= most {
        return Ok(());
    }
    let message =
        format!("the session's contexts would come to hold {held} tokens, the most is {most}: drop some of them");
    Err(ComponentError::new(ComponentErrorKind::OutOfMemory, "", message))
}

fn cancelled() -> ComponentError {
    ComponentError::new(ComponentErrorKind::Cancelled, "", "the turn was cancelled")
}

fn lost() -> wasmtime::Error {
    wasmtime::Error::msg("the context was lost in a panic")
}

fn too_many() -> ComponentError {
    let message = format!("a session may have {MOST_HANDLES} contexts and generations at once: drop some");
    ComponentError::new(ComponentErrorKind::OutOfMemory, "", message)
}
