//! What a chat component asks of its host.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use wasmlx_components::{
    BoxFuture, ChatHost, ChatSeat, ChatSession, ComponentError, ComponentErrorKind, GenerateOptions, Grants,
    OfferedTool, StoreView, TemplateSetup, Tool as ToolDefinition, TurnEnd,
};
use wasmlx_engine::{self as engine, GenerateRequest};
use wasmlx_text::{Grammar, GrammarSource};

use super::chat_places::ChatPlaces;
use super::error::Result;
use super::granted::Granted;
use super::model::Model;
use super::report::Tally;
use super::sampler::{random_seed, vocabulary};
use super::store_view::SeenStore;
use super::tool::{Tool, spaced_json};

/// What an answer is to be like.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) max_tokens: usize,
    pub(crate) stops: Vec<String>,
    pub(crate) ignore_eos: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) logprobs: Option<u32>,
    pub(crate) grammar: Option<SetGrammar>,
}

/// What answers must look like, as it was asked for and compiled.
#[derive(Debug, Clone)]
pub(crate) struct SetGrammar {
    pub(crate) source: GrammarSource,
    compiled: Grammar,
}

impl SetGrammar {
    /// Compiles it for a model. Blocks.
    pub(crate) fn compile(model: &Model, source: GrammarSource) -> Result<Self> {
        let compiled = Grammar::compile(model.tokenizer()?, &source)?;
        Ok(Self { source, compiled })
    }

    /// The same for the tokens of a model, which may be another one that the session was granted.
    fn of(&self, model: &engine::Model) -> std::result::Result<Grammar, ComponentError> {
        match model.tokenizer() {
            Some(tokenizer) if self.compiled.is_for(tokenizer) => Ok(self.compiled.clone()),
            _ => compiled(model, &self.source),
        }
    }
}

/// A grammar for a model. Blocks.
fn compiled(model: &engine::Model, source: &GrammarSource) -> std::result::Result<Grammar, ComponentError> {
    let tokenizer = model.tokenizer().ok_or_else(|| {
        let message = format!("a grammar needs a tokenizer, and {} was loaded without one", model.name());
        ComponentError::new(ComponentErrorKind::NotFound, "", message)
    })?;
    Ok(Grammar::compile(tokenizer, source)?)
}

/// Serves one conversation: its model, what sits in its slots, its settings, its tools.
pub(crate) struct ChatServer {
    model: Model,
    places: ChatPlaces,
    /// The session that it serves.
    session: Mutex<Weak<ChatSession>>,
    tools: Vec<Tool>,
    granted: Granted,
    settings: Mutex<Settings>,
    /// Of the turn under way.
    tally: Mutex<Option<Tally>>,
}

impl ChatServer {
    pub(crate) fn new(
        model: Model,
        places: ChatPlaces,
        tools: Vec<Tool>,
        granted: Granted,
        settings: Settings,
    ) -> Self {
        Self {
            model,
            places,
            session: Mutex::default(),
            tools,
            granted,
            settings: Mutex::new(settings),
            tally: Mutex::new(None),
        }
    }

    pub(crate) fn model(&self) -> &Model {
        &self.model
    }

    /// What the user grants, and the models among it.
    pub(crate) fn granted(&self) -> &Granted {
        &self.granted
    }

    pub(crate) fn places(&self) -> &ChatPlaces {
        &self.places
    }

    /// Serves this session from now on.
    pub(crate) fn attach(&self, session: &Arc<ChatSession>) {
        *lock(&self.session) = Arc::downgrade(session);
    }

    /// Has the session move to what sits in the chat slot now, where no turn runs; after one that runs it does so by
    /// itself.
    ///
    /// # Errors
    /// Why the session stays with what it has.
    pub(crate) async fn move_now(&self) -> Result<()> {
        let Some(session) = lock(&self.session).upgrade() else { return Ok(()) };
        let Some(moved) = self.places.next_move() else { return Ok(()) };
        // A turn that came first has moved it, and may take long.
        tokio::select! {
            biased;
            Ok(outcome) = moved => outcome,
            outcome = session.take_seat() => Ok(outcome?),
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.settings));
    }

    /// A turn begins.
    pub(crate) fn begin(&self, tally: Tally) {
        *lock(&self.tally) = Some(tally);
    }

    /// A turn has ended; none where none had begun.
    pub(crate) fn end(&self) -> Option<Tally> {
        lock(&self.tally).take()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each use leaves a whole value behind, even where it panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChatHost for ChatServer {
    fn models(&self) -> Vec<engine::Model> {
        let granted = self.granted.models();
        std::iter::once(&self.model).chain(&granted).map(|model| model.engine_model().clone()).collect()
    }

    fn grants(&self) -> Grants {
        self.granted.grants().clone()
    }

    fn template_for(&self, model: &engine::Model) -> Arc<TemplateSetup> {
        self.granted.template(model.name()).unwrap_or_else(|| self.template())
    }

    fn template(&self) -> Arc<TemplateSetup> {
        self.places.template()
    }

    fn chat(&self) -> Option<ChatSeat> {
        Some(self.places.chat_seat())
    }

    fn moved(&self, seat: u64, outcome: std::result::Result<(), &ComponentError>) {
        self.places.moved(seat, outcome);
    }

    fn begin_turn(&self) {
        self.places.begin_turn();
    }

    fn end_turn(&self, end: &TurnEnd) {
        self.places.end_turn(end);
    }

    fn request(
        &self,
        model: &engine::Model,
        options: &GenerateOptions,
    ) -> std::result::Result<GenerateRequest, ComponentError> {
        let settings = self.settings();
        let granted = self.granted.models().into_iter().find(|granted| granted.name() == model.name());
        let model = granted.as_ref().unwrap_or(&self.model);
        let end_tokens = if settings.ignore_eos { Vec::new() } else { model.end_tokens() };
        let grammar = match (settings.grammar, &options.grammar) {
            (Some(set), _) => Some(set.of(model.engine_model())?),
            (None, Some(source)) => Some(compiled(model.engine_model(), source)?),
            (None, None) => None,
        };
        Ok(GenerateRequest {
            sampling: self.places.sampler().loaded.sampling(&vocabulary(model, &end_tokens))?,
            grammar,
            // What the user allows is the most, whatever the component asks for.
            max_tokens: options.max_tokens.map_or(usize::MAX, |count| count as usize).min(settings.max_tokens),
            stops: settings.stops,
            end_tokens,
            seed: options.seed.or(settings.seed).unwrap_or_else(random_seed),
            logprobs: settings.logprobs,
            ..GenerateRequest::default()
        })
    }

    fn tools(&self) -> Vec<OfferedTool> {
        let offered = |tool: &Tool| OfferedTool {
            tool: ToolDefinition {
                name: tool.name().to_owned(),
                description: tool.description().to_owned(),
                parameters: tool.parameters().clone(),
            },
            callable: tool.is_callable(),
        };
        self.tools.iter().map(offered).collect()
    }

    fn call_tool(&self, name: String, arguments: String) -> BoxFuture<std::result::Result<String, ComponentError>> {
        let refused = |message: String| ComponentError::new(ComponentErrorKind::InvalidInput, "", message);
        let Some(tool) = self.tools.iter().find(|tool| tool.name() == name).cloned() else {
            let error = ComponentError::new(ComponentErrorKind::NotFound, "", format!("there is no tool `{name}`"));
            return Box::pin(std::future::ready(Err(error)));
        };
        Box::pin(async move {
            let arguments = serde_json::from_str(&arguments)
                .map_err(|error| refused(format!("the arguments of {name} are not JSON: {error}")))?;
            let Some(run) = tool.run(arguments) else {
                return Err(refused(format!("{name} is not for the chat to run")));
            };
            run.await.map(|result| spaced_json(&result)).map_err(refused)
        })
    }

    fn store(&self) -> Option<Arc<dyn StoreView>> {
        Some(Arc::new(SeenStore(self.model.host().store())))
    }

    fn observe(&self, event: &engine::Event) {
        if let Some(tally) = lock(&self.tally).as_mut() {
            tally.add(event);
        }
    }
}
