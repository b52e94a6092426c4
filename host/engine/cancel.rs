//! A flag that breaks something off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Breaks off a load or a generation from any thread. Clones share one flag, which is never taken back.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks whoever holds a clone to stop at the next opportunity.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether [`CancelToken::cancel`] was called on any clone.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
