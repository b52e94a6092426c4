//! Where the fake device waits for the test, so that no test needs to sleep.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Holds whoever comes to it until it is opened. Clones are one gate.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<Passage>, Condvar)>);

#[derive(Default)]
struct Passage {
    reached: bool,
    open: bool,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everyone pass, now and later.
    pub fn open(&self) {
        self.lock().open = true;
        self.0.1.notify_all();
    }

    /// Waits until someone has come to the gate.
    pub fn wait_until_reached(&self) {
        let passage = self.lock();
        drop(self.0.1.wait_while(passage, |passage| !passage.reached));
    }

    /// Comes to the gate, and waits until it is open.
    pub fn pass(&self) {
        let mut passage = self.lock();
        passage.reached = true;
        self.0.1.notify_all();
        drop(self.0.1.wait_while(passage, |passage| !passage.open));
    }

    fn lock(&self) -> MutexGuard<'_, Passage> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
