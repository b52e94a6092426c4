//! What happens to slots by itself, in words.

use wasmlx::{SlotEvent, SlotEvents};

use crate::output;

/// Says which slots went back since this was last asked.
pub(crate) fn tell_slots(events: &mut SlotEvents) {
    while let Some(event) = events.try_next() {
        if let SlotEvent::TurnedBack { slot, from, to, .. } = event {
            // A component that is worked on has the name of the one before.
            let to = if from == to { "the one before".to_owned() } else { to };
            output::note(format_args!("note: {from} broke down in its first turns; the {slot} slot has {to} again"));
        }
    }
}
