//! How a turn is broken off from outside.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use wasmlx_engine::CancelToken;

/// What the caller wants of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// Its answer.
    Answer,
    /// That it comes to an end; what was answered so far counts.
    End,
    /// Nothing any more, and that it leaves no trace.
    Nothing,
}

/// Breaks a turn off from anywhere. Clones are for the same turn.
#[derive(Debug, Clone)]
pub struct Canceller(Arc<Shared>);

/// The turn's side.
#[derive(Debug, Clone)]
pub(crate) struct Cancellation(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    wish: watch::Sender<Wish>,
    /// The generations of the turn; none once it has ended.
    generations: Mutex<Option<Vec<CancelToken>>>,
}

/// Both sides of a new turn.
pub(crate) fn pair() -> (Canceller, Cancellation) {
    let generations = Mutex::new(Some(Vec::new()));
    let shared = Arc::new(Shared { wish: watch::Sender::new(Wish::Answer), generations });
    (Canceller(Arc::clone(&shared)), Cancellation(shared))
}

impl Canceller {
    /// Ends the turn soon: its generation stops within a step, and the component ends the turn with what it has. Does
    /// nothing to a turn that has ended.
    pub fn cancel(&self) {
        self.0.raise(Wish::End);
    }

    /// The same for a turn that nobody reads any more.
    pub(crate) fn abandon(&self) {
        self.0.raise(Wish::Nothing);
    }
}

impl Cancellation {
    /// What the caller wants now.
    pub(crate) fn wish(&self) -> Wish {
        *self.0.wish.borrow()
    }

    /// Returns when the caller wants no more answer.
    pub(crate) async fn cancelled(&self) {
        // It fails where the sender is gone, which this holds.
        let _ = self.0.wish.subscribe().wait_for(|wish| *wish != Wish::Answer).await;
    }

    /// Lets a cancellation stop this generation too, even one that came before.
    pub(crate) fn covers(&self, generation: CancelToken) {
        match &mut *self.0.generations() {
            Some(generations) if self.wish() == Wish::Answer => generations.push(generation),
            _ => generation.cancel(),
        }
    }

    /// The turn has ended: what it still generates, nobody will read.
    pub(crate) fn end(&self) {
        for generation in self.0.generations().take().into_iter().flatten() {
            generation.cancel();
        }
    }

    /// Whether the turn has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.generations().is_none()
    }

    /// What stands for a turn where there is none.
    pub(crate) fn ended() -> Self {
        let (_, cancellation) = pair();
        cancellation.end();
        cancellation
    }
}

impl Shared {
    /// A wish is not taken back.
    fn raise(&self, raised: Wish) {
        self.wish.send_if_modified(|wish| {
            let rises = *wish < raised;
            *wish = raised.max(*wish);
            rises
        });
        for generation in self.generations().iter().flatten() {
            generation.cancel();
        }
    }

    fn generations(&self) -> MutexGuard<'_, Option<Vec<CancelToken>>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_are_stopped_whether_they_began_before_or_after() {
        let (canceller, cancellation) = pair();
        let (before, after) = (CancelToken::new(), CancelToken::new());
        cancellation.covers(before.clone());
        assert!(!before.is_cancelled());
        canceller.cancel();
        cancellation.covers(after.clone());
        assert!(before.is_cancelled() && after.is_cancelled());
    }

    #[test]
    fn no_generation_outlives_its_turn() {
        let (_canceller, cancellation) = pair();
        let (during, after) = (CancelToken::new(), CancelToken::new());
        cancellation.covers(during.clone());
        assert!(!cancellation.has_ended());
        cancellation.end();
        cancellation.covers(after.clone());
        assert!(cancellation.has_ended() && during.is_cancelled() && after.is_cancelled());
    }

    #[test]
    fn a_wish_is_not_taken_back() {
        let (canceller, cancellation) = pair();
        canceller.abandon();
        canceller.cancel();
        assert_eq!(cancellation.wish(), Wish::Nothing);
    }
}
