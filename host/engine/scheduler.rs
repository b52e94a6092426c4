//! Whose turn it is on the device, and the caches of those who wait.

use std::collections::VecDeque;
use std::rc::Rc;

use wasmlx_backend::{Backend, BackendErrorKind};

use crate::context::ContextId;
use crate::event::FinishReason;
use crate::idle::IdleSlots;
use crate::model::{LoadedModel, ModelId};
use crate::sequence::Sequence;
use crate::slot::Slot;
use crate::start::Start;
use crate::{EngineError, EngineErrorKind};

/// How many steps go by between two times that memory kept for reuse is given back. mlx-lm's `generate_step` does so
/// every 256 tokens.
const STEPS_A_CLEARING: u64 = 256;

/// The generations in flight, which take a step each in turn, and what contexts have on the device between them.
#[derive(Default)]
pub(crate) struct Scheduler {
    sequences: VecDeque<Box<Sequence>>,
    idle: IdleSlots,
    steps: u64,
}

impl Scheduler {
    /// Whether no generation is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Begins a generation.
    pub(crate) fn start(&mut self, start: Start, model: Rc<LoadedModel>) {
        self.end_generation_of(start.context);
        let slot = self.idle.remove(start.context).unwrap_or_else(|| Slot::new(model));
        self.sequences.push_back(Box::new(Sequence::new(start, slot)));
    }

    /// One step of the generation whose turn it is.
    pub(crate) fn step(&mut self, backend: &mut dyn Backend) {
        let Some(sequence) = self.sequences.front_mut() else { return };
        let before = backend.counters();
        let result = sequence.step();
        sequence.charge(before, backend.counters());
        match result {
            Ok(None) => self.sequences.rotate_left(1),
            Ok(Some(reason)) => self.end(0, |sequence| sequence.finish(reason)),
            Err(error) if error.kind() == EngineErrorKind::OutOfMemory => {
                // Each time it tries again there is one idle context less, so that comes to an end.
                let has_room = self.idle.make_room(sequence.cache_bytes());
                sequence.begin_anew();
                // Before anybody is told that the device is full: who hears it may go on at once.
                backend.clear_cache();
                if !has_room {
                    self.end(0, |sequence| sequence.fail(error));
                }
            }
            Err(error) => self.end(0, |sequence| sequence.fail(error)),
        }
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_A_CLEARING) {
            backend.clear_cache();
        }
    }

    /// Gives the second context a copy of what the first one has on the device, as far as there is room for it.
    pub(crate) fn fork(
        &mut self,
        from: ContextId,
        to: ContextId,
        backend: &mut dyn Backend,
    ) -> Result<(), EngineError> {
        self.end_generation_of(from);
        let Some(slot) = self.idle.remove(from) else { return Ok(()) };
        let cache = loop {
            match slot.cache.fork() {
                Err(error) if error.kind() == BackendErrorKind::OutOfMemory => {
                    if !self.idle.make_room(slot.cache.bytes()) {
                        break Err(error);
                    }
                    backend.clear_cache();
                }
                forked => break forked,
            }
        };
        let forked = cache.map(|cache| {
            let fork = Slot { model: Rc::clone(&slot.model), tokens: slot.tokens.clone(), cache };
            self.idle.insert(to, fork);
        });
        self.idle.insert(from, slot);
        Ok(forked?)
    }

    /// Frees what a context has on the device, once its generation is done.
    pub(crate) fn drop_context(&mut self, context: ContextId) {
        drop(self.idle.remove(context));
        for sequence in self.sequences.iter_mut().filter(|sequence| sequence.context == context) {
            sequence.orphan = true;
        }
    }

    /// Fails a model's generations and frees its caches.
    pub(crate) fn drop_model(&mut self, model: ModelId) {
        self.idle.retain(|slot| slot.model.parts.id != model);
        let (gone, rest) =
            std::mem::take(&mut self.sequences).into_iter().partition(|sequence| sequence.model().parts.id == model);
        self.sequences = rest;
        let gone: VecDeque<Box<Sequence>> = gone;
        for sequence in gone {
            let error = sequence.model().parts.unloaded();
            sequence.fail(error);
        }
    }

    /// Fails every generation.
    pub(crate) fn fail_all(&mut self, error: &EngineError) {
        for sequence in self.sequences.drain(..) {
            sequence.fail(error.clone());
        }
    }

    /// Ends a context's generation that nobody listens to any more: only then is a context asked for something else.
    fn end_generation_of(&mut self, context: ContextId) {
        if let Some(index) = self.sequences.iter().position(|sequence| sequence.context == context) {
            self.end(index, |sequence| sequence.finish(FinishReason::Cancelled));
        }
    }

    /// Takes a generation out of the row, which keeps its order, and ends it.
    fn end(&mut self, index: usize, end: impl FnOnce(Sequence) -> Option<Slot>) {
        if let Some(sequence) = self.sequences.remove(index) {
            let (context, orphan) = (sequence.context, sequence.orphan);
            if let Some(slot) = end(*sequence).filter(|_| !orphan) {
                self.idle.insert(context, slot);
            }
        }
    }
}
