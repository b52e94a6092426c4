//! The three slots of one chat.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::oneshot;
use wasmlx_components::{ChatComponent, ChatSeat, ComponentError, ComponentKind, TemplateSetup, TurnEnd};

use super::chat_builder::DEFAULT_CHAT;
use super::components::Components;
use super::error::{Error, ErrorKind, Result};
use super::model::{Model, default_template, template_config};
use super::place::{Back, Place, Taken};
use super::sampler::{LoadedSampler, vocabulary};
use super::slot_events::{Announcer, SlotEvent};
use super::slots::{Occupant, OccupiedSeat, Slot, Slots};

/// What sits in the slots of a chat, and what the chat is served by.
///
/// The lock is never held while a component computes.
pub(crate) struct ChatPlaces {
    model: Model,
    has_tools: bool,
    announcer: Announcer,
    state: Mutex<State>,
}

struct State {
    template: Place<Arc<TemplateSetup>>,
    sampler: Place<Arc<SamplerInUse>>,
    chat: Place<ChatComponent>,
    /// Whether a turn runs.
    in_turn: bool,
    /// Who waits for the session's next move.
    waiting: Vec<oneshot::Sender<Result<()>>>,
}

/// A sampler with the parameters that it took.
#[derive(Debug)]
pub(crate) struct SamplerInUse {
    pub(crate) loaded: LoadedSampler,
    pub(crate) params: Map<String, Value>,
}

/// What a chat is given of its own; it follows the host in the slots that have none.
#[derive(Default)]
pub(crate) struct Own {
    pub(crate) template: Option<Occupant>,
    pub(crate) sampler: Option<Occupant>,
    pub(crate) chat: Option<Occupant>,
}

impl ChatPlaces {
    /// The slots of a new chat, with what sits in them loaded and checked. Blocks.
    ///
    /// # Errors
    /// `NotFound`, `InvalidModel`, and what the components say of the model and the parameters.
    pub(crate) fn new(model: Model, has_tools: bool, own: Own, params: &Map<String, Value>) -> Result<Self> {
        let slots = model.host().slots();
        let state = State {
            template: place(slots, Slot::Template, own.template, |it| template_of(&model, has_tools, it))?,
            sampler: place(slots, Slot::Sampler, own.sampler, |it| sampler_of(&model, it, params))?,
            chat: place(slots, Slot::Chat, own.chat, |it| chat_of(model.host().components(), it))?,
            in_turn: false,
            waiting: Vec::new(),
        };
        let announcer = model.host().announcer().clone();
        Ok(Self { model, has_tools, announcer, state: Mutex::new(state) })
    }

    pub(crate) fn template(&self) -> Arc<TemplateSetup> {
        Arc::clone(&self.lock().template.taken().value)
    }

    pub(crate) fn sampler(&self) -> Arc<SamplerInUse> {
        Arc::clone(&self.lock().sampler.taken().value)
    }

    /// The parameters that the next turn's sampler takes.
    pub(crate) fn sampler_params(&self) -> Map<String, Value> {
        self.lock().sampler.next().value.params.clone()
    }

    /// What the session starts with, where the slot has nothing newer for it.
    pub(crate) fn chat(&self) -> ChatComponent {
        self.lock().chat.taken().value.clone()
    }

    /// What serves the next turn, by name.
    pub(crate) fn name(&self, slot: Slot) -> String {
        let state = self.lock();
        match slot {
            Slot::Template => state.template.next().value.component.name().to_owned(),
            Slot::Sampler => state.sampler.next().value.loaded.name().to_owned(),
            Slot::Chat => state.chat.next().value.component().name().to_owned(),
        }
    }

    /// Whether a swap of the host's slot moves this chat.
    pub(crate) fn follows(&self, slot: Slot) -> bool {
        let state = self.lock();
        match slot {
            Slot::Template => state.template.follows(),
            Slot::Sampler => state.sampler.follows(),
            Slot::Chat => state.chat.follows(),
        }
    }

    /// The seat that serves the next turn.
    pub(crate) fn next_seat(&self, slot: Slot) -> Arc<OccupiedSeat> {
        let state = self.lock();
        Arc::clone(match slot {
            Slot::Template => &state.template.next().seat,
            Slot::Sampler => &state.sampler.next().seat,
            Slot::Chat => &state.chat.next().seat,
        })
    }

    /// Makes of a seat's occupant what this chat needs, so that its next turn need not. Blocks.
    ///
    /// # Errors
    /// What the component says of the model or the parameters.
    pub(crate) fn prepare(&self, slot: Slot, seat: &Arc<OccupiedSeat>) -> Result<()> {
        self.make(slot, seat, false)
    }

    /// Puts an occupant into the chat's own slot, once it is known to fit. Blocks.
    ///
    /// # Errors
    /// As [`ChatPlaces::prepare`]; the slot stays as it is then.
    pub(crate) fn swap(&self, slot: Slot, seat: &Arc<OccupiedSeat>) -> Result<()> {
        self.make(slot, seat, true)
    }

    fn make(&self, slot: Slot, seat: &Arc<OccupiedSeat>, swaps: bool) -> Result<()> {
        fn put<T: Clone>(place: &mut Place<T>, seat: &Arc<OccupiedSeat>, value: T, swaps: bool) {
            let taken = Taken { seat: Arc::clone(seat), value };
            if swaps { place.swap(taken) } else { place.prepare(taken) }
        }
        match slot {
            Slot::Template => {
                let value = template_of(&self.model, self.has_tools, seat.value())?;
                put(&mut self.lock().template, seat, value, swaps);
            }
            Slot::Sampler => {
                let value = match sampler_of(&self.model, seat.value(), &self.sampler_params()) {
                    // It does not know the parameters of the one before.
                    Err(error) if error.kind() == ErrorKind::InvalidInput => {
                        sampler_of(&self.model, seat.value(), &Map::new())?
                    }
                    made => made?,
                };
                put(&mut self.lock().sampler, seat, value, swaps);
            }
            Slot::Chat => {
                let value = chat_of(self.model.host().components(), seat.value())?;
                put(&mut self.lock().chat, seat, value, swaps);
            }
        }
        Ok(())
    }

    /// Gives the sampler other parameters. Blocks.
    ///
    /// # Errors
    /// What the sampler says of them; then they stay as they were.
    pub(crate) fn set_sampler_params(&self, params: &Map<String, Value>) -> Result<()> {
        let seat = self.next_seat(Slot::Sampler);
        let value = sampler_of(&self.model, seat.value(), params)?;
        self.lock().sampler.set_next(&seat, value);
        Ok(())
    }

    /// A turn begins: what sits in the slots serves it. The session moves to its chat component by itself. Blocks where
    /// something new is not prepared.
    pub(crate) fn begin_turn(&self) {
        for slot in Slot::ALL {
            let Some(seat) = self.unprepared(slot) else { continue };
            if let Err(error) = self.prepare(slot, &seat) {
                self.decline(slot, &seat, error);
            }
        }
        let mut state = self.lock();
        state.in_turn = true;
        state.template.take_wanted();
        state.sampler.take_wanted();
    }

    /// The seat that the next turn needs and that is not prepared.
    fn unprepared(&self, slot: Slot) -> Option<Arc<OccupiedSeat>> {
        fn of<T: Clone>(place: &Place<T>) -> Option<Arc<OccupiedSeat>> {
            place.wanted().filter(|seat| place.ready(seat).is_none())
        }
        let state = self.lock();
        match slot {
            Slot::Template => of(&state.template),
            Slot::Sampler => of(&state.sampler),
            Slot::Chat => of(&state.chat),
        }
    }

    /// What the session is to run.
    pub(crate) fn chat_seat(&self) -> ChatSeat {
        let mut state = self.lock();
        let is_return = state.chat.is_back();
        let taken = state.chat.begin_move().unwrap_or_else(|| state.chat.taken().clone());
        ChatSeat { number: taken.seat.number(), component: taken.value, is_return }
    }

    /// What came of the session's move.
    pub(crate) fn moved(&self, number: u64, outcome: std::result::Result<(), &ComponentError>) {
        let outcome = outcome.map_err(|error| Error::from(error.clone()));
        let waiting = {
            let mut state = self.lock();
            if outcome.is_ok() {
                state.chat.take(number);
            }
            std::mem::take(&mut state.waiting)
        };
        if let Err(error) = &outcome {
            let seat = self.lock().chat.wanted().filter(|seat| seat.number() == number);
            if let Some(seat) = seat {
                self.decline(Slot::Chat, &seat, error.clone());
            }
        }
        for waiting in waiting {
            // Whoever asked may have stopped waiting.
            let _ = waiting.send(outcome.clone());
        }
    }

    /// The session's next move, to be waited for; none where it has none to make before a turn that runs is over.
    pub(crate) fn next_move(&self) -> Option<oneshot::Receiver<Result<()>>> {
        let mut state = self.lock();
        if state.in_turn || state.chat.wanted().is_none() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push(sender);
        Some(receiver)
    }

    /// Lets the chat stay with what it has, though the slot has this seat.
    pub(crate) fn decline(&self, slot: Slot, seat: &OccupiedSeat, error: Error) {
        let mut state = self.lock();
        match slot {
            Slot::Template => state.template.decline(seat.number()),
            Slot::Sampler => state.sampler.decline(seat.number()),
            Slot::Chat => state.chat.decline(seat.number()),
        }
        drop(state);
        let component = seat.value().name(slot).to_owned();
        self.announcer.tell(SlotEvent::Declined { slot, component, error });
    }

    /// A turn has ended: each slot's component has passed it, or is to blame.
    pub(crate) fn end_turn(&self, end: &TurnEnd) {
        let mut state = self.lock();
        state.in_turn = false;
        let State { template, sampler, chat, .. } = &mut *state;
        let told =
            [ended(template, Slot::Template, end), ended(sampler, Slot::Sampler, end), ended(chat, Slot::Chat, end)];
        drop(state);
        for event in told.into_iter().flatten() {
            self.announcer.tell(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each use leaves a whole value behind, even where it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place with its first occupant: the chat's own, or what sits in the host's slot.
fn place<T: Clone>(
    slots: &Slots,
    slot: Slot,
    own: Option<Occupant>,
    make: impl FnOnce(&Occupant) -> Result<T>,
) -> Result<Place<T>> {
    let shared = Arc::clone(slots.of(slot));
    Ok(match own {
        Some(occupant) => {
            let value = make(&occupant)?;
            Place::own(shared, Taken { seat: Arc::new(OccupiedSeat::new(occupant)), value })
        }
        None => {
            let seat = shared.current();
            let value = make(seat.value())?;
            Place::following(shared, Taken { seat, value })
        }
    })
}

fn ended<T: Clone>(place: &mut Place<T>, slot: Slot, end: &TurnEnd) -> Option<SlotEvent> {
    let Some((_, error)) = end.faults.iter().find(|(kind, _)| *kind == slot.kind()) else {
        if end.is_good {
            place.passed();
        }
        return None;
    };
    let from = place.taken().seat.value().name(slot).to_owned();
    let (back, to) = place.failed()?;
    Some(SlotEvent::TurnedBack {
        slot,
        from,
        to: to.value().name(slot).to_owned(),
        everywhere: back == Back::Everywhere,
        error: error.clone().into(),
    })
}

/// The template of a model, checked by making an instance of it.
pub(crate) fn template_of(model: &Model, has_tools: bool, occupant: &Occupant) -> Result<Arc<TemplateSetup>> {
    let tokenizer = model.tokenizer()?;
    let component = match occupant {
        Occupant::Component(component) => component.clone(),
        _ => model.host().components().load(&default_template(tokenizer).into(), ComponentKind::Template)?,
    };
    let setup = TemplateSetup { component, config: template_config(tokenizer, has_tools).to_string() };
    setup.instantiate()?;
    Ok(Arc::new(setup))
}

/// A sampler, its parameters checked by planning or making a policy.
fn sampler_of(model: &Model, occupant: &Occupant, params: &Map<String, Value>) -> Result<Arc<SamplerInUse>> {
    let loaded = LoadedSampler::of(occupant, model.host().components(), params, model.generation_config())?;
    loaded.sampling(&vocabulary(model, &model.end_tokens()))?;
    Ok(Arc::new(SamplerInUse { loaded, params: params.clone() }))
}

fn chat_of(components: &Components, occupant: &Occupant) -> Result<ChatComponent> {
    Ok(ChatComponent::new(&match occupant {
        Occupant::Component(component) => component.clone(),
        _ => components.load(&DEFAULT_CHAT.into(), ComponentKind::Chat)?,
    })?)
}
