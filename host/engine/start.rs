//! What a generation begins with.

use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;

use crate::cancel::CancelToken;
use crate::constraint::Constraint;
use crate::context::ContextId;
use crate::event::Sampling;
use crate::generation::Update;
use crate::model::ModelParts;
use crate::output::Output;

/// What the device thread needs to begin a generation.
pub(crate) struct Start {
    pub(crate) context: ContextId,
    pub(crate) model: ModelParts,
    /// The text before the answer; not empty.
    pub(crate) tokens: Vec<u32>,
    pub(crate) sampling: Sampling,
    pub(crate) max_tokens: usize,
    pub(crate) end_tokens: Vec<u32>,
    pub(crate) constraint: Option<Constraint>,
    pub(crate) seed: u64,
    pub(crate) logprobs: Option<u32>,
    /// Not 0.
    pub(crate) prefill_chunk: usize,
    pub(crate) output: Output,
    pub(crate) updates: UnboundedSender<Update>,
    pub(crate) cancel: CancelToken,
    pub(crate) asked: Instant,
}

impl Start {
    /// Ends the generation before it began: its model is gone.
    pub(crate) fn fail(self) {
        let policy = match self.sampling {
            Sampling::Policy(policy) => Some(policy),
            Sampling::Chain(_) => None,
        };
        // A caller who is gone needs no answer.
        let _ = self.updates.send(Update::Failed(self.model.unloaded(), policy));
    }
}
