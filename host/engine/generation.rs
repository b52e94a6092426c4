//! The caller's side of a generation: a stream of events.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, WeakUnboundedSender};

use crate::EngineError;
use crate::cancel::CancelToken;
use crate::context::ContextState;
use crate::device::ThreadEnd;
use crate::event::{Event, Finished};
use crate::policy::Policy;

/// What the device thread reports of a generation.
pub(crate) enum Update {
    Event(Event),
    /// `read`: how many of the context's tokens its cache has read.
    Finished {
        finished: Finished,
        read: usize,
        policy: Option<Box<dyn Policy>>,
    },
    Failed(EngineError, Option<Box<dyn Policy>>),
}

/// An answer as it comes.
///
/// When it has ended, and when it is dropped, the context that it was made of holds the text that this side has
/// received: its tokens, without an end token, and cut where a stop string cut the text.
pub struct Generation {
    updates: UnboundedReceiver<Update>,
    work: DeviceWork,
    cancel: CancelToken,
    thread_end: ThreadEnd,
    /// None once the answer is settled.
    answer: Option<Answer>,
    /// A failure that came behind events of the same batch.
    failure: Option<EngineError>,
    policy: Option<Box<dyn Policy>>,
}

/// What the device does for a generation, for whoever counts that: it goes on for a while where the generation is
/// dropped.
#[derive(Clone)]
pub struct DeviceWork(WeakUnboundedSender<Update>);

impl DeviceWork {
    /// Whether the device has ended it.
    pub fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// What was received so far, to go into the context.
pub(crate) struct Answer {
    pub(crate) context: Arc<ContextState>,
    pub(crate) end_tokens: Vec<u32>,
    pub(crate) ids: Vec<u32>,
    pub(crate) text: String,
}

impl Generation {
    pub(crate) fn new(
        updates: UnboundedReceiver<Update>,
        sender: WeakUnboundedSender<Update>,
        cancel: CancelToken,
        thread_end: ThreadEnd,
        answer: Answer,
    ) -> Self {
        let work = DeviceWork(sender);
        Self { updates, work, cancel, thread_end, answer: Some(answer), failure: None, policy: None }
    }

    /// The next event, waiting for it; none after the last. An error is the last. Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Result<Event, EngineError>> {
        if let Some(error) = self.failure.take() {
            return Some(Err(error));
        }
        self.answer.as_ref()?;
        let update = self.updates.recv().await;
        Some(self.take(update))
    }

    /// Waits for one event and takes what else is there, up to `max`; empty after the last. An error that comes
    /// behind events is given by the next call. Dropping the future loses no event.
    pub async fn next_batch(&mut self, max: usize) -> Result<Vec<Event>, EngineError> {
        let mut events = Vec::new();
        if max == 0 {
            return Ok(events);
        }
        match self.next().await {
            Some(first) => events.push(first?),
            None => return Ok(events),
        }
        while events.len() < max && self.answer.is_some() {
            let Ok(update) = self.updates.try_recv() else { break };
            match self.take(Some(update)) {
                Ok(event) => events.push(event),
                Err(error) => self.failure = Some(error),
            }
        }
        Ok(events)
    }

    /// As [`Generation::next`], for callers that are not async; it blocks their thread.
    ///
    /// # Panics
    /// Where it is called from async code, which it would hold up.
    pub fn blocking_next(&mut self) -> Option<Result<Event, EngineError>> {
        if let Some(error) = self.failure.take() {
            return Some(Err(error));
        }
        self.answer.as_ref()?;
        let update = self.updates.blocking_recv();
        Some(self.take(update))
    }

    /// Ends the answer at its next step, be it a token or a chunk of the prompt: what was read by then still comes, and
    /// the last event says that it was cancelled, unless the answer ended by itself before.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Does the same from elsewhere.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// What the device does for it.
    pub fn work(&self) -> DeviceWork {
        self.work.clone()
    }

    /// The request's policy, once the last event is received, for its state to be saved. A generation that is dropped
    /// before drops its policy on the device thread.
    pub fn take_policy(&mut self) -> Option<Box<dyn Policy>> {
        self.policy.take()
    }

    fn take(&mut self, update: Option<Update>) -> Result<Event, EngineError> {
        match update {
            Some(Update::Event(event)) => {
                if let (Some(answer), Event::Token { id, text, .. }) = (&mut self.answer, &event) {
                    answer.push(*id, text);
                }
                Ok(event)
            }
            Some(Update::Finished { finished, read, policy }) => {
                self.policy = policy;
                self.settle(Some(read));
                Ok(Event::Finished(finished))
            }
            Some(Update::Failed(error, policy)) => {
                self.policy = policy;
                self.settle(None);
                Err(error)
            }
            None => {
                self.settle(None);
                Err(self.thread_end.wait())
            }
        }
    }

    fn settle(&mut self, read: Option<usize>) {
        if let Some(answer) = self.answer.take() {
            let Answer { context, ids, text, .. } = answer;
            context.settle(ids, &text, read);
        }
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.settle(None);
    }
}

impl Answer {
    fn push(&mut self, id: u32, text: &str) {
        if !self.end_tokens.contains(&id) {
            self.ids.push(id);
        }
        self.text.push_str(text);
    }
}
