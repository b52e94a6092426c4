//! A slot as one chat has it: the host's, or its own, and what of it serves the chat now.

use std::mem;
use std::sync::Arc;

use wasmlx_components::Slot as Pointer;

use super::slots::{OccupiedSeat, SlotPointer};

/// What serves a chat, and the seat that it came from.
#[derive(Debug, Clone)]
pub(crate) struct Taken<T> {
    pub(crate) seat: Arc<OccupiedSeat>,
    /// What the chat made of the occupant: for a template, the component with what it is told of the chat's model.
    pub(crate) value: T,
}

/// A chat's slot. The pointer says what is to sit in it; the chat takes that at its next turn, and until then is served
/// by what it took before.
pub(crate) struct Place<T> {
    /// The host's pointer.
    shared: SlotPointer,
    /// This chat's, where it was given a component of its own.
    own: Option<Own>,
    taken: Taken<T>,
    before: Option<Before<T>>,
    /// What the chat is to be served by once it takes that seat.
    prepared: Option<Taken<T>>,
    /// What the chat is moving to at this moment.
    moving: Option<Taken<T>>,
    /// The number of the host's seat that this chat does not take.
    declined: Option<u64>,
    /// Whether `taken` is what the chat went back to, and what it serves does not know yet.
    is_back: bool,
}

struct Own {
    pointer: SlotPointer,
    /// Whether the chat followed the host before this component.
    followed: bool,
}

/// What served the chat before, while the chat may go back to it.
struct Before<T> {
    taken: Taken<T>,
    /// Turns of this chat that are still to end well.
    turns: u32,
}

/// That a slot went back to what sat there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    /// For every chat of the host.
    Everywhere,
    /// For this chat.
    Here,
}

impl<T: Clone> Place<T> {
    /// A place that follows the host.
    pub(crate) fn following(shared: SlotPointer, taken: Taken<T>) -> Self {
        Self { shared, own: None, taken, before: None, prepared: None, moving: None, declined: None, is_back: false }
    }

    /// A place with a component of its own from the beginning.
    pub(crate) fn own(shared: SlotPointer, taken: Taken<T>) -> Self {
        let own = Own { pointer: Arc::new(Pointer::new(Arc::clone(&taken.seat))), followed: false };
        Self { own: Some(own), ..Self::following(shared, taken) }
    }

    /// Whether it follows the host.
    pub(crate) fn follows(&self) -> bool {
        self.own.is_none()
    }

    /// What serves the chat now.
    pub(crate) fn taken(&self) -> &Taken<T> {
        &self.taken
    }

    /// What serves the next turn, as far as that is prepared.
    pub(crate) fn next(&self) -> &Taken<T> {
        self.wanted().and_then(|seat| self.ready(&seat)).unwrap_or(&self.taken)
    }

    /// Has the chat served by this in place of what the seat's occupant was made into before.
    pub(crate) fn set_next(&mut self, seat: &OccupiedSeat, value: T) {
        let number = seat.number();
        let all = [Some(&mut self.taken), self.prepared.as_mut(), self.before.as_mut().map(|before| &mut before.taken)];
        for taken in all.into_iter().flatten().filter(|taken| taken.seat.number() == number) {
            taken.value = value.clone();
        }
    }

    /// The seat that the chat is to move to, if it is to move.
    pub(crate) fn wanted(&self) -> Option<Arc<OccupiedSeat>> {
        let seat = self.pointer().current();
        let number = Some(seat.number());
        (number != Some(self.taken.seat.number()) && number != self.declined).then_some(seat)
    }

    /// What the chat made of this seat's occupant, if it has done so.
    pub(crate) fn ready(&self, seat: &OccupiedSeat) -> Option<&Taken<T>> {
        let all = [self.prepared.as_ref(), self.before.as_ref().map(|before| &before.taken)];
        all.into_iter().flatten().find(|taken| taken.seat.number() == seat.number())
    }

    /// Keeps what is to serve the chat once it takes that seat.
    pub(crate) fn prepare(&mut self, taken: Taken<T>) {
        self.prepared = Some(taken);
    }

    /// Puts a component into this chat's slot alone. The next turn takes it.
    pub(crate) fn swap(&mut self, taken: Taken<T>) {
        let seat = Arc::clone(&taken.seat);
        match &mut self.own {
            Some(own) => {
                own.pointer.swap(seat).end_trial();
                own.followed = false;
            }
            None => self.own = Some(Own { pointer: Arc::new(Pointer::new(seat)), followed: true }),
        }
        self.prepared = Some(taken);
    }

    /// What the chat is to move to now, if that is ready: it does so, or declines.
    pub(crate) fn begin_move(&mut self) -> Option<Taken<T>> {
        self.moving = self.wanted().and_then(|seat| self.ready(&seat).cloned());
        self.moving.clone()
    }

    /// Moves to the seat that the pointer says, if that is ready.
    pub(crate) fn take_wanted(&mut self) {
        if let Some(taken) = self.begin_move() {
            self.take(taken.seat.number());
        }
    }

    /// Moves to a seat that is ready; does nothing where the chat has taken it already.
    pub(crate) fn take(&mut self, number: u64) {
        self.is_back &= self.taken.seat.number() != number;
        if self.taken.seat.number() == number {
            return;
        }
        let prepared = self.prepared.take_if(|taken| taken.seat.number() == number);
        let prepared = prepared.or(self.moving.take().filter(|taken| taken.seat.number() == number));
        let back = self.before.take().map(|before| before.taken).filter(|taken| taken.seat.number() == number);
        let is_new = back.is_none();
        let Some(taken) = back.or(prepared) else { return };
        let turns = taken.seat.trial_turns();
        let before = mem::replace(&mut self.taken, taken);
        self.before = (is_new && turns > 0).then_some(Before { taken: before, turns });
    }

    /// Stays where it is, though the pointer says otherwise.
    pub(crate) fn decline(&mut self, number: u64) {
        self.prepared = None;
        match &mut self.own {
            Some(own) if own.pointer.current().number() != number => {}
            Some(own) if own.followed => self.own = None,
            Some(own) => drop(own.pointer.swap(Arc::clone(&self.taken.seat))),
            None => self.declined = Some(number),
        }
    }

    /// A turn has ended well.
    pub(crate) fn passed(&mut self) {
        self.taken.seat.passed();
        if let Some(before) = &mut self.before {
            before.turns -= 1;
        }
        self.before.take_if(|before| before.turns == 0);
    }

    /// A turn has failed by the fault of what serves the chat. While that is on trial its slot goes back; after that
    /// this chat alone may, in its own first turns.
    pub(crate) fn failed(&mut self) -> Option<(Back, Arc<OccupiedSeat>)> {
        let pointer = Arc::clone(self.pointer());
        if let Some(before) = self.taken.seat.failed(&pointer) {
            if self.own.is_none() {
                return Some((Back::Everywhere, before));
            }
            self.own.take_if(|own| own.followed);
            return Some((Back::Here, before));
        }
        let number = self.taken.seat.number();
        if pointer.current().number() != number {
            // It was turned back, or swapped, meanwhile: the next turn moves anyhow.
            return None;
        }
        let before = self.before.take()?;
        self.taken = before.taken;
        self.is_back = true;
        self.declined = Some(number);
        Some((Back::Here, Arc::clone(&self.taken.seat)))
    }

    /// Whether the chat goes to the next seat because what sat there broke down.
    pub(crate) fn is_back(&self) -> bool {
        self.is_back || self.taken.seat.was_turned_back()
    }

    fn pointer(&self) -> &SlotPointer {
        self.own.as_ref().map_or(&self.shared, |own| &own.pointer)
    }
}
