//! A place that a component sits in and that can be given another while the host runs.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// Holds the current value. A swap turns one pointer: whoever asks afterwards gets the new value, and whoever holds
/// the old one keeps it until it is done with it.
#[derive(Debug)]
pub struct Slot<T>(ArcSwap<T>);

impl<T> Slot<T> {
    /// A slot with its first value.
    pub fn new(value: Arc<T>) -> Self {
        Self(ArcSwap::new(value))
    }

    /// What sits in it now.
    pub fn current(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Puts another value in and returns the one before.
    pub fn swap(&self, value: Arc<T>) -> Arc<T> {
        self.0.swap(value)
    }

    /// Puts another value in where this one is the current; says whether it was.
    pub fn replace(&self, current: &Arc<T>, value: Arc<T>) -> bool {
        Arc::ptr_eq(&self.0.compare_and_swap(current, value), current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_of_the_old_value_keep_it() {
        let slot = Slot::new(Arc::new("old"));
        let held = slot.current();
        assert_eq!(*slot.swap(Arc::new("new")), "old");
        assert_eq!((*held, *slot.current()), ("old", "new"));
    }
}
