//! What contexts have on the device between two generations.

use std::collections::VecDeque;

use crate::context::ContextId;
use crate::slot::Slot;

/// The caches of contexts that no generation runs on, the one that was used longest ago first.
///
/// They are there to save time: the device makes room by forgetting them, and what a context had there is read again
/// from its tokens, which the caller's side has, when it next generates.
#[derive(Default)]
pub(crate) struct IdleSlots(VecDeque<(ContextId, Slot)>);

impl IdleSlots {
    /// Keeps what a context has, as the one that was used last.
    pub(crate) fn insert(&mut self, context: ContextId, slot: Slot) {
        self.0.push_back((context, slot));
    }

    /// Takes what a context has.
    pub(crate) fn remove(&mut self, context: ContextId) -> Option<Slot> {
        let index = self.0.iter().position(|(id, _)| *id == context)?;
        self.0.remove(index).map(|(_, slot)| slot)
    }

    /// Forgets all but those that are to be kept.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Slot) -> bool) {
        self.0.retain(|(_, slot)| keep(slot));
    }

    /// Forgets those that were used longest ago, one at least, until `bytes` of device memory are free of them. Says
    /// whether there was one.
    pub(crate) fn make_room(&mut self, bytes: u64) -> bool {
        let had_one = !self.0.is_empty();
        let mut freed = 0;
        while let Some((_, slot)) = self.0.pop_front() {
            freed += slot.cache.bytes();
            if freed >= bytes {
                break;
            }
        }
        had_one
    }
}
