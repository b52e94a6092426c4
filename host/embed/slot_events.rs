//! What happens to slots by itself: told to whoever listens.

use tokio::sync::broadcast;

use super::error::Error;
use super::slots::Slot;

/// How many events wait for a listener who is slow; older ones are lost to that listener.
const WAITING: usize = 256;

/// Something happened to a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotEvent {
    /// A component was put into a slot: the host's, or where it is one chat's own, that chat's.
    Swapped {
        /// Which slot.
        slot: Slot,
        /// The component that sat there before.
        from: String,
        /// The one that sits there now.
        to: String,
    },
    /// A chat stays with what it had, since it could not take over to the component that was put into the slot: it
    /// refused the chat's state, the model's template or the sampler's parameters, or it broke down at the attempt.
    Declined {
        /// Which slot.
        slot: Slot,
        /// The component that the chat did not take.
        component: String,
        /// Why.
        error: Error,
    },
    /// A component broke down in its first turns, and what sat in the slot before sits there again.
    TurnedBack {
        /// Which slot.
        slot: Slot,
        /// The component that broke down.
        from: String,
        /// The one that sits there again.
        to: String,
        /// Whether it is the host's slot that went back, for every chat; else it is one chat's.
        everywhere: bool,
        /// How the component broke down, as the error of the turn says it too.
        error: Error,
    },
}

/// What happens to slots from now on; made by [`Host::slot_events`](crate::Host::slot_events).
#[derive(Debug)]
pub struct SlotEvents(broadcast::Receiver<SlotEvent>);

impl SlotEvents {
    /// The next event, waiting for it; none once the host is gone. A listener who is 256 events late misses the oldest.
    pub async fn next(&mut self) -> Option<SlotEvent> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> Option<SlotEvent> {
        loop {
            match self.0.try_recv() {
                Ok(event) => return Some(event),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}

/// Tells the listeners.
#[derive(Debug, Clone)]
pub(crate) struct Announcer(broadcast::Sender<SlotEvent>);

impl Announcer {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }

    pub(crate) fn listen(&self) -> SlotEvents {
        SlotEvents(self.0.subscribe())
    }

    pub(crate) fn tell(&self, event: SlotEvent) {
        match &event {
            SlotEvent::Swapped { slot, from, to } => tracing::info!(%slot, from, to, "component swapped"),
            SlotEvent::Declined { slot, component, error } => {
                tracing::info!(%slot, component, %error, "a chat stays with the component before");
            }
            SlotEvent::TurnedBack { slot, from, to, everywhere, error } => {
                tracing::info!(%slot, from, to, everywhere, %error, "slot turned back");
            }
        }
        // It fails where nobody listens.
        let _ = self.0.send(event);
    }
}
