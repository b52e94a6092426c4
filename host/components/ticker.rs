//! The clock that deadlines are counted by: one thread that advances the epoch of every `wasmtime::Engine`.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::EngineWeak;

/// How long an epoch lasts. To wake a thread of a virtual machine takes its processor some 25 us: every millisecond, that
/// was 2.6 % of one of two, which the model wants both of.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// How many epochs last so long: at least one.
pub(crate) fn epochs(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos())).map_or(u64::MAX / 2, |epochs| epochs.max(1))
}

/// The ticking thread. It ticks while there is an [`Activity`] and is parked otherwise; it ends with this value.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    waker: Thread,
}

struct Shared {
    engines: Mutex<Vec<EngineWeak>>,
    activities: AtomicUsize,
    /// How many epochs have passed.
    passed: AtomicU64,
    stopped: AtomicBool,
}

/// While one lives, epochs advance.
pub(crate) struct Activity(Arc<Shared>);

impl Ticker {
    /// Starts the thread, parked.
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            engines: Mutex::new(Vec::new()),
            activities: AtomicUsize::new(0),
            passed: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        });
        let ticking = Arc::clone(&shared);
        let thread = thread::Builder::new().name("wasmlx-epochs".to_owned()).spawn(move || ticking.run())?;
        let waker = thread.thread().clone();
        Ok(Self { shared, thread: Some(thread), waker })
    }

    /// Advances the epoch of this engine too, for as long as it lives.
    pub(crate) fn tick(&self, engine: &wasmtime::Engine) {
        self.shared.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.weak());
    }

    /// Keeps epochs advancing.
    pub(crate) fn activity(&self) -> Activity {
        if self.shared.activities.fetch_add(1, Ordering::AcqRel) == 0 {
            self.waker.unpark();
        }
        Activity(Arc::clone(&self.shared))
    }
}

impl Activity {
    /// How many epochs have passed: a clock that costs a load. What is shorter than an epoch is counted as one as often
    /// as it is likely to have seen one pass, so a sum of many is right.
    pub(crate) fn epochs(&self) -> u64 {
        self.0.passed.load(Ordering::Relaxed)
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.0.activities.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.waker.unpark();
        if let Some(thread) = self.thread.take() {
            // The thread has no way to panic, and there is no one to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        while !self.stopped.load(Ordering::Acquire) {
            if self.activities.load(Ordering::Acquire) == 0 {
                // An activity that begins before this line leaves a token, and then parking returns at once.
                thread::park();
                continue;
            }
            thread::sleep(TICK);
            self.passed.fetch_add(1, Ordering::Relaxed);
            for engine in self.engines.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                if let Some(engine) = engine.upgrade() {
                    engine.increment_epoch();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_shorter_than_an_epoch() {
        assert_eq!(epochs(Duration::ZERO), 1);
        assert_eq!(epochs(TICK), 1);
        assert_eq!(epochs(TICK + Duration::from_nanos(1)), 2);
        assert!(epochs(Duration::MAX) > 1 << 40);
    }

    #[test]
    fn the_thread_ends_with_its_ticker() {
        let ticker = Ticker::start().unwrap();
        let shared = Arc::downgrade(&ticker.shared);
        let activity = ticker.activity();
        drop(ticker);
        drop(activity);
        assert!(shared.upgrade().is_none());
    }
}
