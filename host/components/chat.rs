//! Chats: a session is a chat component, its log, and a task that runs its turns one after another.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use wasmlx_engine::SavedState;

pub use crate::cancellation::Canceller;
use crate::cancellation::{self, Cancellation};
use crate::component::Linked;
use crate::conversation::{FinishReason, Message, ToolCall, Usage};
use crate::session::Session;
use crate::{ChatHost, Component, ComponentError, ComponentErrorKind, ComponentKind, MessageLog};

/// How many events of a turn may wait for their reader before the component has to.
const EVENTS: usize = 256;

/// A component of world `chat-component`.
#[derive(Debug, Clone)]
pub struct ChatComponent(Component);

impl ChatComponent {
    /// # Errors
    /// [`ComponentErrorKind::WrongKind`] for a component of another world.
    pub fn new(component: &Component) -> Result<Self, ComponentError> {
        match component.linked() {
            Linked::Chat(_) => Ok(Self(component.clone())),
            _ => Err(component.wrong_kind(ComponentKind::Chat)),
        }
    }

    /// The component.
    pub fn component(&self) -> &Component {
        &self.0
    }
}

/// What a turn tells its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatEvent {
    /// A piece of the answer.
    Content(String),
    /// A piece of what the model thinks before it answers.
    Reasoning(String),
    /// A tool that the model wants called, by the session or, where the turn ends with
    /// [`FinishReason::ToolCalls`], by the caller.
    ToolCall(ToolCall),
    /// What a tool answered that the session called.
    ToolResult {
        /// Which call it answers.
        id: String,
        /// A JSON text, or the error's.
        result: String,
    },
    /// How many tokens it took.
    Usage(Usage),
    /// The end. Nothing comes after it.
    Done(FinishReason),
}

impl ChatEvent {
    /// How many bytes of text it has.
    pub(crate) fn text_length(&self) -> usize {
        match self {
            Self::Content(text) | Self::Reasoning(text) => text.len(),
            Self::ToolCall(ToolCall { id, name, arguments }) => id.len() + name.len() + arguments.len(),
            Self::ToolResult { id, result } => id.len() + result.len(),
            Self::Usage(_) | Self::Done(_) => 0,
        }
    }
}

/// A chat. Dropping it ends it once its last turn has ended.
///
/// A turn that fails leaves the log as it was before; where the component trapped, the next turn gets a new instance
/// with what the last one saved after its last good turn.
#[derive(Debug)]
pub struct ChatSession {
    commands: mpsc::UnboundedSender<Command>,
    log: MessageLog,
}

/// What a session is asked for.
pub(crate) enum Command {
    Turn(TurnRequest),
    Save(oneshot::Sender<Result<SavedState, ComponentError>>),
    Move(oneshot::Sender<Result<(), ComponentError>>),
}

/// A turn to be run.
pub(crate) struct TurnRequest {
    pub(crate) new: Vec<Message>,
    pub(crate) events: mpsc::Sender<Result<ChatEvent, ComponentError>>,
    pub(crate) cancellation: Cancellation,
}

impl ChatSession {
    /// Starts a session on a tokio runtime. `config` is a JSON object: `options` go to the template, `max_tokens`,
    /// `stop` and `seed` to the generation, the rest is the component's own. The component is instantiated by the
    /// first turn; where [`ChatHost::chat`] names one, it takes the place of `component`.
    pub fn start(
        runtime: &Handle,
        component: ChatComponent,
        config: String,
        log: MessageLog,
        host: Arc<dyn ChatHost>,
    ) -> Self {
        Self::resume(runtime, component, config, None, log, host)
    }

    /// Starts a session with what another one saved.
    pub fn resume(
        runtime: &Handle,
        component: ChatComponent,
        config: String,
        saved: Option<SavedState>,
        log: MessageLog,
        host: Arc<dyn ChatHost>,
    ) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        runtime.spawn(Session::new(component, config, saved, log.clone(), host).run(receiver));
        Self { commands, log }
    }

    /// The session's messages.
    pub fn log(&self) -> &MessageLog {
        &self.log
    }

    /// Appends messages to the log and answers them. Turns queue one after another.
    pub fn send(&self, new: Vec<Message>) -> Turn {
        let (events, receiver) = mpsc::channel(EVENTS);
        let (canceller, cancellation) = cancellation::pair();
        // Where the session's task is gone, the turn finds its channel closed, and says so.
        let _ = self.commands.send(Command::Turn(TurnRequest { new, events, cancellation }));
        Turn { events: receiver, canceller, ended: false }
    }

    /// What the component keeps, for [`ChatSession::resume`]. Waits for the turns before it.
    pub async fn save(&self) -> Result<SavedState, ComponentError> {
        let (reply, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Save(reply));
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Moves to what [`ChatHost::chat`] says now, without waiting for the next turn to do so; waits for the turns
    /// before.
    ///
    /// # Errors
    /// Where the new component cannot be made or refuses the old one's state; then the old one stays.
    pub async fn take_seat(&self) -> Result<(), ComponentError> {
        let (reply, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Move(reply));
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// An answer as it comes. Dropping it before its end abandons it: the generation stops, and the log becomes what it was.
#[derive(Debug)]
pub struct Turn {
    events: mpsc::Receiver<Result<ChatEvent, ComponentError>>,
    canceller: Canceller,
    ended: bool,
}

impl Turn {
    /// The next event; none after [`ChatEvent::Done`] or an error. Nothing is lost where the future is dropped.
    pub async fn next(&mut self) -> Option<Result<ChatEvent, ComponentError>> {
        if self.ended {
            return None;
        }
        let event = self.events.recv().await;
        Some(self.note(event))
    }

    /// The same for a thread that may block. Panics within an asynchronous context.
    pub fn blocking_next(&mut self) -> Option<Result<ChatEvent, ComponentError>> {
        if self.ended {
            return None;
        }
        let event = self.events.blocking_recv();
        Some(self.note(event))
    }

    /// Ends the turn soon; see [`Canceller::cancel`].
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// What ends the turn from elsewhere.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    fn note(&mut self, event: Option<Result<ChatEvent, ComponentError>>) -> Result<ChatEvent, ComponentError> {
        let event = event.unwrap_or_else(|| Err(gone()));
        self.ended = matches!(event, Ok(ChatEvent::Done(_)) | Err(_));
        event
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.ended {
            self.canceller.abandon();
        }
    }
}

fn gone() -> ComponentError {
    let message = "the session is gone: the runtime it was started on has shut down";
    ComponentError::new(ComponentErrorKind::Cancelled, "", message)
}
