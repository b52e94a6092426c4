//! The task of a chat session: owns the component's instance and runs its turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::Instrument as _;
use wasmlx_engine::SavedState;
use wasmtime::component::ResourceAny;
use wasmtime::{Store, UpdateDeadline};

use crate::budget::Budget;
use crate::call::Call;
use crate::cancellation::{Cancellation, Wish};
use crate::chat::{ChatComponent, ChatEvent, Command, TurnRequest};
use crate::chat_state::ChatState;
use crate::component::Linked;
use crate::guest_log::GuestLog;
use crate::limits::{BYTES_PER_CALL, HANDLES, MemoryMeter};
use crate::v0_1::chat::World;
use crate::v0_1::types::wit;
use crate::{ChatHost, Component, ComponentError, ComponentErrorKind, ComponentKind, MessageLog};

/// How many events the component is asked for at once.
const BATCH: u32 = 64;

/// How often a component is asked for events after its turn was cancelled.
const BATCHES_AFTER_CANCELLATION: u32 = 64;

/// A session between its commands.
pub(crate) struct Session {
    component: ChatComponent,
    config: String,
    log: MessageLog,
    host: Arc<dyn ChatHost>,
    guest_log: GuestLog,
    /// None before the first turn and after a trap.
    live: Option<Live>,
    /// What the component saved after the last good turn.
    saved: Option<SavedState>,
    /// What instances of this session have computed.
    computed: Duration,
}

struct Live {
    store: Store<ChatState>,
    world: World,
    conversation: ResourceAny,
}

impl Session {
    pub(crate) fn new(
        component: ChatComponent,
        config: String,
        saved: Option<SavedState>,
        log: MessageLog,
        host: Arc<dyn ChatHost>,
    ) -> Self {
        let guest_log = GuestLog::new(component.component());
        Self { component, config, log, host, guest_log, live: None, saved, computed: Duration::ZERO }
    }

    /// Serves commands until nobody can send one any more.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        while let Some(command) = commands.recv().await {
            let _activity = self.component.component().runtime().activity();
            match command {
                Command::Turn(turn) => self.turn(turn).await,
                // Whoever asked may have stopped waiting; then there is no one to tell.
                Command::Save(reply) => drop(reply.send(self.save().await)),
                Command::Swap(component, reply) => drop(reply.send(self.swap(component).await)),
            }
        }
    }

    /// Runs a turn; one that fails or is abandoned leaves no message behind.
    async fn turn(&mut self, TurnRequest { new, events, cancellation }: TurnRequest) {
        let before = self.log.extend(new);
        let answered = self.answer(&events, &cancellation).await;
        cancellation.end();
        if cancellation.wish() == Wish::Nothing || answered.is_err() {
            self.log.truncate(before);
        }
        match answered {
            Ok(done) => {
                // The caller may have left at the very end; its wish has been seen to.
                let _ = events.send(Ok(done)).await;
                match self.save().await {
                    Ok(saved) => self.saved = Some(saved),
                    Err(error) => tracing::warn!("{error}; the state before this turn is kept"),
                }
            }
            Err(error) => drop(events.send(Err(error)).await),
        }
    }

    /// Has the component answer the log; returns the last event, and sends those before it.
    async fn answer(
        &mut self,
        events: &mpsc::Sender<Result<ChatEvent, ComponentError>>,
        cancellation: &Cancellation,
    ) -> Result<ChatEvent, ComponentError> {
        self.ready().await?;
        let Some(live) = &mut self.live else { return Err(self.gone()) };
        live.store.data_mut().begin_turn(cancellation.clone());
        live.begin();
        let call = Call::of_request(self.component.component(), "conversation.send");
        let exports = live.world.wasmlx_runner_chat().conversation();
        let sent = exports.call_send(&mut live.store, live.conversation).instrument(call.span().clone()).await;
        let turn = self.returned(call, sent)?;
        let turn = turn.map_err(|error| self.answered(error))?;
        let answered = self.read(turn, events, cancellation).await;
        // A turn that failed without a trap is dropped like any other: it may hold a generation.
        if let Some(live) = &mut self.live {
            live.begin();
            let call = Call::of_request(self.component.component(), "turn's destructor");
            let dropped = turn.resource_drop_async(&mut live.store).instrument(call.span().clone()).await;
            self.returned(call, dropped)?;
        }
        answered
    }

    /// Sends a turn's events but the last, and returns that.
    async fn read(
        &mut self,
        turn: ResourceAny,
        events: &mpsc::Sender<Result<ChatEvent, ComponentError>>,
        cancellation: &Cancellation,
    ) -> Result<ChatEvent, ComponentError> {
        let mut left = BATCHES_AFTER_CANCELLATION;
        loop {
            let Some(live) = &mut self.live else { return Err(self.gone()) };
            let cancelled = cancellation.wish() != Wish::Answer;
            left -= u32::from(cancelled);
            if left == 0 {
                let name = self.component.component().name();
                let message = "it goes on with its turn, which was cancelled";
                return Err(ComponentError::new(ComponentErrorKind::Cancelled, name, message));
            }
            live.go_on(cancelled);
            let call = Call::of_token(self.component.component(), "turn.next-batch");
            let exports = live.world.wasmlx_runner_chat().turn();
            let batch = exports.call_next_batch(&mut live.store, turn, BATCH).instrument(call.span().clone()).await;
            let batch = self.returned(call, batch)?;
            let batch = batch.map_err(|error| self.answered(error))?;
            if batch.is_empty() {
                let name = self.component.component().name();
                let message = "it ended its turn without the event `done`";
                return Err(ComponentError::new(ComponentErrorKind::InvalidInput, name, message));
            }
            for event in batch {
                let event = ChatEvent::from(event);
                if matches!(event, ChatEvent::Done(_)) {
                    return Ok(event);
                }
                // Nobody reads an abandoned turn, but its component comes to its end.
                let _ = events.send(Ok(event)).await;
            }
        }
    }

    /// What the component keeps: of its instance, or where there is none what was saved before.
    async fn save(&mut self) -> Result<SavedState, ComponentError> {
        if self.live.is_none()
            && let Some(saved) = &self.saved
        {
            return Ok(saved.clone());
        }
        self.ready().await?;
        let Some(live) = &mut self.live else { return Err(self.gone()) };
        live.begin();
        let call = Call::of_request(self.component.component(), "conversation.save");
        let exports = live.world.wasmlx_runner_chat().conversation();
        let saved = exports.call_save(&mut live.store, live.conversation).instrument(call.span().clone()).await;
        self.returned(call, saved).map(Into::into)
    }

    async fn swap(&mut self, component: ChatComponent) -> Result<(), ComponentError> {
        // A component that never had a turn has nothing to hand over.
        let saved = if self.live.is_some() { Some(self.save().await?) } else { self.saved.clone() };
        // What one has computed is not held against another.
        let computed = std::mem::take(&mut self.computed);
        let live = match self.instantiate(&component, saved.clone()).await {
            Ok(live) => live,
            Err(error) => {
                self.computed = computed;
                return Err(error);
            }
        };
        self.live = Some(live);
        self.guest_log = GuestLog::new(component.component());
        self.component = component;
        self.saved = saved;
        Ok(())
    }

    /// Makes sure that there is an instance. A state that cannot be restored is not worth failing for: the messages are
    /// the host's.
    async fn ready(&mut self) -> Result<(), ComponentError> {
        if self.live.is_some() {
            return Ok(());
        }
        let component = self.component.clone();
        let restored = match self.saved.clone() {
            Some(saved) => self.instantiate(&component, Some(saved)).await.map_err(|error| {
                tracing::warn!("{error}; the chat goes on from its messages alone");
            }),
            None => Err(()),
        };
        let live = match restored {
            Ok(live) => live,
            Err(()) => self.instantiate(&component, None).await?,
        };
        self.live = Some(live);
        Ok(())
    }

    async fn instantiate(
        &mut self,
        component: &ChatComponent,
        saved: Option<SavedState>,
    ) -> Result<Live, ComponentError> {
        let component = component.component();
        let Linked::Chat(linked) = component.linked() else {
            return Err(component.wrong_kind(ComponentKind::Chat));
        };
        let limits = component.runtime().limits();
        let memory = MemoryMeter::new(limits.chat_memory);
        let budget = Budget::new(limits.chat_slice, limits.chat_session, self.computed);
        let state = ChatState::new(memory, budget, Arc::clone(&self.host), self.log.clone(), self.guest_log.clone());
        let mut store = Store::new(linked.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(BYTES_PER_CALL);
        store.set_max_component_handles(HANDLES);
        store.epoch_deadline_callback(|mut context| {
            context.data_mut().budget.tick(Instant::now())?;
            Ok(UpdateDeadline::Yield(1))
        });
        begin(&mut store);
        let call = Call::of_request(component, "instantiation");
        let made = linked.instantiate_async(&mut store).instrument(call.span().clone()).await;
        let world = ended(call, component, made, store.data())?;
        begin(&mut store);
        let exports = world.wasmlx_runner_chat().conversation();
        let conversation = match saved {
            None => {
                let call = Call::of_request(component, "conversation.open");
                let opened = exports.call_open(&mut store, &self.config).instrument(call.span().clone()).await;
                ended(call, component, opened, store.data())?
            }
            Some(saved) => {
                let call = Call::of_request(component, "conversation.restore");
                let saved = saved.into();
                let restored = exports.call_restore(&mut store, &self.config, &saved);
                let restored = restored.instrument(call.span().clone()).await;
                ended(call, component, restored, store.data())?
            }
        };
        let conversation = conversation.map_err(|error| store.data_mut().answered(error, component.name()))?;
        Ok(Live { store, world, conversation })
    }

    /// What a call came to. One that did not return is the instance's last.
    fn returned<T>(&mut self, call: Call, result: wasmtime::Result<T>) -> Result<T, ComponentError> {
        let Some(live) = &mut self.live else { return Err(self.gone()) };
        let state = live.store.data_mut();
        state.budget.pause(Instant::now());
        self.computed = state.budget.session();
        let result = ended(call, self.component.component(), result, state);
        if result.is_err() {
            self.live = None;
        }
        result
    }

    fn gone(&self) -> ComponentError {
        let name = self.component.component().name();
        ComponentError::new(ComponentErrorKind::Trapped, name, "its instance is gone after a trap")
    }

    /// An error that the component answered.
    fn answered(&mut self, error: wit::Error) -> ComponentError {
        let name = self.component.component().name();
        match &mut self.live {
            Some(live) => live.store.data_mut().answered(error, name),
            None => ComponentError::from(error).of(name),
        }
    }
}

impl Live {
    /// A call begins.
    fn begin(&mut self) {
        begin(&mut self.store);
    }

    /// Another call of the same turn begins. Once that is cancelled, all of them share what is left of a slice.
    fn go_on(&mut self, cancelled: bool) {
        let budget = &mut self.store.data_mut().budget;
        if cancelled {
            budget.cancel();
        }
        budget.resume(Instant::now());
        self.store.set_epoch_deadline(1);
    }
}

/// The compute time of a call begins: the budget is asked at every epoch.
fn begin(store: &mut Store<ChatState>) {
    store.data_mut().budget.start(Instant::now());
    store.set_epoch_deadline(1);
}

/// What a call came to.
fn ended<T>(
    call: Call,
    component: &Component,
    result: wasmtime::Result<T>,
    state: &ChatState,
) -> Result<T, ComponentError> {
    let result = result.map_err(|error| {
        // A deadline is an error of the budget's own, with its own sentence.
        ComponentError::from_call(component.name(), call.function(), &error, state.memory.hit(), Duration::ZERO)
    });
    call.end(result.as_ref().err());
    result
}
