//! Prompt templates: conversations to segments, and answers back to what they mean.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wasmlx_text::{Segment, Tokenizer};
use wasmtime::Store;
use wasmtime::component::ResourceAny;

use crate::call::Call;
use crate::component::Linked;
use crate::conversation::{Conversation, Output, Tool};
use crate::deadline::Deadline;
use crate::limits::{BYTES_PER_CALL, HANDLES, MemoryMeter, check_stops};
use crate::v0_1::template::World;
use crate::v0_1::types::{all, wit};
use crate::{Component, ComponentError, ComponentKind};

/// What models write at the end of their reasoning.
const REASONING_ENDS: [&str; 4] = ["</think>", "[/THINK]", "</seed:think>", "</reasoning>"];

/// What sits in a template slot: a template component, and what it is told of the model.
#[derive(Debug, Clone)]
pub struct TemplateSetup {
    /// The component.
    pub component: Component,
    /// A JSON object: the special tokens of the model's `tokenizer_config.json` and, where the model has one, its
    /// `chat_template`.
    pub config: String,
}

impl TemplateSetup {
    /// An instance; see [`Template::new`].
    pub fn instantiate(&self) -> Result<Template, ComponentError> {
        Template::new(&self.component, &self.config)
    }
}

/// An instance of a template component. Clones are the same instance.
///
/// Every call blocks until the component returns, two seconds at most by the default [`Limits`](crate::Limits): call
/// it where blocking is allowed. After a trap the next call makes a new instance.
#[derive(Clone)]
pub struct Template(Arc<Parts>);

struct Parts {
    component: Component,
    config: String,
    live: Mutex<Live>,
    /// Parsers that nobody needs any more, each with its instance's number. They are dropped for good by the next call:
    /// whoever lets go of a parser may not be one who can wait for the component.
    done_with: Mutex<Vec<(u64, ResourceAny)>>,
}

/// The instance of the moment.
struct Live {
    /// None after a trap.
    instance: Option<Instance>,
    /// How many instances there were before: a parser belongs to one of them.
    number: u64,
}

struct Instance {
    store: Store<TemplateState>,
    world: World,
}

/// What the host keeps beside an instance.
pub(crate) struct TemplateState {
    memory: MemoryMeter,
    deadline: Deadline,
}

impl Template {
    /// Makes an instance and configures it.
    ///
    /// # Errors
    /// [`ComponentErrorKind::WrongKind`](crate::ComponentErrorKind::WrongKind) for a component of another world, and
    /// what the component answers to its configuration.
    pub fn new(component: &Component, config: &str) -> Result<Self, ComponentError> {
        let live = Mutex::new(Live { instance: None, number: 0 });
        let done_with = Mutex::new(Vec::new());
        let template =
            Self(Arc::new(Parts { component: component.clone(), config: config.to_owned(), live, done_with }));
        template.0.ready(&mut template.0.lock())?;
        Ok(template)
    }

    /// The conversation as a prompt.
    pub fn render(&self, conversation: &Conversation) -> Result<Vec<Segment>, ComponentError> {
        let conversation = conversation.into();
        let segments = self.0.call("render", |Instance { store, world }| {
            world.wasmlx_runner_template().call_render(store, &conversation)
        })?;
        segments.map(all).map_err(|error| self.0.refused(error))
    }

    /// Strings that end an assistant's turn, besides the model's own end tokens.
    pub fn stops(&self) -> Result<Vec<String>, ComponentError> {
        let stops =
            self.0.call("stops", |Instance { store, world }| world.wasmlx_runner_template().call_stops(store))?;
        check_stops(&stops).map_err(|error| error.of(self.0.component.name()))?;
        Ok(stops)
    }

    /// What ends the reasoning that this answer begins within, where it does: what the template makes of texts says so.
    /// None where an answer begins with its content.
    ///
    /// # Errors
    /// [`ComponentErrorKind::InvalidInput`](crate::ComponentErrorKind::InvalidInput) where its end is none that is
    /// known here.
    pub(crate) fn reasoning_end(&self, answer: &AnswerContext) -> Result<Option<&'static str>, ComponentError> {
        let read = |text: &str| {
            let mut parser = self.parser(answer)?;
            let mut outputs = parser.push(text)?;
            outputs.extend(parser.finish()?);
            Ok::<_, ComponentError>(outputs)
        };
        if !read("a")?.iter().any(|output| matches!(output, Output::Reasoning(_))) {
            return Ok(None);
        }
        for end in REASONING_ENDS {
            if read(&format!("a{end}b"))?.iter().any(|output| matches!(output, Output::Content(text) if text == "b")) {
                return Ok(Some(end));
            }
        }
        let message = "an answer begins with reasoning whose end is not known here, so a grammar cannot begin after it: \
                       switch reasoning off by the template's options, or use another template";
        Err(ComponentError::new(crate::ComponentErrorKind::InvalidInput, self.0.component.name(), message))
    }

    /// A reader of one answer.
    pub fn parser(&self, answer: &AnswerContext) -> Result<Parser, ComponentError> {
        let answer = answer.into();
        let mut number = 0;
        let resource = self.0.call_numbered("parser.constructor", &mut number, |Instance { store, world }| {
            world.wasmlx_runner_template().parser().call_constructor(store, &answer)
        })?;
        Ok(Parser { template: Arc::clone(&self.0), resource, number })
    }
}

/// What a parser is told of the answer that it is to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerContext {
    /// The end of the text that the answer goes on from, markers included. A prompt may leave reasoning open for the
    /// answer to begin in (`<think>`), or close it.
    pub prompt_end: String,
    /// The tools that the model was offered. Where there are none, nothing in the answer is a call.
    pub tools: Vec<Tool>,
}

impl AnswerContext {
    /// Of the answer to a conversation that was rendered to these segments.
    pub fn new(conversation: &Conversation, prompt: &[Segment]) -> Self {
        let raw_tools = conversation.context.as_ref().and_then(|context| context.get("tools")?.as_array());
        let tools = match raw_tools {
            Some(tools) => tools.iter().map(Tool::of_any).collect(),
            None => conversation.tools.clone(),
        };
        Self { prompt_end: end_of(prompt.iter().map(Segment::text).collect()), tools }
    }

    /// Of the answer that goes on from tokens.
    pub(crate) fn of_tokens(tokenizer: &Tokenizer, tokens: &[u32], tools: Vec<Tool>) -> Result<Self, ComponentError> {
        // A token is a byte or more, but for those that are none at all.
        let last = &tokens[tokens.len().saturating_sub(PROMPT_END)..];
        Ok(Self { prompt_end: end_of(tokenizer.decode(last, false)?), tools })
    }
}

/// How many bytes of a prompt a parser is told: more than any marker takes, with the white space around it.
const PROMPT_END: usize = 256;

/// The last bytes of a text, and no half of a character.
fn end_of(mut text: String) -> String {
    let start = text.ceil_char_boundary(text.len().saturating_sub(PROMPT_END));
    text.split_off(start)
}

/// Reads the text of one answer, in whatever pieces it comes.
pub struct Parser {
    template: Arc<Parts>,
    resource: ResourceAny,
    /// The instance it belongs to.
    number: u64,
}

impl Parser {
    /// What the next piece of text means. May hold back what only the text to come decides.
    pub fn push(&mut self, text: &str) -> Result<Vec<Output>, ComponentError> {
        let resource = self.resource;
        self.call("parser.push", |Instance { store, world }| {
            world.wasmlx_runner_template().parser().call_push(store, resource, text)
        })
    }

    /// The text is at its end: what was held back.
    pub fn finish(&mut self) -> Result<Vec<Output>, ComponentError> {
        let resource = self.resource;
        self.call("parser.finish", |Instance { store, world }| {
            world.wasmlx_runner_template().parser().call_finish(store, resource)
        })
    }

    fn call(
        &mut self,
        function: &'static str,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<Vec<wit::Output>>,
    ) -> Result<Vec<Output>, ComponentError> {
        let mut live = self.template.lock();
        if live.number != self.number || live.instance.is_none() {
            return Err(ComponentError::new(
                crate::ComponentErrorKind::Trapped,
                self.template.component.name(),
                "the instance that was reading this answer is gone after a trap",
            ));
        }
        self.template.run(&mut live, function, run).map(all)
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        self.template.done_with().push((self.number, self.resource));
    }
}

impl Parts {
    fn lock(&self) -> MutexGuard<'_, Live> {
        // A panic in the middle of a call leaves an instance that is not used again, since its store is poisoned for
        // the guest; nothing else is behind the lock.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done_with(&self) -> MutexGuard<'_, Vec<(u64, ResourceAny)>> {
        self.done_with.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<R>(
        &self,
        function: &'static str,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<R>,
    ) -> Result<R, ComponentError> {
        self.call_numbered(function, &mut 0, run)
    }

    /// Calls the instance, a new one if need be, and tells which it was.
    fn call_numbered<R>(
        &self,
        function: &'static str,
        number: &mut u64,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<R>,
    ) -> Result<R, ComponentError> {
        let mut live = self.lock();
        self.ready(&mut live)?;
        *number = live.number;
        self.run(&mut live, function, run)
    }

    /// Makes sure that there is a configured instance.
    fn ready(&self, live: &mut Live) -> Result<(), ComponentError> {
        if live.instance.is_some() {
            return Ok(());
        }
        let Linked::Template(linked) = self.component.linked() else {
            return Err(self.component.wrong_kind(ComponentKind::Template));
        };
        let engine = linked.engine();
        let limits = self.component.runtime().limits();
        let memory = self.component.runtime().meter(self.component.kind());
        let memory = memory.map_err(|error| error.of(self.component.name()))?;
        let state = TemplateState { memory, deadline: Deadline::new() };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(BYTES_PER_CALL);
        store.set_max_component_handles(HANDLES);
        self.component.runtime().prepare(&mut store);
        store.epoch_deadline_callback(|mut context| Ok(context.data_mut().deadline.reached()));
        let ticks = store.data_mut().deadline.start(limits.template_call);
        store.set_epoch_deadline(ticks);
        let activity = self.component.runtime().activity();
        let call = Call::of_request(&self.component, "instantiation");
        let made = call.span().in_scope(|| linked.instantiate(&mut store));
        drop(activity);
        self.component.runtime().count(call.function(), &mut store, |state| &state.memory);
        let made = made.map_err(|error| self.failed("instantiation", &error, store.data()));
        call.end(made.as_ref().err());
        let world = made?;
        live.number += 1;
        live.instance = Some(Instance { store, world });
        let configured = self.run(live, "configure", |Instance { store, world }| {
            world.wasmlx_runner_template().call_configure(store, &self.config)
        })?;
        configured.map_err(|error| {
            live.instance = None;
            self.refused(error)
        })
    }

    /// Drops the parsers that nobody needs any more, then calls the instance.
    fn run<R>(
        &self,
        live: &mut Live,
        function: &'static str,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<R>,
    ) -> Result<R, ComponentError> {
        // Taken out, since a destructor is the guest's code: nobody waits for it who only lets go of a parser.
        let mut done = mem::take(&mut *self.done_with());
        done.retain(|&(number, _)| number == live.number);
        if !done.is_empty() {
            self.enter(live, "parser's destructor", |Instance { store, .. }| {
                done.into_iter().try_for_each(|(_, parser)| parser.resource_drop(&mut *store))
            })?;
        }
        self.enter(live, function, run)
    }

    /// Calls the instance, which is gone if it does not return.
    fn enter<R>(
        &self,
        live: &mut Live,
        function: &'static str,
        run: impl FnOnce(&mut Instance) -> wasmtime::Result<R>,
    ) -> Result<R, ComponentError> {
        let Some(mut instance) = live.instance.take() else {
            return Err(ComponentError::new(
                crate::ComponentErrorKind::Trapped,
                self.component.name(),
                "its instance is gone",
            ));
        };
        let runtime = self.component.runtime();
        let ticks = instance.store.data_mut().deadline.start(runtime.limits().template_call);
        instance.store.set_epoch_deadline(ticks);
        instance.store.data_mut().memory.begin_call();
        let activity = runtime.activity();
        let begin = if function == "parser.push" { Call::of_token } else { Call::of_request };
        let call = begin(&self.component, function);
        let result = call.span().in_scope(|| run(&mut instance));
        drop(activity);
        runtime.count(function, &mut instance.store, |state| &state.memory);
        let result = result.map_err(|error| self.failed(function, &error, instance.store.data()));
        call.end(result.as_ref().err());
        if result.is_ok() {
            live.instance = Some(instance);
        }
        result
    }

    fn failed(&self, function: &str, error: &wasmtime::Error, state: &TemplateState) -> ComponentError {
        let allowed = state.deadline.allowed();
        ComponentError::from_call(self.component.name(), function, error, state.memory.hit(), allowed)
    }

    fn refused(&self, error: wit::Error) -> ComponentError {
        ComponentError::from(error).of(self.component.name())
    }
}
