//! Watches how long the device thread takes for a step, so that nobody waits for ever for a device that hangs.
//!
//! A thread that waits for a device cannot be called back. Those who wait for the thread can: where a step takes longer
//! than anybody waits for, they are told that the device failed, and long before that, those who have cancelled are
//! told that they need not wait.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::WeakUnboundedSender;
use tokio::sync::{oneshot, watch};

use crate::cancel::CancelToken;
use crate::device::ThreadEnd;
use crate::generation::Update;
use crate::{EngineError, EngineErrorKind};

/// How often the clock is looked at while the device works, at least.
const LOOK: Duration = Duration::from_secs(1);

/// For how long one step of the device is waited for: a chunk of a prompt, or a token. Loading a model is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// By a generation that was cancelled: then it ends with [`EngineErrorKind::Cancelled`], wherever the device is.
    pub cancelled: Duration,
    /// By everyone: then the device is taken for hung, and everything fails with [`EngineErrorKind::DeviceFailed`] from
    /// there on.
    pub step: Duration,
}

impl Default for Patience {
    /// Ten seconds, and ten minutes: a chunk of a prompt may take a processor of a large model minutes.
    fn default() -> Self {
        Self { cancelled: Duration::from_secs(10), step: Duration::from_secs(600) }
    }
}

/// The watch over one device thread. Clones are the same.
#[derive(Clone)]
pub(crate) struct Watch(Arc<Shared>);

struct Shared {
    patience: Patience,
    end: ThreadEnd,
    work: Mutex<Work>,
    changed: Condvar,
    generations: Mutex<Vec<Waiting>>,
    hung: watch::Sender<bool>,
}

/// What the device thread does.
#[derive(Default)]
struct Work {
    /// When the step began that it is at; none between two of them.
    since: Option<Instant>,
    has_ended: bool,
}

/// A generation that somebody may wait for.
struct Waiting {
    updates: WeakUnboundedSender<Update>,
    cancel: CancelToken,
}

impl Watch {
    /// Starts to watch.
    pub(crate) fn start(patience: Patience, end: ThreadEnd) -> std::io::Result<Self> {
        let watch = Self(Arc::new(Shared {
            patience,
            end,
            work: Mutex::default(),
            changed: Condvar::new(),
            generations: Mutex::default(),
            hung: watch::Sender::new(false),
        }));
        let watching = watch.clone();
        thread::Builder::new().name("wasmlx-watch".into()).spawn(move || watching.run())?;
        Ok(watch)
    }

    /// The device thread begins a step.
    pub(crate) fn begin(&self) {
        let mut work = lock(&self.0.work);
        if work.since.replace(Instant::now()).is_none() {
            self.0.changed.notify_one();
        }
    }

    /// It waits for something to do, or does what may take any time.
    pub(crate) fn rest(&self) {
        lock(&self.0.work).since = None;
    }

    /// It has ended, and so does the watch.
    pub(crate) fn stop(&self) {
        lock(&self.0.work).has_ended = true;
        self.0.changed.notify_one();
    }

    /// Whether the device was taken for hung.
    pub(crate) fn is_hung(&self) -> bool {
        *self.0.hung.borrow()
    }

    /// Takes care of those who wait for a generation.
    pub(crate) fn cover(&self, updates: WeakUnboundedSender<Update>, cancel: CancelToken) {
        let mut generations = lock(&self.0.generations);
        generations.retain(|waiting| waiting.updates.strong_count() > 0);
        generations.push(Waiting { updates, cancel });
        drop(generations);
        if self.is_hung() {
            self.release(&self.0.end.wait(), |_| true);
        }
    }

    /// What the device thread replies.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) async fn reply<T>(&self, answer: &mut oneshot::Receiver<T>) -> Result<T, EngineError> {
        let mut hung = self.0.hung.subscribe();
        let mut hung = pin!(hung.wait_for(|hung| *hung));
        let mut answer = pin!(answer);
        let answered = poll_fn(|context| match answer.as_mut().poll(context) {
            Poll::Ready(answered) => Poll::Ready(answered.ok()),
            Poll::Pending => hung.as_mut().poll(context).map(|_| None),
        });
        answered.await.ok_or_else(|| self.0.end.wait())
    }

    fn run(&self) {
        let Patience { cancelled, step } = self.0.patience;
        let mut work = lock(&self.0.work);
        while !work.has_ended {
            let Some(since) = work.since else {
                work = self.0.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let lasted = since.elapsed();
            if lasted >= step {
                drop(work);
                return self.give_up();
            }
            if lasted >= cancelled {
                self.release_cancelled();
            }
            let look = LOOK.min(cancelled).min(step);
            work = self.0.changed.wait_timeout(work, look).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everyone is told that the device hangs.
    fn give_up(&self) {
        let seconds = self.0.patience.step.as_secs_f32();
        let error = EngineError::new(
            EngineErrorKind::DeviceFailed,
            format!(
                "the device has not come to the end of a step in {seconds} s, so it is taken for hung: start the program \
                 anew, and see whether its driver is well"
            ),
        );
        self.0.end.set(error.clone());
        // First, so that whoever comes to wait meanwhile sees it.
        self.0.hung.send_replace(true);
        self.release(&error, |_| true);
    }

    /// Those who have cancelled wait no longer.
    fn release_cancelled(&self) {
        let message = "it was cancelled, and the device has not come to the end of the step that it is at";
        self.release(&EngineError::new(EngineErrorKind::Cancelled, message), CancelToken::is_cancelled);
    }

    fn release(&self, error: &EngineError, whom: impl Fn(&CancelToken) -> bool) {
        lock(&self.0.generations).retain(|waiting| {
            let Some(updates) = waiting.updates.upgrade() else { return false };
            let is_released = whom(&waiting.cancel);
            if is_released {
                // Nobody may be listening any more.
                let _ = updates.send(Update::Failed(error.clone(), None));
            }
            !is_released
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each use leaves a whole value behind, even where it panics.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
