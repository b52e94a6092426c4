//! Agents: programs with models at hand, each run a task of its own.

mod console;
mod http;
mod http_tape;
mod key_value;
mod state;
mod surroundings;
mod tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::Instrument as _;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::I32Exit;

pub use key_value::{Space, Spaces};
pub(crate) use state::AgentState;
pub use surroundings::Surroundings;

use crate::budget::Budget;
use crate::call::Call;
use crate::cancellation::{self, Cancellation};
use crate::chat_state::ChatState;
use crate::component::Linked;
use crate::guest_log::GuestLog;
use crate::limits::{BYTES_PER_CALL, HANDLES};
use crate::token_budget::TokenBudget;
use crate::{
    Canceller, ChatHost, Component, ComponentError, ComponentErrorKind, ComponentKind, MessageLog, Permissions,
};
use console::{Console, Events};

/// How many events may wait for their reader before the agent has to.
const EVENTS: usize = 256;

/// A component of world `agent`.
#[derive(Debug, Clone)]
pub struct AgentComponent(Component);

impl AgentComponent {
    /// # Errors
    /// [`ComponentErrorKind::WrongKind`] for a component of another world.
    pub fn new(component: &Component) -> Result<Self, ComponentError> {
        match component.linked() {
            Linked::Agent(_) => Ok(Self(component.clone())),
            _ => Err(component.wrong_kind(ComponentKind::Agent)),
        }
    }

    /// The component.
    pub fn component(&self) -> &Component {
        &self.0
    }
}

/// What an agent tells its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentEvent {
    /// A piece of what it says.
    Output(String),
    /// The end. Nothing comes after it.
    Done,
}

/// What a run begins with.
#[derive(Debug, Clone, Default)]
pub struct AgentSetup {
    /// What the agent is to do.
    pub arguments: Vec<String>,
    /// Where key-value spaces are kept, those of each component in a folder by its name; without it there are none.
    pub key_value: Option<PathBuf>,
    /// What takes the place of this machine, where a run is to come out the same each time.
    pub surroundings: Option<Surroundings>,
}

/// An agent at work. Dropping it ends it at once, and so does [`Canceller::cancel`]; what it has changed in the world
/// by then stays.
#[derive(Debug)]
pub struct AgentRun {
    events: mpsc::Receiver<Result<AgentEvent, ComponentError>>,
    canceller: Canceller,
    ended: bool,
}

impl AgentRun {
    /// Starts an agent on a tokio runtime, which must have its I/O and time enabled.
    pub fn start(runtime: &Handle, agent: AgentComponent, setup: AgentSetup, host: Arc<dyn ChatHost>) -> Self {
        let (events, receiver) = mpsc::channel(EVENTS);
        let (canceller, cancellation) = cancellation::pair();
        runtime.spawn(run(agent.0, setup, host, events, cancellation));
        Self { events: receiver, canceller, ended: false }
    }

    /// The next event; none after [`AgentEvent::Done`] or an error. Nothing is lost where the future is dropped.
    pub async fn next(&mut self) -> Option<Result<AgentEvent, ComponentError>> {
        if self.ended {
            return None;
        }
        let event = self.events.recv().await.unwrap_or_else(|| {
            let message = "the run is gone: the runtime it was started on has shut down";
            Err(ComponentError::new(ComponentErrorKind::Cancelled, "", message))
        });
        self.ended = matches!(event, Ok(AgentEvent::Done) | Err(_));
        Some(event)
    }

    /// Ends it at once.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// What ends it from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }
}

impl Drop for AgentRun {
    fn drop(&mut self) {
        self.canceller.abandon();
    }
}

/// A run from its beginning to its last event.
async fn run(
    component: Component,
    setup: AgentSetup,
    host: Arc<dyn ChatHost>,
    events: Events,
    cancellation: Cancellation,
) {
    let _activity = component.runtime().activity();
    let console = Console::new(events.clone());
    let work = work(&component, setup, host, console.clone(), cancellation.clone());
    // A guest that computes gives way at every epoch, one that waits does so at once: dropped, it is no more.
    let ended = tokio::select! {
        biased;
        () = cancellation.cancelled() => {
            Err(ComponentError::new(ComponentErrorKind::Cancelled, component.name(), "the run was cancelled"))
        }
        worked = work => worked,
    };
    cancellation.end();
    console.finish().await;
    // The caller may have left; its wish has been seen to.
    let _ = events.send(ended.map(|()| AgentEvent::Done)).await;
}

/// Makes an instance, and calls its `run`.
async fn work(
    component: &Component,
    setup: AgentSetup,
    host: Arc<dyn ChatHost>,
    console: Console,
    cancellation: Cancellation,
) -> Result<(), ComponentError> {
    let Linked::Agent(linked) = component.linked() else {
        return Err(component.wrong_kind(ComponentKind::Agent));
    };
    let name = component.name();
    let limits = component.runtime().limits();
    let permissions = Permissions::new(component, &host.grants());
    let tokens = TokenBudget::default();
    tokens.set_limit(permissions.tokens(), Instant::now());
    let memory = component.runtime().meter(component.kind()).map_err(|error| error.of(name))?;
    let budget = Budget::new(limits.chat_slice, limits.chat_session, Duration::ZERO);
    let guest_log = GuestLog::new(component);
    let messages = MessageLog::default();
    let mut session = ChatState::new(memory, budget, host, permissions, tokens, messages, guest_log);
    // A run is one turn, from its first instruction.
    session.begin_turn(cancellation);
    let spaces = Spaces::new(setup.key_value.as_deref(), name);
    let state =
        AgentState::new(session, console, spaces, setup.surroundings.as_ref()).map_err(|error| error.of(name))?;
    let mut store = Store::new(linked.engine(), state);
    store.limiter(|state| &mut state.session.memory);
    store.set_hostcall_fuel(BYTES_PER_CALL);
    store.set_max_component_handles(HANDLES);
    component.runtime().prepare(&mut store);
    store.epoch_deadline_callback(|mut context| {
        context.data_mut().session.budget.tick(Instant::now())?;
        Ok(UpdateDeadline::Yield(1))
    });
    let begin = |store: &mut Store<AgentState>| {
        store.data_mut().session.budget.start(Instant::now());
        store.set_epoch_deadline(1);
    };
    begin(&mut store);
    let call = Call::of_request(component, "instantiation");
    let made = linked.instantiate_async(&mut store).instrument(call.span().clone()).await;
    component.runtime().count(call.function(), &mut store, |state| &state.session.memory);
    let agent = ended(call, component, made, store.data())?;
    begin(&mut store);
    let call = Call::of_request(component, "run");
    let answered = agent.call_run(&mut store, &setup.arguments).instrument(call.span().clone()).await;
    component.runtime().count(call.function(), &mut store, |state| &state.session.memory);
    let answered = match exit_code(&answered) {
        Some(0) => {
            call.end(None);
            return Ok(());
        }
        Some(code) => {
            let message = format!("it exited with code {code}");
            let error = ComponentError::new(ComponentErrorKind::Trapped, name, message);
            call.end(Some(&error));
            return Err(error);
        }
        None => ended(call, component, answered, store.data())?,
    };
    answered.map_err(|error| store.data_mut().session.answered(error, name))
}

/// What a guest gave to WASI's `exit`, which does not return to it.
fn exit_code<T>(result: &wasmtime::Result<T>) -> Option<i32> {
    let exit: &I32Exit = result.as_ref().err()?.downcast_ref()?;
    Some(exit.0)
}

/// What a call came to.
fn ended<T>(
    call: Call,
    component: &Component,
    result: wasmtime::Result<T>,
    state: &AgentState,
) -> Result<T, ComponentError> {
    let result = result.map_err(|error| {
        // A deadline is an error of the budget's own, with its own sentence.
        let memory = state.session.memory.hit();
        ComponentError::from_call(component.name(), call.function(), &error, memory, Duration::ZERO)
    });
    call.end(result.as_ref().err());
    result
}
