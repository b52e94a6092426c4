//! An eye on work that its own limits do not end in time.
//!
//! llguidance counts most of its work, and leaves some uncounted: an ambiguous grammar such as `start: start start | "a"`
//! makes each byte cost more than the one before, without end. Its operations can be cancelled from another thread,
//! though. So one thread looks, while there are matchers, which of them is still at the operation that it was at the
//! last times. An operation pays two atomic additions for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use llguidance::CancellationHandle;

use crate::error::{TextError, TextErrorKind};

/// How long one operation may take: that of an honest grammar takes microseconds, and at worst as long as llguidance's
/// limits allow, some 20 ms. The rest is for a machine that is busy with other things.
pub(super) const OPERATION_TIME: Duration = Duration::from_millis(300);

const TICK: Duration = Duration::from_millis(10);

/// Operations of one matcher, watched.
pub(super) struct Watch(Arc<Watched>);

struct Watched {
    /// Odd while an operation runs.
    operations: AtomicU64,
    handle: CancellationHandle,
}

struct Entry {
    watched: Weak<Watched>,
    /// What the counter was, and for how many looks it has been that.
    operations: u64,
    looks: u32,
}

/// None where no thread looks.
static ENTRIES: Mutex<Option<Vec<Entry>>> = Mutex::new(None);

impl Watch {
    /// # Errors
    /// Where the thread cannot be started.
    pub(super) fn new(handle: CancellationHandle) -> Result<Self, TextError> {
        let watched = Arc::new(Watched { operations: AtomicU64::new(0), handle });
        let entry = Entry { watched: Arc::downgrade(&watched), operations: 0, looks: 0 };
        let mut entries = ENTRIES.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *entries {
            Some(entries) => entries.push(entry),
            None => {
                let started = thread::Builder::new().name("wasmlx-grammar-watch".into()).spawn(look);
                started.map_err(|error| {
                    let message = format!("a grammar cannot be used: no thread could be started: {error}");
                    TextError::new(TextErrorKind::GrammarTooComplex, message)
                })?;
                *entries = Some(vec![entry]);
            }
        }
        Ok(Self(watched))
    }

    /// Runs an operation, which is cancelled where it takes too long.
    pub(super) fn operation<T>(&self, run: impl FnOnce() -> T) -> T {
        self.0.operations.fetch_add(1, Ordering::Relaxed);
        let result = run();
        self.0.operations.fetch_add(1, Ordering::Relaxed);
        result
    }
}

/// Looks at all matchers until there are none.
fn look() {
    let allowed = OPERATION_TIME.as_millis().div_ceil(TICK.as_millis()) as u32;
    loop {
        thread::sleep(TICK);
        let mut entries = ENTRIES.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watched) = entries.as_mut() else { return };
        watched.retain_mut(|entry| {
            let Some(watched) = entry.watched.upgrade() else { return false };
            let operations = watched.operations.load(Ordering::Relaxed);
            entry.looks = if operations == entry.operations { entry.looks.saturating_add(1) } else { 0 };
            entry.operations = operations;
            if operations % 2 == 1 && entry.looks >= allowed {
                watched.handle.cancel();
            }
            true
        });
        if watched.is_empty() {
            *entries = None;
            return;
        }
    }
}
