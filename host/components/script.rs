//! A model's answers written down: what chat components are tested with.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::{ComponentError, ComponentErrorKind, FinishReason, Output, Usage};

/// What a model would say, generation by generation.
#[derive(Debug, Default)]
pub struct Script(Mutex<VecDeque<Round>>);

/// One generation.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// The answer, as a template would have read it.
    pub outputs: Vec<Output>,
    /// Why it ends.
    pub finish: FinishReason,
    /// What it is said to have taken.
    pub usage: Usage,
}

impl Script {
    /// These, in order.
    pub fn new(rounds: impl IntoIterator<Item = Round>) -> Self {
        Self(Mutex::new(rounds.into_iter().collect()))
    }

    /// How many were not asked for.
    pub fn left(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn next(&self) -> Result<Round, ComponentError> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.ok_or_else(|| ComponentError::new(ComponentErrorKind::ModelFailed, "", "the script has no more rounds"))
    }
}
