//! How a turn is broken off from outside.

use tokio::sync::watch;

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
pub struct Canceller(watch::Sender<Wish>);

/// The turn's side.
#[derive(Debug, Clone)]
pub(crate) struct Cancellation(watch::Receiver<Wish>);

/// Both sides of a new turn.
pub(crate) fn pair() -> (Canceller, Cancellation) {
    let (sender, receiver) = watch::channel(Wish::Answer);
    (Canceller(sender), Cancellation(receiver))
}

impl Canceller {
    /// Ends the turn soon: the generation in progress stops within a step, and the component ends its turn with what
    /// it has. Does nothing to a turn that has ended.
    pub fn cancel(&self) {
        self.0.send_if_modified(|wish| {
            let changes = *wish == Wish::Answer;
            *wish = (*wish).max(Wish::End);
            changes
        });
    }

    /// The same for a turn that nobody reads any more.
    pub(crate) fn abandon(&self) {
        self.0.send_replace(Wish::Nothing);
    }
}

impl Cancellation {
    /// What the caller wants now.
    pub(crate) fn wish(&self) -> Wish {
        *self.0.borrow()
    }

    /// Returns when the caller wants no more answer; never where that cannot happen any more.
    pub(crate) async fn cancelled(&mut self) {
        if self.0.wait_for(|wish| *wish != Wish::Answer).await.is_err() {
            std::future::pending().await
        }
    }
}
