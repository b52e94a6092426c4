//! What a context takes up, seen from outside.

use std::sync::{Arc, Weak};

use crate::context::ContextState;

/// How much a context takes up, for whoever gives contexts away and counts what they hold: it outlasts the context as
/// long as a generation runs on it.
#[derive(Clone)]
pub struct Footprint(Weak<ContextState>);

impl Footprint {
    pub(crate) fn of(context: &Arc<ContextState>) -> Self {
        Self(Arc::downgrade(context))
    }

    /// What [`Context::held`](crate::Context::held) says; none once the context is gone, and the generation that ran on
    /// it.
    pub fn tokens(&self) -> Option<usize> {
        self.0.upgrade().map(|context| context.held())
    }
}
