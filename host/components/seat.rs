//! A component's stay in a slot, and the turns in which it may be turned back.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Slot;

/// One stay of a value in a slot. The same value put in again is another seat, so whoever holds a seat can tell a swap
/// from none.
///
/// A seat may be on trial: until so many turns have ended well with it, a fault turns the slot back to the seat before.
pub struct Seat<T> {
    value: T,
    number: u64,
    turns: u32,
    trial: Mutex<Option<Trial<T>>>,
    was_turned_back: AtomicBool,
}

struct Trial<T> {
    /// Turns that are still to end well.
    left: u32,
    before: Arc<Seat<T>>,
}

impl<T> Seat<T> {
    /// A seat that is not on trial.
    pub fn new(value: T) -> Self {
        Self::with(value, None)
    }

    /// A seat that is to take the place of `before`, on trial for so many turns.
    pub fn on_trial(value: T, turns: u32, before: Arc<Self>) -> Self {
        Self::with(value, (turns > 0).then_some(Trial { left: turns, before }))
    }

    fn with(value: T, trial: Option<Trial<T>>) -> Self {
        static SEATS: AtomicU64 = AtomicU64::new(0);
        let number = SEATS.fetch_add(1, Ordering::Relaxed);
        let turns = trial.as_ref().map_or(0, |trial| trial.left);
        Self { value, number, turns, trial: Mutex::new(trial), was_turned_back: AtomicBool::new(false) }
    }

    /// What sits here.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// A number that no other seat of this process has.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// For how many turns it was put on trial.
    pub fn trial_turns(&self) -> u32 {
        self.turns
    }

    /// A turn has ended well.
    pub fn passed(&self) {
        let mut trial = self.trial();
        match &mut *trial {
            Some(Trial { left, .. }) if *left > 1 => *left -= 1,
            _ => *trial = None,
        }
    }

    /// Whether a fault would turn the slot back.
    pub fn is_on_trial(&self) -> bool {
        self.trial().is_some()
    }

    /// A turn has failed by this component's fault. While it is on trial and still sits in the slot, the slot goes back
    /// to the seat before; says to which.
    pub fn failed(self: &Arc<Self>, slot: &Slot<Self>) -> Option<Arc<Self>> {
        let trial = self.trial().take()?;
        if !slot.replace(self, Arc::clone(&trial.before)) {
            return None;
        }
        self.was_turned_back.store(true, Ordering::Release);
        Some(trial.before)
    }

    /// Whether the slot was turned back from here.
    pub fn was_turned_back(&self) -> bool {
        self.was_turned_back.load(Ordering::Acquire)
    }

    /// Ends the trial, as for a seat that another has taken the place of: a slot goes back by one swap and no further.
    pub fn end_trial(&self) {
        *self.trial() = None;
    }

    fn trial(&self) -> MutexGuard<'_, Option<Trial<T>>> {
        // Each use leaves a whole value behind, even where it panics.
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: fmt::Debug> fmt::Debug for Seat<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("number", &self.number).field("value", &self.value).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swap(slot: &Slot<Seat<&'static str>>, value: &'static str, turns: u32) -> Arc<Seat<&'static str>> {
        let seat = Arc::new(Seat::on_trial(value, turns, slot.current()));
        slot.swap(Arc::clone(&seat)).end_trial();
        seat
    }

    #[test]
    fn a_fault_on_trial_turns_the_slot_back() {
        let slot = Slot::new(Arc::new(Seat::new("old")));
        let old = slot.current();
        let new = swap(&slot, "new", 3);
        new.passed();
        new.passed();
        assert!(Arc::ptr_eq(&new.failed(&slot).unwrap(), &old));
        assert!(Arc::ptr_eq(&slot.current(), &old) && new.was_turned_back());
        // Of several turns that fail at once one turns it back.
        assert!(new.failed(&slot).is_none());
        assert!(old.failed(&slot).is_none());
    }

    #[test]
    fn a_trial_ends_after_its_turns_and_lets_go_of_the_seat_before() {
        let slot = Slot::new(Arc::new(Seat::new("old")));
        let old = Arc::downgrade(&slot.current());
        let new = swap(&slot, "new", 2);
        new.passed();
        assert!(new.is_on_trial() && old.upgrade().is_some());
        new.passed();
        assert!(!new.is_on_trial() && old.upgrade().is_none());
        assert!(new.failed(&slot).is_none());
        assert_eq!(*slot.current().value(), "new");
    }

    #[test]
    fn a_swap_meanwhile_is_not_undone() {
        let slot = Slot::new(Arc::new(Seat::new("old")));
        let first = Arc::downgrade(&slot.current());
        let second = swap(&slot, "second", 3);
        let third = swap(&slot, "third", 3);
        assert!(second.failed(&slot).is_none());
        assert_eq!(*slot.current().value(), "third");
        // However many swaps there were, one seat before is kept and no more.
        assert!(first.upgrade().is_none());
        assert!(Arc::ptr_eq(&third.failed(&slot).unwrap(), &second));
        assert!(swap(&slot, "fourth", 0).failed(&slot).is_none(), "no turns, no trial");
    }
}
