//! The task of a chat session: owns the component's instance and runs its turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::Instrument as _;
use wasmlx_engine::{Context, SavedState};
use wasmtime::component::ResourceAny;
use wasmtime::{Store, UpdateDeadline};

use crate::budget::Budget;
use crate::call::Call;
use crate::cancellation::{Cancellation, Wish};
use crate::chat::{ChatComponent, ChatEvent, Command, TurnRequest};
use crate::chat_state::ChatState;
use crate::component::Linked;
use crate::guest_log::GuestLog;
use crate::limits::{BYTES_PER_CALL, HANDLES};
use crate::token_budget::TokenBudget;
use crate::v0_1::chat::{Linked as LinkedChat, World};
use crate::v0_1::types::wit;
use crate::{ChatHost, Component, ComponentError, ComponentErrorKind, ComponentKind, MessageLog, Permissions, TurnEnd};

/// How many events the component is asked for at once.
const BATCH: u32 = 64;

/// How often a component is asked for events after its turn was cancelled.
const BATCHES_AFTER_CANCELLATION: u32 = 64;

/// The most bytes of text that the events of a turn may have together: a reader who is slow holds many of them.
const EVENT_BYTES: usize = 64 << 20;

/// A session between its commands.
pub(crate) struct Session {
    component: ChatComponent,
    /// The number of the seat that the component came from; none for the one that the session was started with.
    seat: Option<u64>,
    /// Where the session last moved from.
    before: Option<Before>,
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
    /// What its generations may take, whichever instance asks.
    tokens: TokenBudget,
    /// What the last instance had read, for the next one.
    context: Option<Context>,
    /// The components that broke down in this turn, as far as it had other instances than the one there is.
    faults: Vec<(ComponentKind, ComponentError)>,
}

/// The seat that a session moved from, and what its component saved there.
struct Before {
    seat: Option<u64>,
    saved: Option<SavedState>,
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
        let (component, seat) = match host.chat() {
            Some(seat) => {
                host.moved(seat.number, Ok(()));
                (seat.component, Some(seat.number))
            }
            None => (component, None),
        };
        Self {
            guest_log: GuestLog::new(component.component()),
            component,
            seat,
            before: None,
            config,
            log,
            host,
            live: None,
            saved,
            computed: Duration::ZERO,
            tokens: TokenBudget::default(),
            context: None,
            faults: Vec::new(),
        }
    }

    /// Serves commands until nobody can send one any more.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        while let Some(command) = commands.recv().await {
            let _activity = self.component.component().runtime().activity();
            match command {
                Command::Turn(turn) => self.turn(turn).await,
                // Whoever asked may have stopped waiting; then there is no one to tell.
                Command::Save(reply) => drop(reply.send(self.save().await)),
                Command::Move(reply) => drop(reply.send(self.take_seat().await)),
            }
        }
    }

    /// Runs a turn; one that fails or is abandoned leaves no message behind.
    async fn turn(&mut self, TurnRequest { new, events, cancellation }: TurnRequest) {
        let host = Arc::clone(&self.host);
        // Where it panics the turn goes on with what there is.
        let _ = tokio::task::spawn_blocking(move || host.begin_turn()).await;
        // The host was told of a move that failed; the component that there is answers.
        let _ = self.take_seat().await;
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
                let faults = self.take_faults();
                self.host.end_turn(&TurnEnd { is_good: true, faults });
            }
            Err(error) => {
                let faults = self.take_faults();
                self.host.end_turn(&TurnEnd { is_good: false, faults });
                drop(events.send(Err(error)).await);
            }
        }
    }

    fn take_faults(&mut self) -> Vec<(ComponentKind, ComponentError)> {
        let live = self.live.as_mut().map(|live| live.store.data_mut().take_faults());
        std::mem::take(&mut self.faults).into_iter().chain(live.unwrap_or_default()).collect()
    }

    /// Has the component answer the log; returns the last event, and sends those before it.
    async fn answer(
        &mut self,
        events: &mpsc::Sender<Result<ChatEvent, ComponentError>>,
        cancellation: &Cancellation,
    ) -> Result<ChatEvent, ComponentError> {
        if let Err(error) = self.ready().await {
            if error.is_fault() {
                self.faults.push((ComponentKind::Chat, error.clone()));
            }
            return Err(error);
        }
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
        let (mut left, mut bytes) = (BATCHES_AFTER_CANCELLATION, 0_usize);
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
                bytes = bytes.saturating_add(event.text_length());
                if bytes > EVENT_BYTES {
                    let name = self.component.component().name();
                    let message = format!("the events of its turn have more than {} MiB", EVENT_BYTES >> 20);
                    return Err(ComponentError::new(ComponentErrorKind::OutOfMemory, name, message));
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

    /// Moves to what sits in the chat slot now, if that is another seat. Where the move fails the session stays as it
    /// is. The host learns what came of it.
    async fn take_seat(&mut self) -> Result<(), ComponentError> {
        let Some(seat) = self.host.chat().filter(|seat| Some(seat.number) != self.seat) else { return Ok(()) };
        let moved = match self.before.take_if(|before| before.seat == Some(seat.number)) {
            Some(before) => {
                self.move_back(seat.component, before.saved);
                Ok(())
            }
            None => match self.move_on(&seat.component).await {
                Err(error) if seat.is_return => {
                    tracing::warn!("{error}; the chat goes on from its messages alone");
                    self.move_back(seat.component, None);
                    Ok(())
                }
                moved => moved,
            },
        };
        if moved.is_ok() {
            self.seat = Some(seat.number);
        }
        self.host.moved(seat.number, moved.as_ref().copied());
        moved
    }

    /// Goes on with another component and what this one saved after its last good turn.
    async fn move_on(&mut self, component: &ChatComponent) -> Result<(), ComponentError> {
        let guest_log = GuestLog::new(component.component());
        // What one has computed is not held against another.
        let mut computed = Duration::ZERO;
        let live = self.instantiate(component, self.saved.clone(), &guest_log, &mut computed).await?;
        self.retire();
        self.settle_in(live);
        self.computed = computed;
        self.guest_log = guest_log;
        self.component = component.clone();
        self.before = Some(Before { seat: self.seat, saved: self.saved.clone() });
        Ok(())
    }

    /// Goes back to a component, with what it saved when the session left it. What was said since is in the log.
    fn move_back(&mut self, component: ChatComponent, saved: Option<SavedState>) {
        self.retire();
        self.computed = Duration::ZERO;
        self.guest_log = GuestLog::new(component.component());
        self.component = component;
        self.saved = saved;
    }

    /// An instance begins, with what the one before has read. From here on its component's limit of tokens holds: one
    /// that does not come so far changes nothing for the one that stays.
    fn settle_in(&mut self, mut live: Live) {
        let state = live.store.data_mut();
        self.tokens.set_limit(state.permissions.tokens(), Instant::now());
        if let Some(context) = self.context.take() {
            state.keep(context);
        }
        self.live = Some(live);
    }

    /// Ends the instance. What it has read stays for the next one.
    fn retire(&mut self) {
        let Some(mut live) = self.live.take() else { return };
        let state = live.store.data_mut();
        self.faults.append(&mut state.take_faults());
        let context = state.take_context();
        // Its generations end with it; until then its context is theirs.
        drop(live);
        self.context = context.and_then(|mut context| context.vacate().is_ok().then_some(context));
    }

    /// Makes sure that there is an instance. A state that cannot be restored is not worth failing for: the messages are
    /// the host's.
    async fn ready(&mut self) -> Result<(), ComponentError> {
        if self.live.is_some() {
            return Ok(());
        }
        // However it ends, what it computed is the session's: a component that fails to begin may not try for ever.
        let mut computed = self.computed;
        let made = self.make(&mut computed).await;
        self.computed = computed;
        self.settle_in(made?);
        Ok(())
    }

    /// An instance that goes on from what was saved or, where there is nothing that it can restore, begins anew.
    async fn make(&mut self, computed: &mut Duration) -> Result<Live, ComponentError> {
        let (component, guest_log) = (self.component.clone(), self.guest_log.clone());
        if let Some(saved) = self.saved.clone() {
            match self.instantiate(&component, Some(saved), &guest_log, computed).await {
                Ok(live) => return Ok(live),
                Err(error) => tracing::warn!("{error}; the chat goes on from its messages alone"),
            }
        }
        self.instantiate(&component, None, &guest_log, computed).await
    }

    /// An instance of a component, opened or restored. `computed` is what counts against its session, and is brought up
    /// to date however this ends.
    async fn instantiate(
        &mut self,
        component: &ChatComponent,
        saved: Option<SavedState>,
        guest_log: &GuestLog,
        computed: &mut Duration,
    ) -> Result<Live, ComponentError> {
        let component = component.component();
        let Linked::Chat(linked) = component.linked() else {
            return Err(component.wrong_kind(ComponentKind::Chat));
        };
        let limits = component.runtime().limits();
        let memory = component.runtime().meter(component.kind()).map_err(|error| error.of(component.name()))?;
        let budget = Budget::new(limits.chat_slice, limits.chat_session, *computed);
        let permissions = Permissions::new(component, &self.host.grants());
        let (host, tokens) = (Arc::clone(&self.host), self.tokens.clone());
        let state = ChatState::new(memory, budget, host, permissions, tokens, self.log.clone(), guest_log.clone());
        let mut store = Store::new(linked.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(BYTES_PER_CALL);
        store.set_max_component_handles(HANDLES);
        component.runtime().prepare(&mut store);
        store.epoch_deadline_callback(|mut context| {
            context.data_mut().budget.tick(Instant::now())?;
            Ok(UpdateDeadline::Yield(1))
        });
        let begun = begin_conversation(component, linked, &self.config, saved, &mut store).await;
        let budget = &mut store.data_mut().budget;
        budget.pause(Instant::now());
        *computed = budget.session();
        let (world, conversation) = begun?;
        Ok(Live { store, world, conversation })
    }

    /// What a call came to. One that did not return is the instance's last.
    fn returned<T>(&mut self, call: Call, result: wasmtime::Result<T>) -> Result<T, ComponentError> {
        let Some(live) = &mut self.live else { return Err(self.gone()) };
        self.component.component().runtime().count(call.function(), &mut live.store, |state| &state.memory);
        let state = live.store.data_mut();
        state.budget.pause(Instant::now());
        self.computed = state.budget.session();
        let result = ended(call, self.component.component(), result, state);
        if let Err(error) = &result {
            state.broke_down(error);
            self.retire();
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
        self.store.data_mut().memory.begin_call();
    }
}

/// Has the guest run its start and `open`, or `restore`.
async fn begin_conversation(
    component: &Component,
    linked: &LinkedChat,
    config: &str,
    saved: Option<SavedState>,
    store: &mut Store<ChatState>,
) -> Result<(World, ResourceAny), ComponentError> {
    begin(store);
    let call = Call::of_request(component, "instantiation");
    let made = linked.instantiate_async(&mut *store).instrument(call.span().clone()).await;
    component.runtime().count(call.function(), store, |state| &state.memory);
    let world = ended(call, component, made, store.data())?;
    begin(store);
    let exports = world.wasmlx_runner_chat().conversation();
    let conversation = match saved {
        None => {
            let call = Call::of_request(component, "conversation.open");
            let opened = exports.call_open(&mut *store, config).instrument(call.span().clone()).await;
            component.runtime().count(call.function(), store, |state| &state.memory);
            ended(call, component, opened, store.data())?
        }
        Some(saved) => {
            let call = Call::of_request(component, "conversation.restore");
            let saved = saved.into();
            let restored = exports.call_restore(&mut *store, config, &saved);
            let restored = restored.instrument(call.span().clone()).await;
            component.runtime().count(call.function(), store, |state| &state.memory);
            ended(call, component, restored, store.data())?
        }
    };
    let conversation = conversation.map_err(|error| store.data_mut().answered(error, component.name()))?;
    Ok((world, conversation))
}

/// The compute time of a call begins: the budget is asked at every epoch.
fn begin(store: &mut Store<ChatState>) {
    let state = store.data_mut();
    state.memory.begin_call();
    state.budget.start(Instant::now());
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
